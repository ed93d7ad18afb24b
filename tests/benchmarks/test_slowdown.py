"""A decision costs no more than it did, told by how much work of a fixed kind the same machine does in the same time.

Nothing is compared with a stored time. Both works are measured by the processor time of this thread, in turns, and the least of
each counts, so that other programs on the machine disturb little; a slow attempt is repeated before it counts.
"""

import gc
from functools import partial

import numpy as np

from benchmarks.slowdown import processor_seconds, unit_seconds
from benchmarks.workload import conversations
from dialog_policy import DialogPolicy
from dialog_policy.corpus import Corpus
from dialog_policy.runtime import Policy

# Units of the fixed work that a turn took when this was written, and half as much again.
MOST_NEW, MOST_HEARD = 1.5 * 6.9, 1.5 * 2.9
_ATTEMPTS, _ROUNDS = 4, 7


def _talk(policy, dialogues):
    for dialogue in dialogues:
        session = policy.start()
        for turn in dialogue.turns:
            session.respond(turn.user, turn.context)


def test_a_decision_has_not_become_slower():
    dialogues = list(conversations(60))
    policy = DialogPolicy(hidden=128, epochs=1).fit(Corpus(dialogues[:30]), dev=None).runtime_
    known, n_turns = dialogues[30:], sum(map(len, dialogues[30:]))
    found = []
    for _ in range(_ATTEMPTS):
        ratios = _measure(policy, known, n_turns)
        found.append(ratios)
        if ratios[0] <= MOST_NEW and ratios[1] <= MOST_HEARD:
            return
    raise AssertionError(f"units of work a turn, new and heard before: {found}; expected {MOST_NEW} and {MOST_HEARD}")


def _measure(policy, dialogues, n_turns):
    units, new, heard = [], [], []
    gc.collect()
    for _ in range(_ROUNDS):
        units.append(unit_seconds())
        policy = Policy(policy.run)  # nothing is remembered
        new.append(processor_seconds(partial(_talk, policy, dialogues)) / n_turns)
        heard.append(processor_seconds(partial(_talk, policy, dialogues)) / n_turns)
    return np.min(new) / np.min(units), np.min(heard) / np.min(units)
