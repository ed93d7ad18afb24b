"""The notebooks of docs/tutorials: how they are executed, and how their outputs are compared with those that are kept.

A cell's tags say what may differ from machine to machine, because a training's last digits do:

- no tag: the output is the same everywhere;
- ``numbers-vary``: the same but for numbers;
- ``text-varies``: there is an output of the same kinds.

Cells that only check something have the tag ``remove-cell``: the site leaves them out.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["NOTEBOOKS", "execute", "outputs_of"]

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "docs" / "tutorials").glob("*.ipynb"))
_NUMBER = re.compile(r"\b[0-9a-f]{12}\b|[-+]?\d[\d,.]*(e[-+]?\d+)?")  # a run's id, too
_SPACES = re.compile(r"[ \t─]+")


def execute(path: Path) -> Any:
    """Return a notebook with the outputs of today, executed in a folder like its own, with the bundled corpus beside it."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "docs", "tutorials")
        place.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "corpora", Path(folder, "corpora"))
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }
        client = NotebookClient(notebook, resources={"metadata": {"path": str(place)}}, timeout=None)
        client.execute(env=environment)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it was executed
        if cell.cell_type == "code":
            cell.outputs = [output for output in _joined(cell.outputs) if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "text/html" in output.get("data", {}):
                    output.data.pop("text/plain")  # what a notebook does not show
    return notebook


def outputs_of(cell: Any) -> list[tuple[str, str]]:
    """Return kind and text of a cell's outputs, as far as they are the same on every machine."""
    tags = cell.metadata.get("tags", [])
    outputs = []
    for output in cell.outputs:
        texts = {"stream": output.text} if output.output_type == "stream" else output.data
        for kind, text in texts.items():
            if "text-varies" in tags or kind == "image/png":
                text = ""
            elif "numbers-vary" in tags:
                text = _SPACES.sub(" ", _NUMBER.sub("#", text))
            outputs.append((kind, text))
    return outputs


def _joined(outputs: list[Any]) -> list[Any]:
    """Return outputs, what was written to one stream in several pieces as one."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.output_type == "stream" == joined[-1].output_type and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined
