"""The short form of ``./scripts/fuzz``: two hundred damaged inputs for each parser, without a fuzzer that is guided by coverage."""

import json
import random
import subprocess
import sys

import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import Watched
from tests.mutations import damaged

pytestmark = pytest.mark.filterwarnings("ignore")
EXECUTIONS = 200


@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors_come_out(tmp_path, name):
    (tmp_path / "scratch").mkdir()
    target, seeds = TARGETS[name].make(tmp_path / "scratch")
    watched = Watched(target, tmp_path)
    for content in seeds:
        watched(content)
    assert watched.accepted, "no seed is accepted"
    draw = random.Random(0)
    for _ in range(EXECUTIONS):
        data = draw.choice(seeds)
        for _ in range(draw.randint(1, 3)):
            data = data[:1] + damaged(data[1:], draw)
        watched(data)
    assert not watched.faults, json.dumps(watched.faults, indent=1)


def test_what_is_not_documented_is_kept_once(tmp_path):
    def target(data):
        if data == b"wrong":
            raise AssertionError("accepted and wrong")
        return 1 / len(data)

    watched = Watched(target, tmp_path)
    for data in (b"", b"", b"wrong", b"right"):
        watched(data)
    assert (watched.executions, watched.accepted) == (4, 1)
    kinds = {kind.partition(" at ")[0]: fault["inputs"] for kind, fault in watched.faults.items()}
    assert kinds == {"ZeroDivisionError": 2, "AssertionError: accepted and wrong": 1}
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"", b"wrong"]


def test_the_script_adds_up_what_calls_have_done(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", "--only", "sessions", "--executions", "50", "--engine", "seeded"]
    for calls in (1, 2):
        done = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"| all | {50 * calls} |" in done.stdout
