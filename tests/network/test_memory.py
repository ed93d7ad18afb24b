"""What the training has glibc keep of freed memory."""

import platform
import re
import subprocess
import sys

import pytest

# Six threads, alive at the same time, take memory; glibc says from how many pools.
_PROGRAM = """
import ctypes, sys, threading
from dialog_policy.heap import keep_memory

keep_memory({arguments})
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = ctypes.c_void_p
everybody = threading.Barrier(6)

def take():
    libc.malloc(100_000)
    everybody.wait()

threads = [threading.Thread(target=take) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this system has another C library than glibc")
@pytest.mark.parametrize(("arguments", "expected"), [("arenas=1", 1), ("arenas=2", 2), ("", None)])
def test_threads_share_as_many_pools_of_memory_as_are_wanted(arguments, expected):
    program = _PROGRAM.format(arguments=arguments)
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    pools = len(re.findall(r"<heap nr=", printed))
    assert pools == expected if expected else pools > 2
