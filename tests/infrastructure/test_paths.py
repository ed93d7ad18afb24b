"""What configuration and docs name is there: a file that got another name is missed by nobody else."""

import re

from dialog_policy.policy.config import tomllib
from tests.conftest import REPOSITORY


def test_what_mutation_testing_changes_and_runs_is_there():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    named = [*settings["only_mutate"], *settings["pytest_add_cli_args_test_selection"]]
    assert len(named) > 20
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []


def test_what_shows_a_promise_is_there():
    page = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/])(?:\./)?((?:tests|scripts)/[\w/.-]+)", page)
    assert len(named) > 25
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
