"""What a parser process gives up before it reads a file: network, writing, most of reading.

Landlock limits the file system to what the process needs and seccomp its system calls, both by
plain system calls: on Linux, where the kernel has them, no library and no privilege is needed.
Elsewhere only the resource limits hold.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION: Final = 1  # a flag of _CREATE: only tell the version
_READ: Final = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
_OF_A_FILE: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_RIGHTS: Final = ((1, 13), (2, 14), (3, 15), (5, 16))  # (version, rights to the file system)
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # EPERM
_AF_UNIX: Final = 1
_SYSTEM: Final = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts",
    "/etc/mime.types", "/etc/libreoffice", "/var/cache/fontconfig", "/opt/libreoffice",
    "/dev/null", "/dev/urandom", "/dev/random", "/dev/zero", "/proc/self",
    "/sys/devices/system/cpu",
)  # fmt: skip
_CALLS: Final = {  # architecture as seccomp and as `platform` name it: numbers of system calls
    "x86_64": (
        0xC000003E,
        {"socket": 41, "execve": 59, "execveat": 322, "kill": 62},
        (42, 43, 49, 50, 288),
        (101, 165, 246, 248, 249, 250, 272, 298, 304, 308, 310, 311, 321, 323, 425, 434, 438),
    ),
    "aarch64": (
        0xC00000B7,
        {"socket": 198, "execve": 221, "execveat": 281, "kill": 129},
        (200, 201, 202, 203, 242),
        (40, 97, 104, 117, 217, 218, 219, 241, 265, 268, 270, 271, 280, 282, 425, 434, 438),
    ),
}
"""connect and its kin, then: ptrace, mount, kexec, keys, namespaces, perf, handles, bpf, the memory
of other processes, userfaultfd, io_uring, pidfd."""


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def confine(*, own: Path, readable: Sequence[str] | None, converts: bool) -> list[str]:
    """Confine this process for good; the names of what the kernel enforces.

    It may write below `own` alone and read the system, Python and `readable` (None: everything).
    Only a process that `converts` may start programs and use sockets between processes.
    """
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return []
    in_force = ["landlock"] if _restrict_files(libc, own, readable, may_signal=converts) else []
    if _filter_calls(libc, converts=converts):
        in_force.append("seccomp")
    return in_force


def _restrict_files(
    libc: ctypes.CDLL, own: Path, readable: Sequence[str] | None, *, may_signal: bool
) -> bool:
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    handled = (1 << max(bits for least, bits in _RIGHTS if version >= least)) - 1
    attributes = [handled]
    if version >= 4:
        attributes.append(3)  # TCP: bind, connect
    if version >= 6:
        attributes.append(1 if may_signal else 3)  # abstract sockets, signals
    ruleset = (ctypes.c_uint64 * len(attributes))(*attributes)
    rules = libc.syscall(_CREATE, ruleset, ctypes.c_size_t(ctypes.sizeof(ruleset)), 0)
    if rules < 0:
        return False
    try:
        for path in ["/"] if readable is None else [*_SYSTEM, *_of_python(), *readable]:
            _allow(libc, rules, path, handled & _READ)
        _allow(libc, rules, str(own), handled)
        _allow(libc, rules, "/dev/null", handled & _OF_A_FILE)
        return not libc.syscall(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _of_python() -> Iterable[str]:
    return {sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, sys.path)}


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    """Add a rule for a path; one that does not exist needs none."""
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not Path(path).is_dir():
            rights &= _OF_A_FILE
        rule = _PathRule(rights, descriptor)
        libc.syscall(_ADD, rules, 1, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _filter_calls(libc: ctypes.CDLL, *, converts: bool) -> bool:
    known = _CALLS.get(platform.machine())
    if known is None:
        return False
    architecture, named, on_sockets, never = known
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, 0x40000000),  # the x32 numbers, by which a filter could be passed
        (_RETURN, 0, 0, _REFUSE),
    ]
    for number in never if converts else (*never, *on_sockets, *named.values()):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    if converts:
        code += [
            (_EQUAL, 0, 4, named["socket"]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_EQUAL, 0, 1, _AF_UNIX),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    code.append((_RETURN, 0, 0, _ALLOW))
    instructions = (_Instruction * len(code))(*(_Instruction(*each) for each in code))
    program = _Program(len(code), instructions)
    return not libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)
