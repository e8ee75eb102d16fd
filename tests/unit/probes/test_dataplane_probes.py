"""The scripts that stand before the tools, as this machine's shells run them; other kernels: tests/machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netinspect.probes import dataplane
from netinspect.probes.plan import Plan, encode_plan, read_script
from tests.unit.probes.shells import SHELLS, why_missing

GUARDED = dataplane.build_nft_tables_probe().argv
OMIT = read_script("omit.sh")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Each shell, as it runs a script."""
    reason = why_missing(request.param)
    if reason:
        pytest.skip(reason)
    return (*(("busybox", "sh") if request.param == "busybox" else (request.param,)), "-c")


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_no_table_of_the_legacy_backend_is_named() -> None:
    """Naming one would make it."""
    probes = (*dataplane.build_iptables_probes(), *dataplane.build_dataplane_plan().node_probes)
    legacy = [each for each in probes if "legacy" in each.name]
    assert len(legacy) == 4
    assert not any("-t" in each.argv for each in legacy)


def test_both_families_of_both_backends_are_asked_for() -> None:
    """By the plan of `dataplane`, too; names are the tools'."""
    tools = ("iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save")
    assert tuple(each.name for each in dataplane.build_iptables_probes()) == tools
    assert [each.argv[-1] for each in dataplane.build_iptables_probes()] == ["-c"] * 4
    planned = {each.name: each for each in dataplane.build_dataplane_plan().node_probes}
    assert [planned[name].argv[-1] for name in tools] == list(tools)


def test_the_plan_can_be_sent() -> None:
    """As one text for the node side."""
    assert encode_plan(dataplane.build_dataplane_plan())
    assert encode_plan(Plan((*dataplane.build_ipvs_probes(), dataplane.build_ipset_probe())))


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        (":KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]", False),
        ("-A KUBE-SEP-5IQAEH3A2OZOEQGH -s 10.0.0.1/32 -j KUBE-MARK-MASQ", False),
        ("-A KUBE-EXT-5IQAEH3A2OZOEQGH -j KUBE-SVL-5IQAEH3A2OZOEQGH", False),
        ("-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-NPX46M4PTMTKRN6Y", True),
        (":KUBE-SERVICES - [0:0]", True),
        ("-A KUBE-FORWARD -j ACCEPT", True),
        ("*nat", True),
        ("COMMIT", True),
    ],
)
def test_rules_of_single_services_stay_on_the_node(shell: tuple[str, ...], line: str, is_kept: bool) -> None:
    """What dispatches to them, and everything else, travels."""
    save = next(each for each in dataplane.build_dataplane_plan().node_probes if "legacy" in each.name).argv
    assert save[:4] == ("sh", "-c", OMIT, "netinspect")
    done = run(*shell, OMIT, "netinspect", save[4], "echo", line)
    assert (done.returncode, done.stdout) == (0, f"{line}\n" if is_kept else "")


def test_a_failing_tool_fails_the_narrowed_probe(shell: tuple[str, ...]) -> None:
    """Its exit code and its complaint come through; half of the rules is not taken for all."""
    done = run(*shell, OMIT, "netinspect", "^x", "sh", "-c", "echo a; echo why >&2; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, "a\n", "why\n")
    assert run(*shell, OMIT, "netinspect", "[", "echo", "a").returncode == 2


def test_what_the_kernel_does_not_have_is_empty(shell: tuple[str, ...]) -> None:
    """No module of the name, no symbol, and the kernel's symbols can be read: nothing is there."""
    script = read_script("loaded.sh")
    done = run(*shell, script, "netinspect", "nf_unheard_of", "nf_unheard_of_init", "[]", "false")
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert "the kernel has no nf_unheard_of" in done.stderr
    nothing = run(*shell, script, "netinspect", "nf_unheard_of", "nf_unheard_of_init", "", "false")
    assert (nothing.returncode, nothing.stdout) == (0, "")


def test_what_the_kernel_has_is_asked(shell: tuple[str, ...]) -> None:
    """A symbol that every kernel has stands for a module that is built in."""
    script = read_script("loaded.sh")
    done = run(*shell, script, "netinspect", "x", "register_netdevice", "[]", "echo", "a b", "c")
    assert (done.returncode, done.stdout) == (0, "a b c\n")


def test_without_tables_of_the_legacy_backend_its_tool_is_not_needed(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """No list, or an empty one: nothing is there. Otherwise the tool is asked."""
    script, names = read_script("iptables_legacy.sh"), tmp_path / "ip6_tables_names"
    argv = (*shell, script, "netinspect", str(names), "echo", "rules")
    assert (run(*argv).returncode, run(*argv).stdout) == (0, "")
    names.write_text("")
    assert (run(*argv).returncode, run(*argv).stdout) == (0, "")
    names.write_text("nat\nfilter\n")
    assert (run(*argv).returncode, run(*argv).stdout) == (0, "rules\n")
    # What cannot be read is not taken for empty.
    assert run(*argv[: 5 if shell[0] == "busybox" else 4], str(tmp_path), "echo", "rules").stdout == "rules\n"


def test_each_family_looks_at_its_own_list() -> None:
    """IPv4's and IPv6's tables are listed apart."""
    probes = {each.name: each.argv for each in dataplane.build_iptables_probes()}
    assert probes["iptables-legacy-save"][4] == "/proc/net/ip_tables_names"
    assert probes["ip6tables-legacy-save"][4] == "/proc/net/ip6_tables_names"
