"""A busy machine fails no test."""

import re
from pathlib import Path

from hypothesis import HealthCheck, settings

from tests.conftest import REPOSITORY

# Programs beside the tests, which end after some minutes.
_PROGRAMS = {REPOSITORY / "tests" / "fuzz" / name for name in ("__main__.py", "one.py")}
# Clocks whose readings differ from run to run, and deadlines of examples.
_CLOCKS = re.compile(r"perf_counter|process_time|thread_time|monotonic\(|deadline=(?!None)")


def test_no_example_has_a_deadline_and_slow_drawing_is_no_failure():
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


def test_no_test_reads_a_stopwatch():
    sources = [
        path
        for path in (REPOSITORY / "tests").rglob("*.py")
        if path.name != Path(__file__).name and path not in _PROGRAMS
    ]
    assert len(sources) > 50
    assert [str(path) for path in sources if _CLOCKS.search(path.read_text(encoding="utf-8"))] == []
