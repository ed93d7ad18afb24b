"""Output files and folders: whole or not there at all, and refused in one sentence where they cannot be written.

Every output is written beside its place under the name ``.NAME.*.partial``, flushed, and renamed. What a killed process left
under such a name is removed when the same place is written again.
"""

from dialog_policy.files.bounded_zip import open_zip
from dialog_policy.files.file import atomic_write, sha256_of, write_file
from dialog_policy.files.folder import (
    atomic_folder,
    copy_folder,
    exchange_folders,
    is_recoverable,
    output_folder,
    recover_folder,
    replace_folder,
)
from dialog_policy.files.lock import locked
from dialog_policy.files.place import check_output, refusals, unlink
from dialog_policy.files.user_folder import CACHE, user_folder

__all__ = [
    "CACHE",
    "atomic_folder",
    "atomic_write",
    "check_output",
    "copy_folder",
    "exchange_folders",
    "is_recoverable",
    "locked",
    "open_zip",
    "output_folder",
    "recover_folder",
    "refusals",
    "replace_folder",
    "sha256_of",
    "unlink",
    "user_folder",
    "write_file",
]
