"""Train a policy that predicts a dialogue system's next actions, evaluate it offline, embed it in a chatbot.

>>> corpus = load_corpus(path)  # doctest: +SKIP
>>> policy = DialogPolicy().fit(corpus.split("train"), dev=corpus.split("dev"))  # doctest: +SKIP
>>> policy.score(corpus.split("test"))  # doctest: +SKIP
>>> policy.save("runs/mine")  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import DialogPolicyError

if TYPE_CHECKING:
    from dialog_policy.comparison import compare
    from dialog_policy.evaluation import evaluate
    from dialog_policy.network.batches import DialogueBatches
    from dialog_policy.policy import DialogPolicy
    from dialog_policy.runtime import Policy, Session

__version__ = "0.1.0"
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

# Imported when they are asked for: reading a corpus needs neither onnxruntime nor Keras.
_LATER = {
    "DialogPolicy": "policy",
    "DialogueBatches": "network.batches",
    "Policy": "runtime",
    "Session": "runtime",
    "compare": "comparison",
    "evaluate": "evaluation",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
