"""The two system calls that Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os

# linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
# linux/prctl.h
PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the caller's namespaces for new ones; a new PID namespace begins with the next child (unshare(2))."""
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def set_process_name(name: str) -> None:
    """Name this process in `ps` (the kernel keeps 15 characters)."""
    _libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
