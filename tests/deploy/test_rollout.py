"""The commands with which docs/deploy.md replaces a run do so as often as they are given."""

import os
import re
import subprocess
import sys

from dialog_policy.runtime import Policy
from tests.conftest import REPOSITORY
from tests.serving.conftest import run  # noqa: F401

_PAGE = REPOSITORY / "docs" / "deploy.md"
_COMMAND = f"{sys.executable} -c 'from dialog_policy.cli import main; main()'"


def commands_of(heading):
    """Return the first block of commands under a heading."""
    text = _PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    return re.search(r"```sh\n(.*?)```", text, re.DOTALL).group(1)


def test_a_run_is_replaced_again_and_again(run, tmp_path):  # noqa: F811
    """Twice is not enough: what the second time leaves is what the third one meets."""
    place = tmp_path / "runs" / "shop.zip"
    place.parent.mkdir()
    rollout, is_there, _ = commands_of("Rolling out a run").partition("curl ")
    assert is_there
    script = rollout.replace("/var/lib/dialog-policy/", f"{tmp_path}/").replace("runs/new", str(run))
    script = script.replace("dialog-policy export", f"{_COMMAND} export")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for older in (b"one", b"two", b"three"):
        place.write_bytes(older)
        done = subprocess.run(["sh", "-e", "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert Policy.load(place).id == Policy.load(run).id in done.stderr
        assert place.with_name("shop.before.zip").read_bytes() == older
        assert {path.name for path in place.parent.iterdir()} == {"shop.zip", "shop.before.zip"}
