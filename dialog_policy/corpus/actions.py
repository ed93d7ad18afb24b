"""Action names to bit vectors and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["ActionSpace"]


class ActionSpace:
    """The actions a policy can take, each with its bit, by the conventions of scikit-learn's ``MultiLabelBinarizer``.

    Parameters
    ----------
    classes
        Action names in the order of their bits. :meth:`fit` sorts them; given here they are kept as they are.

    Attributes
    ----------
    classes_
        Tuple of action names, one a bit.
    """

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes_: tuple[str, ...] = tuple(classes)
        self._bit = {name: bit for bit, name in enumerate(self.classes_)}
        if len(self._bit) != len(self.classes_):
            raise ValueError("action names must be distinct")

    def __len__(self) -> int:
        return len(self.classes_)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the action names in the order of their bits."""
        return iter(self.classes_)

    def __contains__(self, name: object) -> bool:
        return name in self._bit

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionSpace) and self.classes_ == other.classes_

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ActionSpace({list(self.classes_)!r})"

    def fit(self, action_sets: Iterable[Iterable[str] | None]) -> ActionSpace:
        """Learn the actions that occur, sorted by name. None (a turn that is history only) is passed over."""
        self.__init__(sorted({name for actions in action_sets if actions is not None for name in actions}))  # type: ignore[misc]
        return self

    def bits(self, actions: Iterable[str] | None) -> list[int]:
        """Bit positions of the known actions of one set, ascending; unknown actions have none."""
        return sorted(self._bit[name] for name in actions or () if name in self._bit)

    def transform(self, action_sets: Sequence[Iterable[str] | None]) -> npt.NDArray[np.float32]:
        """Encode action sets.

        Returns
        -------
        ndarray of shape (n_sets, n_actions), float32
            One where the action is in the set. Actions unknown to this space have no bit; None gives a row of zeros.
        """
        encoded = np.zeros((len(action_sets), len(self)), dtype=np.float32)
        for row, actions in enumerate(action_sets):
            encoded[row, self.bits(actions)] = 1.0
        return encoded
