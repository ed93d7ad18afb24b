"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def public_corpora() -> Callable[[str], Path]:
    """Path of a public corpus by its file name; the test is skipped where the corpora are absent."""
    folder = Path(os.environ.get("DIALOG_POLICY_CORPORA", REPOSITORY.parent / "shared" / "corpora"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"public corpus {name} is not in {folder}; set DIALOG_POLICY_CORPORA to the folder that has it")
        return path

    return find
