"""Opens hostile artefacts in a process of its own: ``python -m tests.hostile.attack KIND LIST``, in an empty folder.

LIST is a JSON list of the artefacts' paths. A line for each comes out: what was raised (nothing: it was accepted), whether what was
accepted is right, by how much memory has grown, and what was executed. An artefact that hangs ends the process.
"""

import asyncio
import faulthandler
import json
import os
import resource
import sys
from pathlib import Path

import numpy as np

from dialog_policy.baselines import load_baselines
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import DialogPolicyError
from dialog_policy.evaluation.prediction_files import PredictionFile
from dialog_policy.features.cache import read_entry
from dialog_policy.network.checkpoint import epochs_done, read_checkpoint
from dialog_policy.runtime import Policy
from dialog_policy.serving.stores.sqlite import SqliteStore
from tests.hostile.runs import GOOD, TRACE

# Seconds after which an artefact counts as one that hangs: far more than any takes, on any machine.
HANGS = 60
# Bytes of addresses: a bomb that goes off ends this process, not the machine.
ADDRESSES = 12 << 30
# What loading data has no business with; "compile" and "exec" happen when modules are imported.
EXECUTING = (
    "pickle.find_class",
    "os.system",
    "os.exec",
    "subprocess.Popen",
    "socket.connect",
)

executed = []


class Attacks:
    """One method a kind of artefact: opens and uses it, and says whether what comes out is right."""

    def __init__(self):
        self.dialogues = load_corpus(GOOD.with_name(f"{GOOD.name}-dialogues.jsonl"))
        self.policy = Policy.load(GOOD)
        self.predictions = self.used(self.policy)
        self.first_entry = []

    def conversation(self, policy):
        session = policy.start()
        session.respond("a table for two", {"results": [{"name": "The Oak", "area": "west"}]})
        return session

    def used(self, policy):
        assert policy.fingerprints
        self.conversation(policy)
        baselines = load_baselines(policy.run, policy.actions)
        return list(policy.predict(self.dialogues)), [list(b.predict(self.dialogues)) for b in baselines.values()]

    def runs(self, path):
        mine, theirs = self.predictions, self.used(Policy.load(path))
        return theirs == mine or theirs == (mine[0], [])  # an archive may lack the baselines

    def corpora(self, path):
        for dialogue in load_corpus(path):
            assert all(isinstance(turn.user, str) for turn in dialogue.turns)
        return True

    def predictions_(self, path):
        return all(0 <= (prediction.confidence or 0) <= 1 for prediction in PredictionFile(path))

    def checkpoints(self, path):
        epochs_done(path / "training.safetensors")
        read_checkpoint(path)
        return False

    def sessions(self, path):
        step = self.policy.resume(path.read_bytes()).respond("hello", {"results": []})
        return 0 <= step.confidence <= 1 and step.actions <= set(self.policy.actions)

    def entries(self, path):
        train, dev = (self.dialogues.with_dialogues(part) for part in (self.dialogues[:4], self.dialogues[4:6]))
        actions = ActionSpace().fit(turn.actions for dialogue in train for turn in dialogue.turns)
        parts = read_entry(path, train, dev, actions)
        if parts is None:
            raise DialogPolicyError(f"{path.name} is made anew")
        arrays = []
        for encoded in (parts.train, parts.dev):
            turns = encoded.padded_turns(range(len(encoded)))
            arrays += [encoded.features(turns), encoded.targets(turns), encoded.is_target]
        self.first_entry = self.first_entry or arrays
        return all(map(np.array_equal, arrays, self.first_entry))

    def stores(self, path):
        async def use():
            store = SqliteStore(path)
            try:
                for stored in await store.load(["s"]):
                    if stored is not None:
                        self.policy.resume(stored.data)
                await store.count()
                await store.expire()
            finally:
                await store.close()

        asyncio.run(use())
        return True


def main(kind, listed):
    attacks = Attacks()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.addaudithook(lambda event, _: executed.append(event) if event in EXECUTING else None)
    attack = getattr(attacks, kind)
    for path in json.loads(Path(listed).read_text()):
        faulthandler.dump_traceback_later(HANGS, exit=True)
        executed.clear()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        said = {"raised": "", "documented": True, "right": True}
        try:
            said["right"] = attack(Path(path))
        except DialogPolicyError as error:
            said["raised"] = f"{type(error).__name__}: {error}"
        except BaseException as error:
            said |= {"raised": f"{type(error).__name__}: {str(error)[:300]}", "documented": False}
        said["grown"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        said["executed"] = [*executed, *(TRACE for _ in [0] if os.path.exists(TRACE))]
        print(json.dumps(said), flush=True)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
