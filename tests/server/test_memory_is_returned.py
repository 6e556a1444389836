"""The service limits glibc's allocator, so that memory which other threads freed is returned."""

import os
import platform
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt"
)
_ALLOCATE = """
import ctypes, sys, threading
from foliotrace_server.serve import limit_allocator
if sys.argv[1] == "limited":
    limit_allocator()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.free(ctypes.c_void_p(libc.malloc(ctypes.c_size_t(20_000_000))))
all_hold = threading.Barrier(7)
def hold():
    libc.malloc(ctypes.c_size_t(1_000))
    all_hold.wait()
threads = [threading.Thread(target=hold) for _ in range(6)]
for thread in threads: thread.start()
all_hold.wait()
libc.malloc(ctypes.c_size_t(2_000_000))
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""


def allocated(how: str, **environment: str) -> tuple[int, int]:
    """(arenas, blocks of their own) of a process in which seven threads allocate."""
    done = subprocess.run(
        [sys.executable, "-c", _ALLOCATE, how],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    own = re.search(r'<total type="mmap" count="(\d+)"', done.stdout)
    assert own is not None
    return len(re.findall(r"<heap nr=", done.stdout)), int(own[1])


def test_threads_share_two_arenas_and_large_blocks_are_returned_when_freed() -> None:
    arenas_before, own_before = allocated("unlimited")
    arenas, own = allocated("limited")
    assert (arenas, arenas_before) == (2, 7)
    assert own == own_before + 1


def test_what_an_operator_has_set_stays() -> None:
    assert allocated("limited", MALLOC_ARENA_MAX="4")[0] == 4
