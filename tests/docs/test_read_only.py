"""Nothing that runs on a node changes it: every argv and every command of the scripts is one that only reads.

What is not known to only read fails here, so a new probe or a new program in a script has to be looked at and written
into this file and into docs/security.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from netinspect.probes import catalog
from netinspect.probes.plan import Probe
from tests.docs.markdown import ROOT, section, table
from tests.docs.posix_sh import Script, SimpleCommand, read_script

PROBES = [value for value in vars(catalog).values() if isinstance(value, Probe)]
SCRIPTS = ROOT / "netinspect" / "probes"
SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")

# Of the shell itself (POSIX.1-2017, Shell & Utilities, 2.14), and what every shell has built in. Not eval, ".", trap.
BUILTINS = {
    "[",
    "break",
    "case",
    "command",
    "continue",
    "echo",
    "exec",
    "exit",
    "export",
    "for",
    "printf",
    "read",
}
BUILTINS |= {"return", "set", "shift", "wait"}

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


RULES: dict[str, Callable[[tuple[str, ...]], bool]] = {"ip": reads_only_ip, "lsns": reads_only_lsns}


def reads_only(argv: tuple[str, ...]) -> bool:
    """Whether an argv is known to change nothing."""
    rule = RULES.get(argv[0])
    return rule is not None and rule(argv[1:])


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probes_only_read(probe: Probe) -> None:
    """Every probe's argv is known to change nothing."""
    assert reads_only(probe.argv)


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
        "conntrack -D",
        "ipvsadm -C",
        "sysctl -w net.ipv4.ip_forward=1",
        "mount -t tmpfs tmpfs /mnt",
        "sh -c id",
    ],
)
def test_what_changes_something_is_refused(line: str) -> None:
    """The rule itself knows commands that write, whatever they look like."""
    assert not reads_only(tuple(line.split()))


def test_probes_are_made_in_the_catalogue_only() -> None:
    """No other module writes an argv, and the catalogue writes them where this test finds them."""
    makers = {}
    for path in (ROOT / "netinspect").rglob("*.py"):
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Probe"
        ]
        if calls:
            makers[path.name] = len(calls)
    assert makers == {"catalog.py": len(PROBES)}


def test_probes_are_documented() -> None:
    """docs/security.md lists exactly the probes, each with its command."""
    rows = table(SECURITY, "probe")
    assert [row[:2] for row in rows] == [(probe.name, " ".join(probe.argv)) for probe in PROBES]


def read(name: str) -> Script:
    return read_script((SCRIPTS / name).read_text("utf-8"))


def programs(script: Script) -> set[str]:
    """Return the programs that a script names; what an expansion names (`"$@"`) is looked at by itself."""
    return {name for name in script.names if not name.startswith("$")} - BUILTINS


def writes(command: SimpleCommand) -> list[str]:
    """Return where a command's output goes, other than to descriptors and to nowhere."""
    targets = [target for operator, target in command.redirections if operator not in ("<", "<<", "<&")]
    return [target for target in targets if target not in NOWHERE]


def test_node_side_runs_what_is_documented() -> None:
    """node.sh runs exactly the programs that docs/security.md lists, and probes."""
    script = read("node.sh")
    assert programs(script) == {row[0] for row in table(SECURITY, "program")}
    # What an expansion names is a probe's argv, or a function that reads one ("run" and "probes" call theirs);
    # `$tool` is only asked for (`command -v`).
    assert {name for name in script.names if name.startswith("$")} == {"$@", "$tool"}
    callers = [each for each in script.commands if each.name in ("run", "probes")]
    assert len(callers) >= 3
    assert all(each.words[1] in script.functions | {"$1"} for each in callers)


def test_node_side_writes_no_file() -> None:
    """No output of node.sh goes to a file, no text is evaluated, and nothing is read as a script."""
    script = read("node.sh")
    assert [each for each in script.commands if writes(each)] == []
    assert not script.names & {"eval", ".", "source", "trap", "tee", "dd", "sh"}


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
    """The two scripts that are looked at here are all that the package ships."""
    assert {path.name for path in Path(ROOT / "netinspect").rglob("*.sh")} == {"node.sh", "enter.sh"}


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
