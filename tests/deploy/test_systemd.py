"""systemd takes the unit, and it starts a command that there is."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from click import Context

from dialog_policy.cli.serve import serve
from dialog_policy.serving.server import PATIENCE_S
from tests.conftest import REPOSITORY

UNIT = REPOSITORY / "deploy" / "systemd" / "dialog-policy@.service"


def settings():
    pairs = (line.partition("=")[::2] for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    return dict(pairs)


def test_systemd_takes_it(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not there")
    unit = tmp_path / "dialog-policy@8001.service"
    # The command has to be there to be verified; its own place is /opt.
    text = UNIT.read_text().replace("/opt/dialog-policy/bin/dialog-policy", str(Path(sys.executable)))
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []
    unit.write_text(text.replace("Restart=always", "Restart=sometimes"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert "sometimes" in done.stderr


def test_the_command_has_these_options_and_time_to_end(tmp_path):
    given = settings()
    program, command, run, *options = shlex.split(given["ExecStart"].replace("%i", "8001"))
    assert (program, command) == ("/opt/dialog-policy/bin/dialog-policy", serve.name)
    context = Context(serve)
    serve.parse_args(context, [run, *options])
    assert (context.params["port"], context.params["proxy"]) == (8001, ("127.0.0.1",))
    assert int(given["TimeoutStopSec"]) > PATIENCE_S
    # It never gives up: a run that cannot be read while it is copied must not cost a worker for ever.
    assert (given["Restart"], given["StartLimitIntervalSec"]) == ("always", "0")
    assert "RestartPreventExitStatus" not in given
