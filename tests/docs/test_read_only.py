"""Nothing that runs on a node changes it: every argv and every command of the scripts is one that only reads.

What is not known to only read fails here, so a new probe or a new program in a script has to be looked at and written
into this file and into docs/security.md.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netinspect.probes
from netinspect.models.address import parse_address
from netinspect.models.conntrack import FlowEventType
from netinspect.models.dns_query import DnsQuery
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.kubernetes import ObjectMeta, Pod
from netinspect.models.netns import NetnsSource, PodNetns, PodProcess
from netinspect.probes import (
    catalog,
    conntrack,
    conntrack_stale,
    conntrack_top,
    conntrack_watch,
    dataplane,
    dns,
    dns_servers,
    rules,
    snapshot,
    watch,
)
from netinspect.probes.plan import Plan, Probe, guard_argv
from netinspect.probes.plan import read_script as compact
from tests.docs.markdown import ROOT, section, table
from tests.docs.posix_sh import Script, SimpleCommand, read_script

SCRIPTS = ROOT / "netinspect" / "probes"
SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")
MODULES = [
    importlib.import_module(f"netinspect.probes.{each.name}")
    for each in pkgutil.iter_modules(netinspect.probes.__path__)
]

POD = Pod(metadata=ObjectMeta(name="web", namespace="demo", uid="47c7da73-f486-45b6-b7ab-1bcf1bd63978"))
NETNS = PodNetns(inode=4026532943, source=NetnsSource.PROCESS, processes=(PodProcess(737, None, 4026532943),))
ADDRESSES = (parse_address("10.244.1.5"), parse_address("fd00:10:244:1::5"))
QUERY = DnsQuery(ADDRESSES[1], "+web; reboot", "A")
WANTED = FlowFilter(protocols=frozenset((17,)))

# What each function that makes a plan or a probe makes, with arguments of every kind.
MADE: dict[str, tuple[Any, ...]] = {
    "build_netns_plan": (catalog.build_netns_plan((POD,)),),
    "build_veth_plan": (catalog.build_veth_plan((POD,), peers_of_pods=True),),
    "build_flow_probes": conntrack.build_flow_probes(),
    "build_flow_plan": (conntrack.build_flow_plan(), conntrack.build_flow_plan(ADDRESSES)),
    "build_sample_plan": (conntrack.build_sample_plan(10, ADDRESSES),),
    "build_stale_plan": (conntrack_stale.build_stale_plan(10),),
    "build_top_plan": (conntrack_top.build_top_plan(between_s=10),),
    "build_limit_plan": (conntrack.build_limit_plan(5),),
    "build_limit_now_plan": (conntrack.build_limit_now_plan(),),
    "build_watch_probe": (
        conntrack_watch.build_watch_probe(60),
        conntrack_watch.build_watch_probe(60, (FlowEventType.NEW,), WANTED),
    ),
    "build_iptables_probes": dataplane.build_iptables_probes(),
    "build_nft_tables_probe": (dataplane.build_nft_tables_probe(),),
    "build_nft_text_probe": (dataplane.build_nft_text_probe(),),
    "build_ipvs_probes": dataplane.build_ipvs_probes(),
    "build_ipset_probe": (dataplane.build_ipset_probe(),),
    "build_rules_plan": (rules.build_rules_plan(),),
    "build_iptables_plan": (rules.build_iptables_plan(rules.SAVES),),
    "build_iptables_text_plan": (rules.build_iptables_text_plan(rules.SAVES),),
    "build_nftables_plan": (rules.build_nftables_plan(),),
    "build_nftables_text_plan": (rules.build_nftables_text_plan(),),
    "build_ipvs_plan": (rules.build_ipvs_plan(stats=True), rules.build_ipvs_plan(rate=True)),
    "build_ipvs_text_plan": (
        rules.build_ipvs_text_plan(),
        rules.build_ipvs_text_plan(stats=True),
        rules.build_ipvs_text_plan(rate=True),
    ),
    "build_dataplane_plan": (dataplane.build_dataplane_plan(),),
    "build_dns_probe": (dns.build_dns_probe((QUERY,)), dns.build_dns_probe((QUERY,), netns=NETNS)),
    "build_resolver_plan": (dns.build_resolver_plan(POD),),
    "build_links_plan": (dns_servers.build_links_plan(),),
    "build_snapshot_plan": (snapshot.build_snapshot_plan((POD,)),),
    "build_series_plan": (dns_servers.build_series_plan((QUERY,), rounds=2, pause_s=0.1, limit_s=9),),
}
# The one plan that changes a node.
CHANGES = "build_set_limit_plan"


def list_probes() -> Iterator[Probe]:
    """Yield the probes that stand in the modules, and those of every plan that can be made but the one."""
    for module in MODULES:
        yield from (value for value in vars(module).values() if isinstance(value, Probe))
    for made in (*(each for plans in MADE.values() for each in plans), conntrack_watch.WATCH_PLAN):
        if isinstance(made, Plan):
            yield from made.node_probes
            yield from (probe for pod in made.pods for probe in pod.probes)
        else:
            yield made


# A snapshot gives another name to what two commands ask under one name: the command is the same.
PROBES = [
    probe
    for probe in dict.fromkeys(list_probes())
    if not (probe.name[-2:] == "-2" and probe.name[:-2] in {each.name for each in list_probes()})
]

# Of the shell itself (POSIX.1-2017, Shell & Utilities, 2.14), and what every shell has built in. Not eval, ".", trap.
BUILTINS = {
    *(":", "[", "break", "case", "command", "continue", "echo", "exec", "exit", "export", "for", "printf"),
    *("read", "return", "set", "shift", "wait"),
}

# Where output may go: another descriptor, or nowhere.
NOWHERE = {"/dev/null", "-", "1", "2", "3", "4", "8"}


def reads_only_ip(arguments: tuple[str, ...]) -> bool:
    """`ip` with options, an object and `show`, and nothing else: `ip netns exec` and `ip -batch` run what they like."""
    flags = {"-j", "-d", "-s", "-4", "-6"}
    objects = {"addr", "link", "route", "rule", "neigh"}
    words = [word for word in arguments if word not in flags]
    return len(words) == 2 and words[0] in objects and words[1] == "show"


def reads_only_lsns(arguments: tuple[str, ...]) -> bool:
    """`lsns` has nothing that changes anything, but is held to the flags that are used."""
    return all(re.fullmatch(r"-[tJo]|net|[A-Z,]+", word) for word in arguments)


def reads_only_conntrack(arguments: tuple[str, ...]) -> bool:
    """One of three commands, each flag with its value: -D, -F, -U, -I and -z change the table."""
    words = list(arguments[1:])
    values = {
        "-f": r"ipv[46]",
        "-o": r"[a-z,]+",
        "-b": r"[0-9]+",
        "-e": r"[A-Z,]+",
        "-p": r"[a-z]+",
        "-s": r"[0-9a-f.:]+",
        "-d": r"[0-9a-f.:]+",
    }
    pairs = list(zip(words[::2], words[1::2], strict=False))
    return (
        arguments[:1] in (("-L",), ("-E",), ("-S",))
        and len(words) % 2 == 0
        and all(flag in values and re.fullmatch(values[flag], value) for flag, value in pairs)
    )


def reads_only_curl(arguments: tuple[str, ...]) -> bool:
    """A GET of one address on loopback, without an output file."""
    return (
        len(arguments) == 4
        and arguments[:3] == ("-gsSf", "-m", "3")
        and re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):10249/(configz|proxyMode)", arguments[3]) is not None
    )


def reads_only_nft(arguments: tuple[str, ...]) -> bool:
    """`nft` with flags of output, `list` and an object: one name of letters, as it joins its arguments to one text."""
    words = [word for word in arguments if word not in ("-j", "-s", "-t")]
    return words == ["list", "ruleset"] or (
        len(words) == 4
        and words[:2] == ["list", "table"]
        and all(re.fullmatch(r"[a-z0-9-]+", word) for word in words[2:])
    )


def reads_only_ipvsadm(arguments: tuple[str, ...]) -> bool:
    """`ipvsadm` that saves or lists, by numbers, as it would ask the DNS for names."""
    return arguments == ("-Sn",) or (
        arguments[:1] == ("-Ln",) and set(arguments[1:]) <= {"--stats", "--rate", "--exact"}
    )


# Scripts that run a command after a look, by the number of their own arguments before it.
BEFORE_A_COMMAND = {
    "narrow.sh": 1,
    "omit.sh": 1,
    "watch.sh": 2,
    "within.sh": 2,
    "conntrack_loaded.sh": 0,
    "loaded.sh": 3,
    "iptables_nft.sh": 1,
    "iptables_legacy.sh": 1,
}


def reads_only_sh(arguments: tuple[str, ...]) -> bool:
    """A script of ours with a command that only reads, or a line of such commands."""
    if arguments[:1] != ("-c",):
        return False
    for name, before in BEFORE_A_COMMAND.items():
        if arguments[1:3] == (compact(name), "netinspect"):
            return reads_only(arguments[3 + before :])
    if arguments[1:3] in ((compact("dns.sh"), "netinspect"), (compact("resolv_conf.sh"), "netinspect")):
        return True
    if arguments[1:3] == (compact("nft_tables.sh"), "netinspect") and set(arguments[3:]) <= {"-s", "-t"}:
        return True
    return len(arguments) == 2 and all(
        each.name == "[" or (reads_only(each.words) and not writes(each))
        for each in read_script(arguments[1]).commands
    )


SAVES = ("iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save")

RULES: dict[str, Callable[[tuple[str, ...]], bool]] = {
    "ip": reads_only_ip,
    "lsns": reads_only_lsns,
    "conntrack": reads_only_conntrack,
    "curl": reads_only_curl,
    "dmesg": lambda arguments: arguments == ("--json", "-x"),
    "grep": lambda arguments: all(
        not word.startswith("-") or word in ("-H", "-Hs", "-s", "-E") for word in arguments
    ),
    "sleep": lambda arguments: len(arguments) == 1 and arguments[0].isdigit(),
    "sh": reads_only_sh,
    "nft": reads_only_nft,
    "ipvsadm": reads_only_ipvsadm,
    "ipset": lambda arguments: arguments in (("save",), ("list", "-n")),
    # No table is named: a table of the legacy backend is made by asking for it.
    **dict.fromkeys(SAVES, lambda arguments: arguments in ((), ("-c",))),
}


def reads_only(argv: tuple[str, ...]) -> bool:
    """Whether an argv is known to change nothing."""
    rule = RULES.get(argv[0]) if argv else None
    return rule is not None and rule(argv[1:])


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probes_only_read(probe: Probe) -> None:
    """Every probe's argv is known to change nothing, and so is what it is sent as."""
    assert reads_only(probe.argv)
    assert reads_only(guard_argv(probe))


