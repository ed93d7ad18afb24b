"""The short form of :mod:`tests.faults.harness`: a few faults in every command that needs no training, and in one training."""

import ctypes.util
import shutil
import sys
from dataclasses import replace

import pytest

from tests.faults.harness import harness
from tests.faults.scenarios import ERRORS, KILLS, scenarios

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or not ctypes.util.find_library("c"), reason="calls of Linux' C library"
    ),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc), which the fault points are built with"),
]
NAMES = [scenario.name for scenario in scenarios("")]
SLOW = ("train", "retrain", "evaluate")


@pytest.fixture(scope="module")
def made():
    with harness(seed=1) as (tried, known):
        yield tried, {scenario.name: scenario for scenario in known}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(SLOW)])
def test_whatever_happens_the_old_or_the_new_is_there_and_once_more_mends_it(made, name):
    tried, known = made
    found = [*tried.run(known[name], KILLS, 2), *tried.run(known[name], ERRORS, 1)]
    assert len(found) >= 2 * len(KILLS)
    assert not [(fault, at, wrong) for fault, at, wrong in found if wrong]


def test_a_killed_training_is_resumed_to_the_same_bytes(made):
    tried, known = made
    found = list(tried.run(known["train"], KILLS, 1))
    assert len(found) == 2
    assert not [(fault, at, wrong) for fault, at, wrong in found if wrong]


def test_what_is_not_written_aside_is_found_out(made, tmp_path):
    """The harness itself: a command that writes in place is caught."""
    tried, known = made
    in_place = replace(known["convert"], function="tests.faults.actions:in_place", arguments=("{}/out.csv",))
    found = list(tried.run(in_place, KILLS, 20))
    assert any(wrong for *_, wrong in found)
