"""A machine with a kernel of its own, for what this machine's kernel lacks or must not suffer.

qemu emulates it (no KVM: nested, it hangs), Debian's kernel runs in it, and its root is a Debian tree with the node
tools (tree.py). It has no network but `lo`, unless it is asked for one to this machine's loopback. To the package it
is a source of facts like any node.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from netinspect.errors import CommandError
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.parse.frames import Sinks, parse_frames
from netinspect.probes.plan import Plan, encode_plan, node_script
from tests.cluster.bench import host
from tests.machine.agent import Agent, ShellResult
from tests.machine.initramfs import build_initramfs
from tests.machine.tree import kernel, make_tree

QEMU = "qemu-system-x86_64"
# A program that is run on this machine, and the Debian package that has it.
PROGRAMS = {QEMU: "qemu-system-x86", "debootstrap": "debootstrap", "setpriv": "util-linux"}
# panic=-1: a kernel that panics restarts at once, and -no-reboot ends qemu then: whoever waits sees the end.
KERNEL_PARAMETERS = "console=ttyS0 quiet panic=-1 mitigations=off"


@dataclass(frozen=True)
class MachineOptions:
    """How the machine is made.

    Attributes:
        cpus: processors, each a thread of qemu.
        memory_mib: memory, in MiB.
        kernel_parameters: more of them (Linux, Documentation/admin-guide/kernel-parameters.rst).
        boot_timeout_s: for the way from qemu's start to the agent's first words.
        folders: more folders that are shared read-only (9p), by their mount tag.
        has_network: whether there is a link beside `lo`, at whose other end 10.0.2.2 is this machine's loopback
            (qemu, "user" network). Nobody gives it an address, and there are no routes, but by a test.
    """

    cpus: int = 2
    memory_mib: int = 1024
    kernel_parameters: str = ""
    boot_timeout_s: float = 180.0
    folders: Mapping[str, Path] = field(default_factory=dict)
    has_network: bool = False


DEFAULT = MachineOptions()


class MachineError(Exception):
    """The machine did not come up, or ended, or did not answer; with the end of what its console said."""


class Machine:
    """A machine that runs. It is a `netinspect.sources.interface.NodeSource`."""

    node = "machine"
    privilege = Privilege.SYSADMIN

    def __init__(self, process: subprocess.Popen[bytes], agent: Agent, console: BinaryIO) -> None:
        self._process = process
        self._agent = agent
        self._console = console
        self.kernel_release = ""

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run a plan with the package's own node side, as it is run in a debug pod."""
        done = self._ask(node_script(), encode_plan(plan), 300)
        answer = parse_frames([done.stdout], sinks)
        if answer.netns is None:
            raise CommandError(f"the node side did not start on node {self.node}: {done.stderr.decode()}")
        return answer

    def shell(self, script: str, timeout_s: int = 60) -> ShellResult:
        """Run any script as root, by `sh`."""
        return self._ask(script, b"", timeout_s)

    def check(self, script: str, timeout_s: int = 60) -> bytes:
        """Run a script that must end well, and return its output."""
        done = self.shell(f"set -e\n{script}", timeout_s)
        if done.exit_code != 0:
            words = (done.stderr or done.stdout).decode("utf-8", "replace")
            raise MachineError(f"exit status {done.exit_code} of:\n{script}\n{words}")
        return done.stdout

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until scripts can be run.

        Raises:
            MachineError: the machine ended, or the time did.
        """
        try:
            self.kernel_release = self._agent.wait_until_ready(timeout_s)
        except (OSError, ValueError) as error:
            raise self._explain(error, f"did not come up within {timeout_s:g} s") from error

    def _ask(self, script: str, stdin: bytes, timeout_s: int) -> ShellResult:
        try:
            return self._agent.run(script, stdin, timeout_s)
        except (OSError, ValueError) as error:
            raise self._explain(error, f"gave no answer within {timeout_s} s") from error

    def _explain(self, error: Exception, late: str) -> MachineError:
        what = late if isinstance(error, TimeoutError) else f"is of no use any more ({error})"
        return MachineError(f"the test machine {what}; the end of its console:\n{self._console_tail()}")

    def _console_tail(self) -> str:
        # pread: qemu writes at the offset that this descriptor shares with it.
        size = os.fstat(self._console.fileno()).st_size
        end = os.pread(self._console.fileno(), 8192, max(0, size - 8192))
        return "\n".join(end.decode("utf-8", "replace").splitlines()[-40:])


def why_not() -> str | None:
    """Say why no machine can be booted here; None where it can, if need be after an installation."""
    if os.geteuid() != 0:
        return "needs root: the machine's file tree has files of many owners"
    if platform.machine() != "x86_64":
        return f"needs an x86-64 machine, not {platform.machine()}"
    if shutil.which("apt-get") is None:
        return "needs apt-get: the machine's kernel and tools are Debian packages"
    return None


@contextmanager
def booted(options: MachineOptions = DEFAULT) -> Iterator[Machine]:
    """Boot a machine, and end it; nothing of it is left, nor if this process is killed.

    It ends with the thread that booted it at the latest (PR_SET_PDEATHSIG): do not boot it in a short-lived one.

    Raises:
        BenchError: what it is made of could not be had.
        MachineError: it did not come up.
    """
    _install_programs()
    tree = make_tree()
    with ExitStack() as stack:
        # None of the three has a name in a file system: they go with the last process that has them open.
        console = stack.enter_context(tempfile.TemporaryFile())
        initramfs = stack.enter_context(tempfile.TemporaryFile())
        initramfs.write(build_initramfs(tree))
        initramfs.flush()
        near, far = socket.socketpair()
        stack.enter_context(near)
        with far:
            argv = _build_argv(options, tree, initramfs.fileno(), far.fileno())
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=(initramfs.fileno(), far.fileno()),
            )
        stack.callback(_end, process)
        machine = Machine(process, Agent(near), console)
        machine.wait_until_ready(options.boot_timeout_s)
        yield machine


def _install_programs() -> None:
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        host.install(missing)


def _build_argv(options: MachineOptions, tree: Path, initramfs: int, port: int) -> list[str]:
    return [
        *(QEMU, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-accel", "tcg", "-cpu", "max", "-smp", str(options.cpus), "-m", f"{options.memory_mib}M"),
        *("-kernel", str(kernel(tree)), "-initrd", f"/proc/self/fd/{initramfs}"),
        *("-append", f"{KERNEL_PARAMETERS} {options.kernel_parameters}".strip()),
        *("-serial", "stdio", "-device", "virtio-rng-pci"),
        *(word for tag, folder in {"tree": tree, **options.folders}.items() for word in _share(tag, folder)),
        *(
            ("-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net")
            if options.has_network
            else ()
        ),
        *("-chardev", f"socket,id=agent,fd={port}", "-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=agent,name=netinspect"),
    ]


def _share(tag: str, folder: Path) -> tuple[str, str]:
    path = str(folder).replace(",", ",,")
    return "-virtfs", f"local,path={path},mount_tag={tag},security_model=none,readonly=on"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it: there is nothing in it that would have to be written back."""
    process.kill()
    process.wait()
