import os
import subprocess
import sys
from pathlib import Path

from hypothesis import settings

from tests.conftest import REPOSITORY
from tests.skips import describe_skips


def test_skips_are_grouped_by_cause_with_one_remedy_each():
    lines = describe_skips(
        [
            "no Chromium: install Debian's package",
            "redis-server is not installed (apt-get install redis-server)",
            "redis-server is not installed (apt-get install redis-server)",
            "could not import 'jax'",
            "public corpus star.zip is not in /data",
            "memory is this process'",
        ]
    )
    services, extras, corpora, other = lines
    assert (
        services == "Not installed: Redis (2), Chromium (1). To run these tests, too: ./scripts/install-test-services"
    )
    assert "an optional package (1)" in extras
    assert "DIALOG_POLICY_CORPORA" in corpora
    assert other == "Does not apply here (1): memory is this process'"


def test_a_run_ends_with_what_was_skipped(tmp_path):
    (tmp_path / "test_one.py").write_text(
        "import pytest\ndef test_page():\n    pytest.skip('no Chromium')\ndef test_right():\n    pass\n"
    )
    (tmp_path / "test_two.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    for workers in ([], ["--numprocesses", "2"]):
        command = [sys.executable, "-m", "pytest", "-p", "tests.skips", *workers, str(tmp_path)]
        paths = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
        )
        assert done.returncode == 0, done.stdout
        summary = done.stdout.partition("2 tests or test modules were skipped")[2]
        assert "Chromium (1). To run these tests, too: ./scripts/install-test-services" in summary
        assert "an optional package (1)" in summary


def test_no_example_has_a_deadline():
    assert settings().deadline is None
    sources = [path for path in (REPOSITORY / "tests").rglob("*.py") if path != Path(__file__)]
    assert [
        str(path) for path in sources if "deadline=" in path.read_text(encoding="utf-8").replace("deadline=None", "")
    ] == []