def test_whatever_asks_conntrack_is_kept_from_loading_its_module() -> None:
    """The tool speaks netlink, for which the kernel loads a module."""
    asking = {probe.name for probe in PROBES if "conntrack" in probe.argv}
    assert asking == {probe.name for probe in PROBES if probe.is_conntrack}
    assert len(asking) == 7


# What speaks netlink to a part of the kernel that may be a module, and the module.
MODULES_ASKED = {
    "nft": "nf_tables",
    "iptables-nft-save": "nf_tables",
    "ip6tables-nft-save": "nf_tables",
    "ipset": "ip_set",
    "ipvsadm": "ip_vs",
}


def test_whatever_asks_a_module_is_kept_from_loading_it() -> None:
    """Each stands behind loaded.sh with the module's name; iptables-nft-save also behind iptables_nft.sh."""
    looked_at = 0
    for probe in PROBES:
        argv = probe.argv
        for at, program in enumerate(argv):
            if program not in MODULES_ASKED:
                continue
            looked_at += 1
            guard = argv.index(compact("loaded.sh"))
            assert guard < at
            assert argv[guard + 2] == MODULES_ASKED[program]
            assert ("nft-save" in program) == (
                argv[at - 3 : at - 1] == (compact("iptables_nft.sh"), "netinspect")
            )
        if compact("nft_tables.sh") in argv:
            assert argv[argv.index(compact("loaded.sh")) + 2] == "nf_tables"
    assert looked_at == 10


