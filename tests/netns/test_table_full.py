"""A table that is really full: what the kernel's log, the statistics and the sysctls say then, read by the parsers."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from netinspect.models.conntrack_limit import KernelLogLine, TableFull
from netinspect.parse.conntrack_limit import (
    find_table_full,
    parse_kernel_log,
    parse_statistics,
    parse_sysctls,
)
from netinspect.probes.conntrack import KERNEL_LOG, LIMITS, STATISTICS
from tests.netns.table import LIMIT, fill_table, send_one
from tests.netns.world import Netns, World, run

pytestmark = pytest.mark.netns

TOOLS = ("conntrack", "nft", "dmesg")
# Half a minute, and 200 MB of kernel memory.
MOST = 600_000
NAMES_NETNS_SINCE = (6, 18)
ADDRESSES = ("::1", "127.0.0.1")


def why_not() -> str | None:
    """Say why no table can be filled here; None where one can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not LIMIT.exists():
        return f"this kernel has no {LIMIT}"
    if int(LIMIT.read_text()) > MOST:
        return f"the limit of this machine, {LIMIT.read_text().strip()}, is above {MOST}"
    release = os.uname().release
    if tuple(map(int, release.split(".")[:2])) < NAMES_NETNS_SINCE:
        return f"kernel {release} does not say which netns' table is full"
    return None


@pytest.fixture
def full(world: World) -> Netns:
    """A namespace whose table holds as many entries as the machine's limit allows."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    fill_table(world.node)
    return world.node


def read_log() -> tuple[KernelLogLine, ...]:
    return parse_kernel_log(run(*KERNEL_LOG.argv))


def wait_for_line(netns: Netns, since_s: float) -> tuple[TableFull, ...]:
    """Send packets until the log has a line of this netns: the kernel writes at most ten in five seconds."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for address in ADDRESSES:
            assert not send_one(netns, address)
        fresh = tuple(each for each in read_log() if (each.time_s or 0.0) > since_s)
        found = tuple(each for each in find_table_full(fresh) if each.netns == netns.inode)
        if found:
            return found
        time.sleep(1)
    raise TimeoutError(f"no line of {netns.inode} in the log since {since_s}: {read_log()[-20:]}")


def test_the_log_names_the_netns_whose_table_is_full(full: Netns) -> None:
    """Once a packet is dropped, and not before, a line is found with exactly the inode of the namespace."""
    before = max((each.time_s or 0.0 for each in read_log()), default=0.0)
    lines = wait_for_line(full, before)
    assert f"table full in netns {full.inode}, dropping packet" in lines[0].raw
    assert all(line.time_s is not None for line in lines)


def test_counters_tell_of_a_full_table(full: Netns) -> None:
    """As many entries as may be, and a packet of each family dropped: the count is the limit, `drop` is two."""
    sysctls = parse_sysctls(full.enter(*LIMITS.argv))
    assert sysctls.count == sysctls.max == int(LIMIT.read_text())
    assert [send_one(full, address) for address in ADDRESSES] == [False, False]
    statistics = parse_statistics(full.enter(*STATISTICS.argv))
    assert sum(each.counters["drop"] for each in statistics) == 2
    assert sum(each.counters["early_drop"] for each in statistics) == 0


def test_another_netns_is_not_full(full: Netns, world: World) -> None:
    """The limit is one for the machine, the count each namespace's own."""
    other = world.new_netns()
    sysctls = parse_sysctls(other.enter(*LIMITS.argv))
    assert (sysctls.count, sysctls.max) == (0, int(LIMIT.read_text()))
