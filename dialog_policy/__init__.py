"""Train a policy that predicts a dialogue system's next actions, evaluate it offline, embed it in a chatbot.

>>> corpus = load_corpus(path)  # doctest: +SKIP
>>> policy = DialogPolicy().fit(corpus.split("train"), dev=corpus.split("dev"))  # doctest: +SKIP
>>> policy.score(corpus.split("test"))  # doctest: +SKIP
>>> policy.save("runs/mine")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import DialogPolicyError

if TYPE_CHECKING:
    from dialog_policy.policy import DialogPolicy

__version__ = "0.1.0"
__all__ = ["ActionSpace", "Corpus", "DialogPolicy", "DialogPolicyError", "Dialogue", "Turn", "load_corpus"]


def __getattr__(name: str) -> Any:
    # The policy to train is loaded when it is asked for: reading a corpus needs neither onnxruntime nor Keras.
    if name == "DialogPolicy":
        from dialog_policy.policy import DialogPolicy

        return DialogPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