def test_a_watched_probe_only_reads() -> None:
    """What binds it to its listener is looked at below; behind it stands the probe's own argv."""
    probe = conntrack_watch.build_watch_probe(60)
    assert reads_only(watch.build_watch_argv(probe))
    assert not reads_only(watch.build_watch_argv(Probe("x", ("conntrack", "-F"))))


def test_one_plan_writes_and_says_what() -> None:
    """`conntrack limit --set --apply`: one sysctl, and then a look at it."""
    write, *rest = conntrack.build_set_limit_plan(4096).node_probes
    assert write.argv == ("sysctl", "-w", "net.netfilter.nf_conntrack_max=4096")
    assert not reads_only(write.argv)
    assert all(reads_only(probe.argv) for probe in rest)
    assert "`sysctl -w net.netfilter.nf_conntrack_max=N`" in SECURITY


@pytest.mark.parametrize(
    "line",
    [
        "ip link set eth0 down",
        "ip addr add 10.0.0.1/24 dev eth0",
        "ip -j route flush table main",
        "ip route del default",
        "ip netns exec a sh",
        "ip -batch commands",
        "ip link show up vrf",
        "iptables -A INPUT -j DROP",
        "iptables-legacy-save -t nat",
        "nft add table ip t",
        "nft flush ruleset",
        "nft -j list table ip x;flush",
        "nft -f /tmp/rules",
        "iptables-nft-save -t nat",
        "iptables-nft-save -M /bin/true",
        "ip6tables-legacy-save -c -t filter",
        "ipset flush",
        "ipset save -file /etc/x",
        "ipvsadm -Ln -Z",
        "ipvsadm -Z",
        "conntrack -D",
        "conntrack -L -z",
        "conntrack -E -e ALL -F",
        "dmesg --clear",
        "dmesg --json -x -C",
        "curl -o /etc/passwd http://127.0.0.1:10249/configz",
        "curl -gsSf -m 3 http://192.0.2.1:10249/configz",
        "ipvsadm -C",
        "sysctl -w net.ipv4.ip_forward=1",
        "mount -t tmpfs tmpfs /mnt",
        "sh -c id",
    ],
)
def test_what_changes_something_is_refused(line: str) -> None:
    """The rule itself knows commands that write, whatever they look like."""
    assert not reads_only(tuple(line.split()))


