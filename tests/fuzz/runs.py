"""Runs and what belongs to them: documents, arrays, saved sessions, checkpoints, predictions."""

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import save

from dialog_policy.errors import OptionError, RunError
from dialog_policy.evaluation.prediction_files import PredictionFile
from dialog_policy.network.checkpoint import epochs_done, read_checkpoint, write_checkpoint
from dialog_policy.runtime import Policy
from dialog_policy.runtime.run_reader import RunReader

__all__ = ["GOOD", "MAKERS"]

FIXTURES = Path(__file__).parents[1] / "fixtures"
GOOD = FIXTURES / "run-format-4"
DOCUMENTS = ("run.json", "decoder.json", "encoder.json", "replies.json")
ARRAYS = ("network.safetensors", "encoder.safetensors")
CONTEXT = {"results": [{"name": "The Oak", "area": "west"}]}


def files_of_run():
    return {name: (GOOD / name).read_bytes() for name in (*DOCUMENTS, *ARRAYS, "dialogues.json")}


def converse(policy):
    """Go on by one turn; what a policy says of it is within its bounds."""
    session = policy.start()
    step = session.respond("a table for two", CONTEXT)
    assert 0 <= step.confidence <= 1, f"confidence {step.confidence}"
    assert step.actions <= set(policy.actions), f"actions {step.actions}"
    assert all(0 <= share <= 1 for share in step.probabilities.values()), "probabilities"
    policy.resume(session.to_bytes())


def loaded_with(files, name, content):
    """Load the run with another content of one file, of which the manifest has the right hash."""
    files = {**files, name: content}
    if name != "run.json":
        manifest = json.loads(files["run.json"])
        manifest["files"][name] = sha256(content).hexdigest()
        files["run.json"] = json.dumps(manifest).encode()
    return Policy(RunReader.of_files(files, "fuzzed"))


def documents(folder):
    files = files_of_run()

    def target(data):
        converse(loaded_with(files, DOCUMENTS[data[0] % len(DOCUMENTS)] if data else "run.json", data[1:]))

    return target, [bytes([number]) + files[name] for number, name in enumerate(DOCUMENTS)]


def headers_of_arrays(folder):
    """The header of a file of arrays; what follows it is that of the good run."""
    files = files_of_run()
    content = files["network.safetensors"]
    length = int.from_bytes(content[:8], "little")
    numbers = content[8 + length :]

    def target(data):
        converse(loaded_with(files, "network.safetensors", len(data).to_bytes(8, "little") + data + numbers))

    return target, [content[8 : 8 + length]]


def arrays(folder):
    """A file of arrays as a whole, in the place of each that a run has."""
    files = files_of_run()

    def target(data):
        converse(loaded_with(files, ARRAYS[data[0] % 2] if data else ARRAYS[0], data[1:]))

    small = save({"head.kernel": np.zeros((2, 3), np.float32), "head.bias": np.zeros(3, np.float32)})
    return target, [b"\0" + small, b"\1" + files["encoder.safetensors"]]


def sessions(folder):
    policy = Policy.load(GOOD)

    def target(data):
        session = policy.resume(data)
        step = session.respond("hello", {"results": []})
        assert 0 <= step.confidence <= 1
        session.observe([next(iter(policy.actions.classes_))], "what was said")
        again = policy.resume(session.to_bytes())
        assert again.to_bytes() == session.to_bytes(), "a session that is saved twice is not the same"

    short, long = policy.start(), policy.start()
    short.respond("a table for two", CONTEXT)
    for number in range(80):
        long.respond(f"table {number} for two", CONTEXT if number % 7 == 0 else None)
    before = json.loads((FIXTURES / "session-version-2.json").read_bytes())["saved"].encode()
    return target, [policy.start().to_bytes(), short.to_bytes(), long.to_bytes(), before]


class Turn(msgspec.Struct):
    """What is sent to a session."""

    user: str | None = None
    context: dict = {}
    allowed: list[str] | None = None
    undo: int = 0
    actions: list[str] | None = None
    system: str = ""


def conversations(folder):
    """Turns as clients send them; a session that was saved and resumed goes on as the one that was not."""
    policy = Policy.load(GOOD)
    decode = msgspec.json.Decoder(list[Turn]).decode

    def target(data):
        try:
            turns = decode(data)[:8]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        session = policy.start()
        for turn in turns:
            try:
                if turn.undo:
                    session.undo(turn.undo)
                session.respond(turn.user, turn.context, allowed=turn.allowed)
                if turn.system:
                    session.observe(turn.actions, turn.system)
            except OptionError:
                continue
        again = policy.resume(session.to_bytes())
        assert again.turns == session.turns, "turns of a resumed session"
        assert again.respond("and now") == session.respond("and now"), "a resumed session goes on in another way"

    names = policy.actions.classes_
    turns = [
        {"user": "a table for two", "context": CONTEXT},
        {"user": None, "context": {"results": [], "n": 10**30}, "allowed": names[:2]},
        {"user": "The Oak, please", "undo": 1, "actions": names[:1], "system": "The Oak is in the west"},
    ]
    return target, [
        json.dumps(turns).encode(),
        json.dumps(turns[:1]).encode(),
        b'[{"user": "\xc3\xa9 \\ud83d\\ude00"}]',
    ]


def checkpoints(folder):
    def target(data):
        (folder / "training.safetensors").write_bytes(data)
        epochs = epochs_done(folder / "training.safetensors")
        state = read_checkpoint(folder)
        assert epochs == len(state["history"])

    state = {"arrays": {"a": np.ones((2, 2), np.float32)}, "history": [{"loss": 1.0}], "about": {"seed": 0}, "wait": 1}
    write_checkpoint(folder, state)
    return target, [(folder / "training.safetensors").read_bytes()]


def predictions(folder):
    path = folder / "p.jsonl"

    def target(data):
        path.write_bytes(data)
        for prediction in PredictionFile(path):
            assert 0 <= (prediction.confidence or 0) <= 1
            assert all(0 <= share <= 1 for share in (prediction.probabilities or {}).values())

    lines = (FIXTURES / "run-format-4-predictions.jsonl").read_bytes().splitlines(keepends=True)
    plain = (
        b'{"dialogue": "1", "turn": 0, "actions": ["a"], "logged": 0.5}\n\n{"dialogue": "1", "turn": 1, "actions": []}'
    )
    return target, [b"".join(lines[:2]), plain]


def archives(folder):
    """A run in an archive, from which files are read one by one."""

    def target(data):
        path = folder / "fuzzed.zip"
        path.write_bytes(data)
        try:
            converse(Policy.load(path))
        except RunError as error:
            assert "fuzzed.zip" in str(error), "the error does not name the file"  # noqa: PT017 (it may be accepted)
            raise

    # The manifest lists fewer files than there are: the others would be most of the bytes.
    files = files_of_run()
    manifest = json.loads(files["run.json"])
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in files.items() if name != "run.json"}
    files["run.json"] = json.dumps(manifest).encode()
    seeds = []
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", compression) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        seeds.append(packed.getvalue())
    return target, seeds


MAKERS = {
    "run-documents": documents, "run-headers": headers_of_arrays, "run-arrays": arrays, "run-archives": archives,
    "sessions": sessions, "conversations": conversations, "checkpoints": checkpoints, "predictions": predictions,
}  # fmt: skip
