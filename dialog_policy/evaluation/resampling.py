"""How many resamples a bootstrap or a randomisation test may have."""

from __future__ import annotations

from dialog_policy.errors import OptionError

__all__ = ["MOST_RESAMPLES", "check_resamples"]

# The ends of an interval and a p then move by less than a thousandth from seed to seed; more would only take time and memory.
MOST_RESAMPLES = 1_000_000


def check_resamples(resamples: int, least: int) -> None:
    """Refuse a number of resamples that says nothing, or that would fill the memory.

    Raises
    ------
    OptionError
        If it is not from `least` to :data:`MOST_RESAMPLES`.
    """
    if not least <= resamples <= MOST_RESAMPLES:
        raise OptionError(
            f"expected from {least:,} to {MOST_RESAMPLES:,} resamples, found {resamples:,}. "
            "More than that change no digit that is shown and need more memory than most machines have."
        )