def test_probes_are_made_in_their_room_only() -> None:
    """No module outside of netinspect/probes writes an argv, and each function there that makes one is looked at."""
    pattern = re.compile(r"\bProbe\(")
    package = ROOT / "netinspect"
    makers = {path.parent.name for path in package.rglob("*.py") if pattern.search(path.read_text("utf-8"))}
    assert makers == {"probes"}
    made = {
        name
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("build_")
        and re.search(r"Plan|Probe", str(inspect.signature(function).return_annotation))
    }
    assert made == {*MADE, CHANGES}


def test_probes_are_documented() -> None:
    """docs/security.md lists exactly the probes by name; those that are always the same, with their command."""
    rows = {name: command for name, command, _ in table(SECURITY, "probe")}
    assert set(rows) == {probe.name for probe in PROBES if not probe.name.endswith("-again")}
    fixed = {
        value.name: value for module in MODULES for value in vars(module).values() if isinstance(value, Probe)
    }
    for name, probe in fixed.items():
        is_line = probe.argv[:2] == ("sh", "-c")
        command = probe.argv[2] if is_line else " ".join(word or "''" for word in probe.argv)
        assert rows[name.removesuffix("-again")] == command


def read(name: str) -> Script:
    return read_script((SCRIPTS / name).read_text("utf-8"))


