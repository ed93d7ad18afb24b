"""What the package uses reports to nobody about the machine that it runs on."""

import os
import subprocess
import sys

from tests.conftest import REPOSITORY

_RUN = REPOSITORY / "tests" / "fixtures" / "run-format-4"


def test_onnxruntime_keeps_no_events_to_send(tmp_path):
    """It would keep them, and an id of the machine, in the user's folder of caches."""
    code = f"from dialog_policy import Policy; Policy.load({str(_RUN)!r})"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
