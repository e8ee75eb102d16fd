"""A made-up /proc and /var/log of a node."""

from __future__ import annotations

import os
from pathlib import Path

HOST_NETNS = 4026531840

TRIE = "Main:\n  |-- {}\n     /32 host LOCAL\n  |-- 127.0.0.1\n     /32 host LOCAL\n"
INET6 = "{} 02 40 00 80     eth0\n"


class LocalTree:
    """Writes what the kernel and the kubelet would."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.logs = root / "log"
        (self.logs / "pods").mkdir(parents=True)
        (self.logs / "containers").mkdir()
        self._set_netns("self", HOST_NETNS)

    def add_process(
        self,
        pid: int,
        cgroup: str,
        netns: int | None = HOST_NETNS,
        *,
        comm: str = "web",
        argv: tuple[str, ...] = (),
        ipv4: tuple[str, ...] = (),
        ipv6: tuple[str, ...] = (),
    ) -> None:
        """Add a process; `ipv6` are addresses in the kernel's 32 digits."""
        folder = self.proc / str(pid)
        (folder / "net").mkdir(parents=True)
        (folder / "cgroup").write_text(cgroup)
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cmdline").write_text("".join(f"{word}\0" for word in argv))
        (folder / "net" / "fib_trie").write_text("".join(TRIE.format(each) for each in ipv4))
        (folder / "net" / "if_inet6").write_text("".join(INET6.format(each) for each in ipv6))
        if netns is not None:
            self._set_netns(str(pid), netns)

    def add_logs(self, folder: str, *links: str) -> None:
        """Add a pod's folder of logs, and links to its containers'."""
        (self.logs / "pods" / folder).mkdir()
        for link in links:
            (self.logs / "containers" / link).touch()

    def _set_netns(self, pid: str, inode: int) -> None:
        place = self.proc / pid / "ns"
        place.mkdir(parents=True, exist_ok=True)
        os.symlink(f"net:[{inode}]", place / "net")