def programs(script: Script) -> set[str]:
    """Return the programs that a script names; what an expansion names (`"$@"`) is looked at by itself."""
    return {name for name in script.names if not name.startswith("$")} - BUILTINS


def writes(command: SimpleCommand) -> list[str]:
    """Return where a command's output goes, other than to descriptors and to nowhere."""
    targets = [target for operator, target in command.redirections if operator not in ("<", "<<", "<&")]
    return [target for target in targets if target not in NOWHERE]


# What an expansion names in a script: the command that it is given (or `$tool`, which is only asked for).
GIVEN = {
    "node.sh": {"$@", "$tool"},
    "narrow.sh": {"$@"},
    "omit.sh": {"$@"},
    "loaded.sh": {"$@"},
    "iptables_nft.sh": {"$@"},
    "iptables_legacy.sh": {"$@"},
    "nft_tables.sh": set(),
    "watch.sh": {"$@", "$tool"},
    "conntrack_loaded.sh": {"$@"},
    "within.sh": {"$@"},
    "dns.sh": {"$@"},  # `set -- "$@" ...` turns the questions round; `ask "$@"` is its own function
    "resolv_conf.sh": set(),
}


@pytest.mark.parametrize("name", GIVEN)
def test_scripts_run_what_is_documented(name: str) -> None:
    """Each runs exactly the programs that docs/security.md lists for it, and what it is given."""
    script = read(name)
    assert programs(script) == {row[1] for row in table(SECURITY, "script") if row[0] == name}
    assert {each for each in script.names if each.startswith("$")} == GIVEN[name]


def test_node_side_calls_its_own_functions_only() -> None:
    """What an expansion names is a probe's argv, or a function that reads one ("run" and "probes" call theirs)."""
    script = read("node.sh")
    callers = [each for each in script.commands if each.name in ("run", "probes")]
    assert len(callers) >= 3
    assert all(each.words[1] in script.functions | {"$1"} for each in callers)


@pytest.mark.parametrize("name", GIVEN)
def test_scripts_write_no_file(name: str) -> None:
    """No output goes to a file, no text is evaluated, and nothing is read as a script."""
    script = read(name)
    assert [each for each in script.commands if writes(each)] == []
    assert not script.names & {"eval", ".", "source", "trap", "tee", "dd", "sh"}


def test_the_watcher_ends_what_it_started_only() -> None:
    """watch.sh knows two processes, by the numbers that the shell gave it, and the group that one of them leads."""
    commands = read("watch.sh").commands
    killed = {each.words for each in commands if each.name == "kill"}
    assert killed == {
        ("kill", "-s", "$1", "--", "-$child"),
        ("kill", "-s", "$1", "$child"),
        ("kill", "$watcher"),
    }
    assert {each.words for each in commands if each.name == "end"} == {("end", "HUP"), ("end", "KILL")}


def test_names_are_arguments_of_dig() -> None:
    """Each question is behind a flag of its own; dig's batch files and key files are never named."""
    (words,) = [each.words for each in read("dns.sh").commands if each.name == "dig"]
    assert words[-6:] == ("-p", "$2", "-t", "$4", "-q", "$5")
    assert "-r" in words
    assert not {"-f", "-k", "-y", "-x"} & set(words)


