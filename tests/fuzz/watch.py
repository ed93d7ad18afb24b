"""Calls a target with bytes, counts, and keeps what is not documented: one input for each kind of fault."""

import hashlib
import json
import traceback
import warnings

from dialog_policy.errors import DialogPolicyError

__all__ = ["Watched"]

_OWN = ("dialog_policy", "tests/fuzz")


def _kind(error):
    """What two inputs with the same fault have in common: the exception and the innermost of our lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if any(part in frame.filename for part in _OWN)] or frames
    text = f": {str(error).partition(chr(10))[0]}" if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__}{text} at {own[-1].filename.rpartition('/')[2]}:{own[-1].lineno} ({own[-1].name})"


class Watched:
    """A target that never raises.

    Parameters
    ----------
    target
        A function of bytes.
    folder
        Where inputs with faults are written.

    Attributes
    ----------
    executions, accepted
        How many inputs there were, and how many of them raised nothing.
    faults
        Kind of fault to the file that has an input, and how many inputs showed it.
    """

    def __init__(self, target, folder):
        self._target, self._folder = target, folder
        self.executions = self.accepted = 0
        self.faults = {}
        warnings.simplefilter("ignore")

    def __call__(self, data):
        self.executions += 1
        try:
            self._target(data)
            self.accepted += 1
        except DialogPolicyError:
            pass
        except Exception as error:
            self._note(error, data)

    def _note(self, error, data):
        kind = _kind(error)
        if kind in self.faults:
            self.faults[kind]["inputs"] += 1
            return
        file = self._folder / f"fault-{hashlib.sha256(data).hexdigest()[:16]}"
        file.write_bytes(data)
        self.faults[kind] = {"file": str(file), "inputs": 1, "traceback": traceback.format_exc()[-4000:]}

    def write(self, path):
        """Write the figures as JSON."""
        path.write_text(
            json.dumps({"executions": self.executions, "accepted": self.accepted, "faults": self.faults}, indent=1)
        )
