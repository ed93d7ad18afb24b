"""Several processes that train one policy, on one machine or on many: who they are, and what they say to each other.

Nothing here knows what is trained, or how: :mod:`dialog_policy.network.multiprocess` does.
"""

from dialog_policy.distributed.group import Group, current_group, join
from dialog_policy.distributed.place import Place, find_place

__all__ = ["Group", "Place", "current_group", "find_place", "join"]