def test_awk_programs_only_read() -> None:
    """awk runs no command, opens no file and writes none."""
    commands = [each for each in read("node.sh").commands if each.name == "awk"]
    assert len(commands) >= 3
    for each in commands:
        for word in each.words[1:]:
            assert not re.search(r"system|getline|close|fflush|print[^\n]*>|\|\s*[\"&]", word), word


def test_enter_side_mounts_what_is_documented() -> None:
    """enter.sh mounts only inside of a mount namespace of its own, and exactly what docs/security.md lists."""
    outer = read("enter.sh")
    (text,) = [each for each in outer.literals if "mount" in each]
    inner = read_script(text)
    mounts = [" ".join(each.words) for each in inner.commands if each.name in ("mount", "umount")]
    assert mounts == [row[0] for row in table(section(SECURITY, "## What runs on the node"), "command")]
    assert programs(inner) == {"cat", "mount", "readlink", "timeout", "umount"}
    entering = next(each.words for each in outer.commands if each.words[:3] == ("set", "--", "nsenter"))
    assert entering[3:9] == ("--net=/proc/self/fd/9", "--", "unshare", "-m", "sh", "-c")
    assert entering[9] == "$inner"


def test_enter_side_does_nothing_else() -> None:
    """Outside of that namespace enter.sh only looks, and ends what it started itself."""
    outer = read("enter.sh")
    assert programs(outer) == {"cat", "kill", "nsenter", "readlink", "sh", "unshare"}
    killed = {each.words for each in outer.commands if each.name == "kill"}
    assert killed == {("kill", "$child"), ("kill", "$watcher")}
    assert [each for each in outer.commands if writes(each)] == []
    (text,) = [each for each in outer.literals if "mount" in each]
    assert {target for each in read_script(text).commands for target in writes(each)} == {"/dev/shm/$name"}


def test_there_is_no_other_script() -> None:
    """The scripts that are looked at here are all that the package ships."""
    assert {path.name for path in Path(ROOT / "netinspect").rglob("*.sh")} == {*GIVEN, "enter.sh"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ip link show | grep eth0 && rm -f x; echo done", {"ip", "grep", "rm", "echo"}),
        ('echo "a $(ip link del eth0) b"', {"echo", "ip"}),
        ("if ! { true; }; then\n  (cd / ; dd)\nfi", {"true", "cd", "dd"}),
        ('case $1 in\n  a) mount x ;;\n  *) umount "y" ;;\nesac', {"case", "mount", "umount"}),
        ("f() { # NAME\n  tee /etc/x\n}\nf", {"tee"}),
        (
            "while read -r a; do\n  reboot\ndone <<END\n$(halt) text; rm\nEND\nsync",
            {"read", "reboot", "halt", "sync"},
        ),
        ("command rm x && exec 3>&1 && exec dd", {"command", "rm", "exec", "dd"}),
        ("timeout -k 2 5 nsenter --net=x -- unshare -m sh -c y", {"timeout", "nsenter", "unshare", "sh"}),
        ("set -- rm x; set -e", {"set", "rm"}),
        ("A=1 B=$(id) 2>/dev/null env # rm\nC='rm'", {"id", "env"}),
    ],
)
def test_finds_every_command_of_a_script(text: str, names: set[str]) -> None:
    """The reader that these tests stand on finds commands wherever the shell would run them."""
    assert read_script(text).names == names


def test_does_not_guess_at_what_it_does_not_know() -> None:
    """Backquotes would hide a command: they are refused."""
    with pytest.raises(AssertionError, match="backquotes"):
        read_script('echo "`rm x`"')


def test_finds_where_output_goes() -> None:
    """Redirections are read with their targets, with and without a descriptor's number."""
    (command,) = read_script('cat <"$a" >/etc/hosts 2>&1 9>>"/var/x y"').commands
    assert command.redirections == (("<", "$a"), (">", "/etc/hosts"), (">&", "1"), (">>", "/var/x y"))
    assert writes(command) == ["/etc/hosts", "/var/x y"]
