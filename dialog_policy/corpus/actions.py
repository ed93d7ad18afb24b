"""Action names to bit vectors and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.errors import OptionError

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

    Raises
    ------
    OptionError
        If `classes` is a single text; and by the methods, if a single text is given for a set of actions.
    """

    def __init__(self, classes: Sequence[str] = ()) -> None:
        if isinstance(classes, str):
            raise OptionError(f"expected a list of action names, found the text {classes!r}. Write [{classes!r}].")
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
        self.__init__(sorted({name for actions in action_sets for name in _as_set(actions)}))  # type: ignore[misc]
        return self

    def bits(self, actions: Iterable[str] | None) -> list[int]:
        """Bit positions of the known actions of one set, ascending; unknown actions have none."""
        return sorted(self._bit[name] for name in _as_set(actions) if name in self._bit)

    def transform(self, action_sets: Iterable[Iterable[str] | None]) -> npt.NDArray[np.float32]:
        """Encode action sets.

        Returns
        -------
        ndarray of shape (n_sets, n_actions), float32
            One where the action is in the set. Actions unknown to this space have no bit; None gives a row of zeros.
        """
        rows = [self.bits(actions) for actions in action_sets]
        encoded = np.zeros((len(rows), len(self)), dtype=np.float32)
        for row, bits in enumerate(rows):
            encoded[row, bits] = 1.0
        return encoded

    def inverse_transform(self, encoded: npt.ArrayLike) -> list[frozenset[str]]:
        """Decode action sets.

        Parameters
        ----------
        encoded
            Bits, shape (n_sets, n_actions): 0 and 1, or False and True.

        Returns
        -------
        list of frozenset
            For each row the actions whose bit is set.

        Raises
        ------
        OptionError
            If the shape is another one, or a number is neither 0 nor 1, as in probabilities.
        """
        try:
            bits = np.asarray(encoded)
        except ValueError as error:  # rows of different lengths
            raise OptionError(
                f"expected bits of shape (n_sets, {len(self)}), a column for each action ({error})."
            ) from None
        if bits.ndim != 2 or bits.shape[1] != len(self):
            raise OptionError(
                f"expected bits of shape (n_sets, {len(self)}), a column for each action; found {bits.shape}."
            )
        is_set = bits == 1
        if not (is_set | (bits == 0)).all():
            row, column = np.argwhere(~(is_set | (bits == 0)))[0].tolist()
            raise OptionError(
                f"expected bits, 0 or 1; found {bits[row, column]} in row {row}, column {column}. Of probabilities, "
                "`probabilities > 0.5` are bits."
            )
        return [frozenset(self.classes_[bit] for bit in np.flatnonzero(row)) for row in is_set]


def _as_set(actions: Iterable[str] | None) -> Iterable[str]:
    """Return a set of actions, empty for None; the letters of a text are none."""
    if isinstance(actions, str):
        raise OptionError(f"expected a set of action names, found the text {actions!r}. Write {{{actions!r}}}.")
    return actions or ()
