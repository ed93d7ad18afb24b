"""The code blocks of README and docs: how they are found, and how they are run.

A fenced block has a language. ``python`` and ``sh`` blocks are run; of a ``console`` block the commands after ``$`` are run, with
the lines after ``you>`` as their input; ``toml``, ``yaml`` and ``json`` are parsed; ``csv`` and ``text`` are shown only. An HTML comment in
a line just before a block changes that::

    <!-- test: skip, REASON -->       not run
    <!-- test: file PATH -->          written to PATH, for the blocks that follow
    <!-- test: exit 1 -->             its last command ends with this exit code

The blocks of a page are run in order, in one namespace and in one folder. Every training is one epoch long, and has
batches of one length, for which a network is compiled once.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from click.testing import CliRunner

from benchmarks.client import ServerProcess
from dialog_policy.cli import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["LANGUAGES", "Block", "PageRun", "blocks_of", "quick_fit"]

LANGUAGES = ("python", "sh", "console", "toml", "yaml", "json", "csv", "text")
_FENCE = re.compile(r"^ *```(\w*)$")
_COMMENT = re.compile(r"^<!-- test: (skip|file|exit)(?:,)? (.+) -->$")
_PROMPT, _INPUT = "$ ", "you> "
# What only a shell understands, and what joins a group of processes.
_NEEDS_A_PROCESS = re.compile(r"[|<>&$;]|--distributed|--processes")
# The console script, but every training is quick.
_COMMAND = """
import sys
from dialog_policy.cli import main
if sys.argv[1] == "train" or "--folds" in sys.argv:
    from dialog_policy import DialogPolicy
    from tests.docs.pages import quick_fit
    DialogPolicy.fit = quick_fit(DialogPolicy.fit)
main()
"""


class Block(NamedTuple):
    """A fenced block of a page: its language, text, the line of its fence, and what its comment says."""

    language: str
    text: str
    line: int
    kind: str = ""
    argument: str = ""


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    blocks: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    begin: int | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if begin is None:
            begin = number
            continue
        opening = _FENCE.match(lines[begin])
        assert opening is not None
        kind, argument = _comment_before(lines, begin)
        text = "\n".join(lines[begin + 1 : number]) + "\n"
        blocks.append(Block(opening[1], text, begin + 1, kind, argument))
        begin = None
    assert begin is None, f"{page}: the block that begins in line {(begin or 0) + 1} has no end"
    return blocks


def _comment_before(lines: list[str], fence: int) -> tuple[str, str]:
    """Return what the comments in the lines before a fence say of its block."""
    while fence and lines[fence - 1].startswith("<!--"):
        fence -= 1
        comment = _COMMENT.match(lines[fence])
        if comment is not None:
            return comment[1], comment[2]
    return "", ""


def quick_fit(fit: Any) -> Any:
    """Return ``DialogPolicy.fit`` with one epoch and one length of batches, whatever the settings say."""

    def fit_quickly(self: Any, *arguments: Any, **options: Any) -> Any:
        return fit(self.set_params(epochs=1, max_lengths=1), *arguments, **options)

    return fit_quickly


class PageRun:
    """A page that is being run.

    Parameters
    ----------
    blocks
        Its blocks.
    folder
        Where its commands run; has the files that it begins with.
    """

    def __init__(self, blocks: list[Block], folder: Path) -> None:
        self.blocks = blocks
        self.folder = folder
        self._done = 0
        self._namespace: dict[str, Any] = {"__name__": "__main__"}
        self._server: ServerProcess | None = None
        programs = folder / ".programs"
        programs.mkdir()
        (programs / "dialog-policy").write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(_COMMAND)} "$@"\n')
        (programs / "dialog-policy").chmod(0o755)
        root = str(Path(__file__).resolve().parents[2])
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
        }

    def run(self, index: int) -> None:
        """Run the block of this number, and those before it that were not run yet."""
        while self._done <= index:
            block = self.blocks[self._done]
            self._done += 1
            if block.kind != "skip":
                self._run_block(block)

    def close(self) -> None:
        """End the server, if the page started one."""
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None

    def _run_block(self, block: Block) -> None:
        if block.kind == "file":
            path = self.folder / block.argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.language == "python":
            # The empty lines before make tracebacks name the page's own line.
            exec(compile("\n" * block.line + block.text, "page", "exec"), self._namespace)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language in ("yaml", "json"):
            yaml.safe_load(block.text)
        elif block.language in ("sh", "console"):
            commands = list(_commands(block))
            for number, (command, given) in enumerate(commands, start=1):
                wanted = int(block.argument) if block.kind == "exit" and number == len(commands) else 0
                self._run_command(command, given, wanted)

    def _run_command(self, command: str, given: str, wanted: int) -> None:
        words = shlex.split(command.replace("\\\n", " "), comments=True)
        if words[:2] == ["dialog-policy", "serve"]:
            self.close()
            self._server = ServerProcess(*words[2:])
            return
        if words[:1] == ["dialog-policy"] and not _NEEDS_A_PROCESS.search(command):
            # In this process, which has imported what the command needs.
            outcome = CliRunner().invoke(main, words[1:], input=given)
            assert outcome.exit_code == wanted, f"{command}\nended with {outcome.exit_code}\n{outcome.output}"
            return
        if self._server is not None:
            command = re.sub(r"(localhost|127\.0\.0\.1):8000", self._server.url.partition("//")[2], command)
        done = subprocess.run(
            ["sh", "-euc", command], cwd=self.folder, env=self._environment, input=given, capture_output=True, text=True
        )
        assert done.returncode == wanted, f"{command}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"


def _commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield the commands of a block, each with its input."""
    lines = block.text.splitlines()
    console = block.language == "console"
    while lines:
        line = lines.pop(0)
        if console and not line.startswith(_PROMPT):
            continue
        command = line.removeprefix(_PROMPT) if console else line
        while command.endswith("\\") or not _is_complete(command):
            command = f"{command}\n{lines.pop(0)}"
        given = []
        while console and lines and not lines[0].startswith(_PROMPT):
            output = lines.pop(0)
            if output.startswith(_INPUT):
                given.append(output.removeprefix(_INPUT) + "\n")
        if shlex.split(command, comments=True):
            yield command, "".join(given)


def _is_complete(command: str) -> bool:
    """Whether every quotation of a command ends in it."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True
