"""Trainings in processes of their own: one at a time for a run, and nothing is lost when one is killed."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from dialog_policy import DialogPolicy
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import DivergenceError, OptionError, RunError
from dialog_policy.files import folder as folder_module
from dialog_policy.files import locked
from dialog_policy.policy import workplace as workplace_module
from dialog_policy.runtime import Policy
from dialog_policy.runtime.export import export_run
from tests.cli.commands import run as command
from tests.conftest import QUICK, REPOSITORY

FAST = QUICK | {"epochs": 1}


@pytest.fixture(scope="module")
def corpus_file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "few.jsonl"
    write_corpus(list(small)[:6], path)
    return path


@pytest.fixture(scope="module")
def policy(corpus_file):
    return DialogPolicy(**FAST).fit(corpus_file, dev=None)


class Training:
    """A training that waits after every epoch."""

    def __init__(self, *arguments):
        path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.policy.training_process", *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip

    def says(self):
        return self.process.stdout.readline().strip()

    def goes_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_second_of_two_trainings_is_told_who_holds_the_run(corpus_file, policy, tmp_path):
    with Training(corpus_file, tmp_path / "two", "", 1) as first:
        assert first.says() == "epoch"
        holder = (
            rf"is being written by another process \(training, process {first.process.pid} on {socket.gethostname()}"
        )
        with pytest.raises(RunError, match=holder + r", since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)"):
            DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / "two")
        with pytest.raises(RunError, match=holder):
            policy.save(tmp_path / "two")
        arguments = ("train", corpus_file, "--out", tmp_path / "two", "--split", "all")
        assert "is being written by another process" in command(*arguments, code=2).output
        first.goes_on()
        assert first.says() == "done"
    assert names(tmp_path) == ["two"]
    assert len(list(Policy.load(tmp_path / "two").predict(policy_dialogues(corpus_file)))) > 0


def policy_dialogues(corpus_file):
    from dialog_policy import load_corpus

    return load_corpus(corpus_file)


@pytest.fixture(scope="module")
def killed(corpus_file, tmp_path_factory):
    """A folder in which the training of `run` was killed after its first epoch."""
    folder = tmp_path_factory.mktemp("killed")
    with Training(corpus_file, folder / "run", "", 1) as training:
        assert training.says() == "epoch"
    return folder


def test_a_lock_ends_with_its_process(policy, killed):
    policy.save(killed / "run")
    assert names(killed) == ["run", "run.partial"], "the checkpoint of the killed training is still there"


def test_a_checkpoint_is_not_discarded_unasked(corpus_file, policy, tmp_path):
    policy.save(tmp_path / "run")
    with Training(corpus_file, tmp_path / "run") as first:
        assert first.says() == "epoch"
        first.goes_on()
        assert first.says() == "epoch"
    kept = (tmp_path / "run.partial" / "training.safetensors").read_bytes()
    message = (
        rf"an interrupted training left a checkpoint after 2 epochs in {tmp_path}/run\.partial, written "
        r"\d{4}-\d\d-\d\d \d\d:\d\d\. Continue it with --resume, or discard it and begin anew with --restart"
    )
    with pytest.raises(RunError, match=message):
        DialogPolicy(**QUICK).fit(corpus_file, dev=None, out=tmp_path / "run")
    assert "after 2 epochs" in command("train", corpus_file, "--out", tmp_path / "run", "--split", "all", code=2).output
    assert (tmp_path / "run.partial" / "training.safetensors").read_bytes() == kept
    assert Policy.load(tmp_path / "run").id == policy.runtime_.id
    resumed = DialogPolicy(**QUICK).fit(corpus_file, dev=None, out=tmp_path / "run", resume=True)
    assert len(resumed.history_) == 3
    whole = DialogPolicy(**QUICK).fit(corpus_file, dev=None)
    assert resumed.runtime_.id == whole.runtime_.id
    assert names(tmp_path) == ["run"]


def test_a_checkpoint_is_discarded_if_asked_for(corpus_file, killed, tmp_path):
    shutil.copytree(killed / "run.partial", tmp_path / "run.partial")
    (tmp_path / "run.partial" / "training.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match="a checkpoint that cannot be read"):
        DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / "run")
    DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / "run", resume=False)
    assert names(tmp_path) == ["run"]


def test_what_is_not_ours_is_not_removed(corpus_file, tmp_path):
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="is not from an interrupted training"):
        DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / "run", resume=False)
    assert (tmp_path / "run.partial" / "thesis.txt").read_text() == "precious"
    assert names(tmp_path) == ["run.partial"]


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("exchanged", [False, True])
def test_killed_at_the_very_end_the_run_is_finished_next_time(corpus_file, policy, tmp_path, monkeypatch, exchanged):
    """Before the two folders change names or after: what was just trained is what the name stands for in the end."""
    policy.save(tmp_path / "run")

    def replace_folder(made, path):
        if exchanged:
            folder_module.exchange_folders(made, path)
        raise KilledError

    monkeypatch.setattr(workplace_module, "replace_folder", replace_folder)
    trained = DialogPolicy(**FAST | {"seed": 7})
    with pytest.raises(KilledError):
        trained.fit(corpus_file, dev=None, out=tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(RunError, match="no training to resume"):
        DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / "other", resume=True)
    with pytest.raises(RunError, match="other settings"):
        DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / "run", resume=True)
    assert Policy.load(tmp_path / "run").info["config"]["seed"] == 7


def test_killed_between_two_renames_a_run_is_recovered_when_it_is_opened(policy, tmp_path):
    policy.save(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / ".run.old")
    assert Policy.load(tmp_path / "run").id == policy.runtime_.id
    assert names(tmp_path) == ["run"]


def test_a_diverged_training_keeps_the_good_run(corpus_file, policy, tmp_path):
    policy.save(tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    few = [f"{name}={value}" for name, value in (("epochs", 60), ("learning_rate", 1.0), ("hidden", 12))]
    arguments = ("train", corpus_file, "--out", tmp_path / "run", "--split", "all", "--set", *few)
    assert "the training has diverged" in command(*arguments, code=2).output
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert names(tmp_path) == ["run"]


def test_a_link_to_a_run_stays_a_link(corpus_file, policy, tmp_path):
    (tmp_path / "runs").mkdir()
    policy.save(tmp_path / "runs" / "first")
    (tmp_path / "current").symlink_to("runs/first")
    DialogPolicy(**FAST | {"seed": 3}).fit(corpus_file, dev=None, out=tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert Policy.load(tmp_path / "runs" / "first").info["config"]["seed"] == 3
    assert names(tmp_path / "runs") == ["first"]


def test_places_that_cannot_be_are_refused_before_training(corpus_file, policy, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place, message in (("file", "is a file"), ("a/b/c", "does not exist"), ("caf\udce9", "in UTF-8")):
        with pytest.raises(OptionError, match=message):
            DialogPolicy(**FAST).fit(corpus_file, dev=None, out=tmp_path / place)
        with pytest.raises(OptionError, match=message):
            policy.save(tmp_path / place)
    with pytest.raises(OptionError, match="needs out="):
        DialogPolicy(**FAST).fit(corpus_file, dev=None, resume=True)
    policy.save(tmp_path / "run")
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(OptionError, match="is a folder"):
        export_run(tmp_path / "run", tmp_path / "folder.zip")
    assert names(tmp_path) == ["file", "folder.zip", "run"]


def test_a_run_with_another_name_than_utf_8_is_read(policy, tmp_path):
    policy.save(tmp_path / "run")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    try:
        shutil.move(tmp_path / "run", odd)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    loaded = Policy.load(odd)
    assert loaded.run.place.encode().endswith("caf�".encode())
    with pytest.raises(RunError, match="found no run at"):
        Policy.load(odd + "x")


def test_a_run_that_is_not_there_is_guessed_from_its_neighbours(tmp_path):
    (tmp_path / "demo").mkdir()
    with pytest.raises(RunError, match=r"found no run at .*dmo\. Did you mean 'demo'\?"):
        Policy.load(tmp_path / "dmo")
    with pytest.raises(RunError, match=r"found no run at .*dmo\. `dialog-policy train"):
        Policy.load(tmp_path / "nowhere" / "dmo")


def test_locks_are_for_threads_of_a_process_too(tmp_path):
    with (
        locked(tmp_path / "run", "training"),
        pytest.raises(RunError, match=rf"\(training, process {os.getpid()} on"),
        locked(tmp_path / "run", "saving"),
    ):
        pass
    with locked(tmp_path / "run", "saving"):
        assert names(tmp_path) == [".run.lock"]
    assert names(tmp_path) == []


class Poison(keras.callbacks.Callback):
    """Puts NaN into the weights at a moment of a training."""

    def __init__(self, when, epoch=0):
        super().__init__()
        self.when, self.epoch = when, epoch

    def poison(self, when, epoch=0):
        if (when, epoch) == (self.when, self.epoch):
            self.model.set_weights([np.full_like(weight, np.nan) for weight in self.model.get_weights()])

    def on_epoch_begin(self, epoch, logs=None):
        self.poison("on_epoch_begin", epoch)

    def on_train_end(self, logs=None):
        self.poison("on_train_end")


@pytest.mark.parametrize(
    ("when", "epoch", "message", "kept"),
    [
        ("on_epoch_begin", 0, r"the loss is nan in epoch 1, batch 1 of \d+: the training has diverged", 0),
        ("on_epoch_begin", 2, r"the loss is nan in epoch 3, batch 1 of \d+: the training has diverged", 2),
        ("on_train_end", 0, "after the last epoch weights are not finite numbers", 3),
    ],
)
def test_numbers_that_are_none_end_a_training(corpus_file, policy, tmp_path, when, epoch, message, kept):
    policy.save(tmp_path / "run")
    # Averages would take the place of the weights that are poisoned after the last epoch.
    settings = QUICK | {"averaging": 0.0}
    with pytest.raises(DivergenceError, match=message) as caught:
        DialogPolicy(**settings).fit(corpus_file, dev=None, out=tmp_path / "run", callbacks=[Poison(when, epoch)])
    assert Policy.load(tmp_path / "run").id == policy.runtime_.id
    if not kept:
        assert str(caught.value).endswith("Nothing of it is kept.")
        assert names(tmp_path) == ["run"]
        return
    assert f"The weights after epoch {kept} are kept in {tmp_path}/run.partial: --resume --set epochs={kept}" in str(
        caught.value
    )
    assert names(tmp_path) == ["run", "run.partial"]


def test_the_last_good_weights_of_a_training_that_diverged_make_a_run(corpus_file, tmp_path):
    settings = QUICK | {"averaging": 0.6}
    with pytest.raises(DivergenceError):
        DialogPolicy(**settings).fit(
            corpus_file, dev=None, out=tmp_path / "run", callbacks=[Poison("on_epoch_begin", 1)]
        )
    good = DialogPolicy(**settings | {"epochs": 1}).fit(corpus_file, dev=None, out=tmp_path / "run", resume=True)
    assert [row["epoch"] for row in good.history_] == [1]
    assert all(np.isfinite(weight).all() for weight in good.network_.get_weights())
    assert names(tmp_path) == ["run"]


def test_a_disk_that_is_full_during_training_is_one_sentence_and_keeps_what_there_is(corpus_file, policy, tmp_path):
    policy.save(tmp_path / "run")

    class Full(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OptionError, match=r"run\.partial cannot be written: the disk is full"):
        DialogPolicy(**QUICK).fit(corpus_file, dev=None, out=tmp_path / "run", callbacks=[Full()])
    assert Policy.load(tmp_path / "run").id == policy.runtime_.id
    assert names(tmp_path) == ["run", "run.partial"], "the finished epoch is kept"
