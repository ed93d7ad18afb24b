"""A run that is replaced by another while it is read is one of the two, whole; and whoever looks for a run makes nothing."""

import itertools
import json
import os
import shutil
from hashlib import sha256

import pytest

from dialog_policy.errors import RunError
from dialog_policy.files import replace_folder
from dialog_policy.runtime import Policy
from dialog_policy.runtime.run_reader import RunReader
from tests.conftest import REPOSITORY

OLD = REPOSITORY / "tests" / "fixtures" / "run-format-4"


def newer(path):
    """Make a run whose every file differs from the old one's by a space or is the same."""
    shutil.copytree(OLD, path)
    about = json.loads((path / "run.json").read_bytes())
    for name in ("dialogues.json", "encoder.json", "replies.json"):
        content = (path / name).read_bytes() + b" "
        (path / name).write_bytes(content)
        about["files"][name] = sha256(content).hexdigest()
    (path / "run.json").write_text(json.dumps(about))
    return path


def archived(folder):
    return shutil.make_archive(folder, "zip", folder)


@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize("kind", ["held folder", "folder", "archive"])
def test_a_run_that_is_replaced_while_it_is_opened_is_one_of_the_two(tmp_path, monkeypatch, kind, at):
    run, other = shutil.copytree(OLD, tmp_path / "run"), newer(tmp_path / "newer")
    ids = {Policy.load(path).id for path in (run, other)}
    assert len(ids) == 2
    if kind == "folder":
        monkeypatch.setattr(os, "supports_dir_fd", set())
    if kind == "archive":
        run, other = archived(run), archived(other)
    opened = 0
    which = "_in_archive" if kind == "archive" else "_in_folder"
    real = getattr(__import__("dialog_policy.runtime.run_files", fromlist=[which]), which)

    def replacing(*arguments):
        nonlocal opened
        opened += 1
        if opened == at:
            os.replace(other, run) if kind == "archive" else replace_folder(other, run)
        return real(*arguments)

    monkeypatch.setattr(f"dialog_policy.runtime.run_files.{which}", replacing)
    assert Policy.load(run).id in ids
    assert opened > at


def test_a_run_that_is_replaced_without_end_is_an_error(tmp_path, monkeypatch):
    run = shutil.copytree(OLD, tmp_path / "run")
    (run / "replies.json").write_bytes(b"{}")

    stamps = itertools.count()
    monkeypatch.setattr("dialog_policy.runtime.run_reader.stamp", lambda *_: next(stamps))
    with pytest.raises(RunError, match=r"replies\.json was changed after training"):
        Policy.load(run)


def test_a_file_that_is_read_after_its_run_was_replaced_is_no_damage(tmp_path):
    run, other = shutil.copytree(OLD, tmp_path / "run"), newer(tmp_path / "newer")
    reader = RunReader.open(run)
    replace_folder(other, run)
    with pytest.raises(RunError, match=r"was replaced by another one after it was opened\. Open it again"):
        reader.read("dialogues.json")
    shutil.rmtree(run)
    with pytest.raises(RunError, match="was replaced"):
        reader.read("dialogues.json")


@pytest.mark.parametrize("path", ["typo/run", "run", "a/b/c"])
def test_looking_for_a_run_makes_nothing(tmp_path, path):
    with pytest.raises(RunError, match="found no run"):
        Policy.load(tmp_path / path)
    assert list(tmp_path.iterdir()) == []
