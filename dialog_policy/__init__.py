"""Train a policy that predicts a dialogue system's next actions, evaluate it offline, embed it in a chatbot.

>>> corpus = load_corpus(path)  # doctest: +SKIP
>>> policy = DialogPolicy().fit(corpus.split("train"), dev=corpus.split("dev"))  # doctest: +SKIP
>>> policy.score(corpus.split("test"))  # doctest: +SKIP
>>> policy.save("runs/mine")  # doctest: +SKIP
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dialog_policy.errors import DialogPolicyError

if TYPE_CHECKING:
    from dialog_policy.comparison import compare
    from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
    from dialog_policy.corpus.readers import load_corpus
    from dialog_policy.evaluation import evaluate
    from dialog_policy.network.batches import DialogueBatches
    from dialog_policy.policy import DialogPolicy
    from dialog_policy.runtime import Policy, Session

# Newer versions of onnxruntime send events about the machine to their maker, from the moment that they are imported. Whoever
# wants that sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.2.0"
__all__ = [
    "ActionSpace",
    "Corpus",
    "DialogPolicy",
    "DialogPolicyError",
    "Dialogue",
    "DialogueBatches",
    "Policy",
    "Session",
    "Turn",
    "compare",
    "evaluate",
    "load_corpus",
]

# Each is imported when it is first used: reading a corpus needs neither onnxruntime nor Keras.
_ROOMS = {
    "ActionSpace": "corpus",
    "Corpus": "corpus",
    "DialogPolicy": "policy",
    "Dialogue": "corpus",
    "DialogueBatches": "network.batches",
    "Policy": "runtime",
    "Session": "runtime",
    "Turn": "corpus",
    "compare": "comparison",
    "evaluate": "evaluation",
    "load_corpus": "corpus.readers",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
