"""What a dialogue is, and how it is read. Nothing here knows of vectors."""

from dialog_policy.corpus.actions import ActionSpace
from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.dialogue import Dialogue, Turn

__all__ = ["ActionSpace", "Corpus", "Dialogue", "Turn"]
