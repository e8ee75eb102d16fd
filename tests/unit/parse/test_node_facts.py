"""What a node's machine is, and kube-proxy's settings, from text that is cut, foreign or odd. The usual is captured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.node_limit import KubeProxyConntrack
from netinspect.parse.kube_proxy_config import parse_config_file, parse_configz
from netinspect.parse.node_facts import count_cpus, parse_flow_bytes, parse_node_facts
from tests.captures.parsers import TOOLS

FACTS = (TOOLS / "node-facts" / "first-netns.out").read_bytes()
CONFIGZ = (TOOLS / "kube-proxy-configz" / "bench.out").read_bytes()


def test_what_is_not_listed_is_not_known() -> None:
    """A node of which nothing can be read has no facts, and no netns is taken for the machine's first."""
    facts = parse_node_facts(b"")
    assert (facts.cpus, facts.memory_bytes, facts.boot_time_s, facts.kernel_release) == (
        None,
        None,
        None,
        None,
    )
    assert not facts.is_initial_netns


@pytest.mark.parametrize(
    "line",
    [
        b"/etc/passwd:0",
        b"/proc/stat:btime x",
        b"/proc/meminfo:MemTotal: 1 MB",
        b"/sys/devices/system/cpu/online:0-",
        b"no colon",
        FACTS.splitlines()[0],
    ],
)
def test_a_line_that_was_not_asked_for_is_an_error(line: bytes) -> None:
    """Another file, another form, a file twice."""
    with pytest.raises(ParseError):
        parse_node_facts(FACTS + line + b"\n")


@given(st.integers(1, len(FACTS) - 1))
def test_a_cut_never_makes_another_number(length: int) -> None:
    """Cut anywhere, it is an error, or whole lines of the same values."""
    whole = parse_node_facts(FACTS)
    try:
        cut = parse_node_facts(FACTS[:length])
    except ParseError:
        return
    for name in ("boot_time_s", "memory_bytes", "kernel_release", "cpus"):
        assert getattr(cut, name) in (None, getattr(whole, name))


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0-3", 4), ("0-1,4,8-11", 7), ("0-255", 256)])
def test_cpus_are_counted(text: str, count: int) -> None:
    """The kernel's lists of CPUs."""
    assert count_cpus(text) == count


@pytest.mark.parametrize("text", ["", "3-1", "0,,1", "a", "0-1-2"])
def test_no_list_of_cpus(text: str) -> None:
    """Is an error."""
    with pytest.raises(ParseError):
        count_cpus(text)


@pytest.mark.parametrize(
    "stdout", [b"", b"nf_conntrack 0 0 256", b"nf_conntrack_expect 0 0 224 18 1 :\n", b"x\ny\n"]
)
def test_no_line_of_the_slab(stdout: bytes) -> None:
    """A cut line, another cache, more than one line."""
    with pytest.raises(ParseError):
        parse_flow_bytes(stdout)


@pytest.mark.parametrize("stdout", [b"", b"{}", b"<html>", b'{"kubeproxy.config.k8s.io":[]}', CONFIGZ[:-1]])
def test_another_programs_answer_is_none_of_kube_proxys(stdout: bytes) -> None:
    """Whoever listens on that port."""
    with pytest.raises(ParseError):
        parse_configz(stdout)


def test_kubeadms_file_leaves_the_defaults() -> None:
    """kubeadm writes null where nobody chose: that is not 0, which leaves the limit alone."""
    text = (
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "clusterCIDR: fd00:10:244::/48\nconntrack:\n  maxPerCore: null\n  min: null\n  tcpBeLiberal: false\n"
    )
    assert parse_config_file(text, "x") == KubeProxyConntrack(origin="x")
    chosen = text.replace("maxPerCore: null", "maxPerCore: 0").replace("min: null", "min: 5")
    assert parse_config_file(chosen, "x") == KubeProxyConntrack(max_per_core=0, min=5, origin="x")
    assert parse_config_file("kind: KubeProxyConfiguration", "x") == KubeProxyConntrack(origin="x")


@pytest.mark.parametrize(
    "text", ["", "a: [", "kind: Deployment", "kind: KubeProxyConfiguration\nconntrack: {min: many}", "- a"]
)
def test_no_configuration_of_kube_proxy(text: str) -> None:
    """Is an error that says where it was."""
    with pytest.raises(ParseError, match="there"):
        parse_config_file(text, "there")
