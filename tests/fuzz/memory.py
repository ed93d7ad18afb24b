"""Sources that lie in memory: a corpus is read thousands of times a second without a disk."""

import io
from pathlib import Path

from dialog_policy.corpus.readers.source import Source

__all__ = ["InFolder"]


class InFolder(Source):
    """Members of a folder that is nowhere.

    Parameters
    ----------
    contents
        Names of members, with ``/`` between folders, and their bytes.
    """

    def __init__(self, contents):
        super().__init__(Path("fuzzed"), list(contents))
        self._contents = contents

    def _open(self, member):
        return io.BufferedReader(io.BytesIO(self._contents[member]))

    def size(self, member):
        return len(self._contents[member])
