"""What is killed besides commands: functions of the package that write, called with plain arguments."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.append import append_dialogues
from dialog_policy.corpus.download import catalogue
from dialog_policy.corpus.download import download as fetch
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import DialogPolicyError
from dialog_policy.features import encode
from dialog_policy.runtime import Policy
from dialog_policy.runtime.folder import repack, save_run


def command(*arguments: str) -> None:
    """Run a command as ``dialog-policy`` does."""
    from dialog_policy.cli import main

    main(list(arguments), prog_name="dialog-policy")


def _said(function):
    """Let a function end as a command does: a documented error is one line and exit code 2."""

    def called(*arguments):
        try:
            function(*arguments)
        except DialogPolicyError as error:
            print(error)
            return 2
        return 0

    return called


@_said
def append(path: str, addition: str) -> None:
    """Add the dialogues of one file to another."""
    append_dialogues(path, load_corpus(addition))


@_said
def save(run: str, other: str) -> None:
    """Save a policy over another run."""
    save_run(other, repack(Policy.load(run).run, name="saved"))


@_said
def restore(run: str) -> None:
    """Exchange a run and the one before it."""
    from dialog_policy.serving.previous import restore_previous

    restore_previous(Path(run))


@_said
def encoded(corpus: str) -> None:
    """Encode a corpus, so that it is kept in the cache."""
    from dialog_policy.policy.config import make_config

    encode.FEWEST_TURNS = 0
    train = load_corpus(corpus)
    actions = ActionSpace().fit(turn.actions for dialogue in train for turn in dialogue.turns)
    small = [{"kind": "bits", "max_terms": 50}]
    settings = make_config({"user": small, "system": small, "context": small}).encoders
    encode.encode_parts(
        train, None, actions, settings, seed=0, fingerprints={"train": [d.id for d in train], "dev": []}
    )


@_said
def download(name: str, listed: str, mirror: str, cache: str) -> None:
    """Fetch a corpus of several files."""
    fetch(name, cache=cache, mirror=mirror, known=catalogue(listed))


def retrain(*_: str) -> int:
    """Train again, as the server's process does; the order comes on stdin, and how it ended is the last that it says."""
    from dialog_policy.serving import retrain as process

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            process.main()
    finally:
        print(said.getvalue(), end="")
    return json.loads(said.getvalue().splitlines()[-1])["ended"]


def in_place(path: str) -> None:
    """Write a file as nothing of the package does: where it is."""
    with Path(path).open("wb", buffering=0) as file:
        for _ in range(3):
            file.write(b"new")
