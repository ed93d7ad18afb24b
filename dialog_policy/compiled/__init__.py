"""What is compiled from C, where a compiler was at hand; None where the package was installed without one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialog_policy.compiled import _lookup as lookup
    from dialog_policy.compiled import _step as step
else:
    try:
        from dialog_policy.compiled import _lookup as lookup
        from dialog_policy.compiled import _step as step
    except ImportError:
        lookup = step = None

__all__ = ["lookup", "step"]
