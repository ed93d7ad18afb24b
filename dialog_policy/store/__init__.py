"""Making stores: a corpus of any size to shards of text and of features."""

from dialog_policy.store.build import prepare

__all__ = ["prepare"]
