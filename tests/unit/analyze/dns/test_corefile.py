"""What is drawn from a Corefile."""

from __future__ import annotations

import pytest

from netinspect.analyze.dns.corefile import find_cluster_domain, is_reverse_zone, list_upstreams, servers_with
from netinspect.parse.corefile import parse_corefile
from tests.captures.parsers import TOOLS


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        (".:53 {\n kubernetes ip6.arpa in-addr.arpa corp.example cluster.local\n}", "corp.example"),
        (".:53 {\n kubernetes Cluster.Local. in-addr.arpa\n}", "cluster.local"),
        (".:53 {\n kubernetes fd00:10:96::/112 10.96.0.0/12 cluster.local {\n ttl 5\n }\n}", "cluster.local"),
        ("ip6.arpa cluster.local:53 {\n kubernetes\n}", "cluster.local"),
        (". {\n log\n}\nb.example {\n kubernetes b.example\n}\n. {\n kubernetes c.example\n}", "b.example"),
        ("(k) {\n kubernetes s.example\n}\n. {\n import k\n}", "s.example"),
        ("(k) {\n kubernetes s.example\n}\n. {\n log\n}", None),
        (".:53 {\n kubernetes {$DOMAIN} cluster.local\n}", None),
        (".:53 {\n kubernetes ip6.arpa in-addr.arpa\n}", None),
        (".:53 {\n kubernetes\n}", None),
        (".:53 {\n forward . ::1\n}", None),
        ("", None),
        # A comment, and a word inside of another plugin, are no plugin.
        (". {\n # kubernetes x.example\n template {\n kubernetes y.example\n }\n}", None),
    ],
)
def test_finds_the_cluster_domain(text: str, domain: str | None) -> None:
    """The first zone that is no reverse zone; None where it is not said, or only the server knows it."""
    assert find_cluster_domain(parse_corefile(text)) == domain


@pytest.mark.parametrize(
    ("case", "domain"),
    [("kubeadm", "cluster.local"), ("k3s-like", "corp.example"), ("nodelocal", None), ("everything", None)],
)
def test_finds_the_cluster_domain_of_known_corefiles(case: str, domain: str | None) -> None:
    """NodeLocal DNSCache has no kubernetes plugin: it only forwards."""
    text = (TOOLS / "corefile" / f"{case}.out").read_text()
    assert find_cluster_domain(parse_corefile(text)) == domain


@pytest.mark.parametrize(
    ("zone", "is_reverse"),
    [
        ("ip6.arpa.", True),
        ("8.b.d.0.1.0.0.2.ip6.arpa", True),
        ("10.IN-ADDR.arpa.", True),
        ("in-addr.arpa", True),
        ("notin-addr.arpa.", False),
        ("cluster.local.", False),
        (".", False),
    ],
)
def test_tells_reverse_zones_apart(zone: str, is_reverse: bool) -> None:
    """With and without the root's dot."""
    assert is_reverse_zone(zone) is is_reverse


def test_lists_the_upstreams() -> None:
    """Of every block, as written; a forward without words is left out."""
    text = ". {\n forward . 2001:db8::53 tls://9.9.9.9\n forward\n}\nx.org {\n forward x.org /etc/resolv.conf {\n }\n}"
    assert list_upstreams(parse_corefile(text)) == (
        (".", ("2001:db8::53", "tls://9.9.9.9")),
        ("x.org", ("/etc/resolv.conf",)),
    )


def test_names_the_blocks_that_a_plugin_is_in() -> None:
    """By the plugin's own line, not by a word in a block of another."""
    found = parse_corefile("a.org {\n loop\n}\nb.org {\n cache {\n loop\n }\n}")
    assert [server.zones[0].zone for server in servers_with(found, "loop")] == ["a.org."]
    assert servers_with(found, "acl") == ()
