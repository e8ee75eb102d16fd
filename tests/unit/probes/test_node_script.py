"""The node side's script itself, run in each shell that a node-tools image may have."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from netinspect.collect.facts import read_fact
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.parse.cgroup import parse_cgroup_grep
from netinspect.parse.frames import parse_frames, parse_log_frames
from netinspect.parse.proc import parse_comm_grep, parse_netns_listing
from netinspect.probes.plan import Plan, PodScope, Probe, build_log_command, encode_plan, node_script
from tests.unit.probes.node_world import NodeWorld, new_node, why_no_node
from tests.unit.probes.shells import SHELLS, Shell, new_shell, results_of, run_plan, why_missing


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    reason = why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    return new_shell(request.param, tmp_path_factory.mktemp("applets"))


def run_one(shell: Shell, *argv: str, timeout_s: int = 10) -> CommandResult:
    """Run one probe on the node."""
    return results_of(run_plan(shell, Plan((Probe("probe", argv, timeout_s),))))["probe"]


def raw_text(raw: bytes) -> str:
    return raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")


NASTY = [
    *(
        "$(id)",
        "`id`",
        "${PATH}",
        "$1",
        "-n",
        "--",
        "",
        "\n",
        "a\n\n\n",
        " a ",
        "a\n  b \n\tc\t",
        "\\",
        "a\\\nb",
        "\r\n",
    ),
    *(
        "'; exit 3; '",
        '"; exit 3; "',
        "END",
        ".",
        "done 1",
        "*",
        "~",
        "%s%n",
        "\\0",
        "\x81",
        "\u0081\u0088",
        "-e",
    ),
]
# Characters that mean something to a shell, to awk, to printf, or (above 0x7f) inside dash and bash themselves.
nasty = st.text("$`\"'\\()[]{};&|<>\n\r\t *?~#-!%=aé\u0081\x01\x7f🙂", max_size=12)
arguments = st.lists(
    nasty
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    | st.binary().map(raw_text)
    | st.sampled_from(NASTY),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(NASTY)
@given(arguments)
def test_every_argument_arrives_byte_for_byte(shell: Shell, given_arguments: list[str]) -> None:
    """Whatever an argument holds, the program on the node is given that and nothing else: nothing is evaluated."""
    result = run_one(shell, "printf", "%s\\0", "first", *given_arguments)
    expected = b"".join(
        each.encode("utf-8", "surrogateescape") + b"\0" for each in ("first", *given_arguments)
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, b"")


def test_both_outputs_come_apart_and_whole(shell: Shell) -> None:
    """stdout keeps its bytes, NULs included; stderr keeps its own, with all the newlines at its end."""
    result = run_one(shell, "sh", "-c", r"printf 'out\000\377\n\n'; printf 'err\n\n' >&2; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"out\0\xff\n\n", b"err\n\n")


@pytest.mark.parametrize("stdout", [b"", b"\n", b"no end", b"done 1\n", b"\x1f\x8b\x08"])
def test_an_output_that_looks_like_the_frame_around_it_is_output(shell: Shell, stdout: bytes) -> None:
    """Output is carried, not interpreted: empty, without an end, or like a mark of the stream."""
    quoted = "".join(f"\\{byte:03o}" for byte in stdout)
    result = run_one(shell, "printf", quoted)
    assert (result.exit_code, result.stdout) == (0, stdout)


def test_the_places_of_the_exit_codes(shell: Shell) -> None:
    """A program's own code is passed on; none is mistaken for another's, whichever order they come in."""
    plan = Plan(tuple(Probe(f"exit-{code}", ("sh", "-c", f"exit {code}")) for code in (0, 1, 2, 3, 125, 255)))
    codes = {name: each.exit_code for name, each in results_of(run_plan(shell, plan)).items()}
    assert codes == {f"exit-{code}": code for code in (0, 1, 2, 3, 125, 255)}


def test_a_missing_tool_is_told_from_a_failing_one(shell: Shell, tmp_path: Path) -> None:
    """127 where there is no such program, 126 where it cannot be executed."""
    missing = read_fact(run_one(shell, "netinspect-no-such-tool"), bytes)
    assert isinstance(missing, Unavailable)
    assert missing.reason is Reason.TOOL_MISSING
    assert "netinspect-no-such-tool" in missing.detail
    file = tmp_path / "tool"
    file.touch(mode=0o644)
    refused = read_fact(run_one(shell, str(file)), bytes)
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("command", ["sleep 20", "trap '' TERM; while :; do sleep 1; done"])
def test_a_probe_is_ended_at_its_time_limit(shell: Shell, command: str) -> None:
    """Also one that does not listen to TERM; what it had printed by then is kept, and the next probe runs."""
    plan = Plan(
        (Probe("slow", ("sh", "-c", f"echo begun; {command}"), timeout_s=1), Probe("next", ("echo", "here")))
    )
    results = results_of(run_plan(shell, plan))
    fact = read_fact(results["slow"], bytes)
    assert isinstance(fact, Unavailable)
    assert fact.reason is Reason.TIMED_OUT
    assert results["slow"].stdout == b"begun\n"
    assert 0.9 < results["slow"].duration_s < 10
    assert read_fact(results["next"], bytes) == Known(b"here\n")


@pytest.mark.parametrize("tool", ["awk", "grep", "gzip", "readlink", "timeout"])
def test_an_image_without_a_needed_tool_is_told_before_anything_is_run(
    shell: Shell, tool: str, tmp_path: Path
) -> None:
    """Half an answer would look like a broken stream; so nothing is answered, and the missing tool is named."""
    for other in {"awk", "grep", "gzip", "readlink", "timeout", "ls"} - {tool}:
        found = shutil.which(other)
        assert found is not None
        (tmp_path / other).symlink_to(found)
    command = Shell(shell.argv, str(tmp_path)).command()
    done = subprocess.run(command, input=encode_plan(Plan()), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (127, b"")
    assert f"{tool}: not found".encode() in done.stderr


def test_a_probe_cannot_eat_the_plan(shell: Shell) -> None:
    """A program that reads its stdin finds it empty, and the probes behind it are still known."""
    plan = Plan((Probe("cat", ("cat",)), Probe("next", ("echo", "here"))))
    results = results_of(run_plan(shell, plan))
    assert (results["cat"].exit_code, results["cat"].stdout) == (0, b"")
    assert results["next"].stdout == b"here\n"


def test_many_probes_come_in_the_order_of_the_plan(shell: Shell) -> None:
    """Each once, in order, and the end mark counts them all."""
    plan = Plan(tuple(Probe(f"p{index}", ("echo", str(index))) for index in range(60)))
    answer = run_plan(shell, plan)
    assert answer.is_whole
    assert [(each.name, each.stdout) for each in answer.results] == [
        (f"p{index}", b"%d\n" % index) for index in range(60)
    ]


def test_an_empty_plan_has_a_whole_answer(shell: Shell) -> None:
    """Nothing asked, nothing answered, and both ends agree on it; the node's netns is named all the same."""
    answer = run_plan(shell, Plan())
    assert (answer.results, answer.is_whole) == ((), True)
    assert answer.netns == os.stat("/proc/self/ns/net").st_ino


def test_a_large_output_comes_whole(shell: Shell) -> None:
    """50 MB of rules are nothing out of the ordinary."""
    last = 6_500_000
    result = run_one(shell, "seq", str(last), timeout_s=120)
    expected = hashlib.sha256()
    for start in range(1, last + 1, 100_000):
        stop = min(start + 100_000, last + 1)
        expected.update("".join(f"{number}\n" for number in range(start, stop)).encode())
    assert result.exit_code == 0
    assert len(result.stdout) > 50_000_000
    assert hashlib.sha256(result.stdout).digest() == expected.digest()


def test_output_is_streamed_while_the_probe_runs(shell: Shell, tmp_path: Path) -> None:
    """The node side holds nothing back: most of a probe's output has arrived before the probe has ended."""
    gate = tmp_path / "gate"
    # Random bytes cannot be compressed: what arrives is as much as was printed.
    slow = ("sh", "-c", f"head -c 1000000 /dev/urandom; {UNTIL_GATE}; echo passed", "sh", str(gate))
    plan = Plan((Probe("slow", slow, timeout_s=30),))
    answer = run_and_watch(shell, plan, gate, lambda received: len(received) > 500_000)
    assert answer.results[0].exit_code == 0
    assert answer.results[0].stdout.endswith(b"passed\n")


def test_each_result_is_sent_before_the_next_probe_ends(shell: Shell, tmp_path: Path) -> None:
    """A trip that is cut off late has brought home everything that was ready by then."""
    gate = tmp_path / "gate"
    slow = ("sh", "-c", UNTIL_GATE, "sh", str(gate))
    plan = Plan((Probe("fast", ("echo", "here")), Probe("slow", slow, timeout_s=30)))
    answer = run_and_watch(shell, plan, gate, lambda received: has_first(parse_frames([received])))
    assert answer.results[0].stdout == b"here\n"
    assert [each.exit_code for each in answer.results] == [0, 0]


UNTIL_GATE = 'until [ -e "$1" ]; do sleep 0.05; done'


def has_first(answer: NodeAnswer) -> bool:
    return bool(answer.results) and answer.results[0].is_whole


def run_and_watch(shell: Shell, plan: Plan, gate: Path, opens: Callable[[bytes], bool]) -> NodeAnswer:
    """Run a plan; once `opens` says so of what has come by then, make the file that its last probe waits for."""
    with subprocess.Popen(shell.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert isinstance(process.stdout, BufferedReader)
        process.stdin.write(encode_plan(plan))
        process.stdin.close()
        received = b""
        while chunk := process.stdout.read1(65536):
            received += chunk
            if opens(received):
                gate.touch()
    return parse_frames([received])


def test_a_plan_that_was_cut_is_never_answered_as_if_it_were_whole(shell: Shell) -> None:
    """Wherever the plan ends early, so does the answer: no end mark, and no probe with half of its arguments."""
    probes = (Probe("one", ("printf", "%s", "first\nsecond")), Probe("two", ("printf", "%s", "third")))
    sent = encode_plan(Plan(probes))
    whole = results_of(run_plan(shell, sent))
    assert [each.stdout for each in whole.values()] == [b"first\nsecond", b"third"]
    for length in range(len(sent)):
        answer = run_plan(shell, sent[:length])
        assert not answer.is_whole, sent[:length]
        assert [each.stdout for each in answer.results] == [
            whole[each.name].stdout for each in answer.results
        ]


def test_the_plan_in_a_pods_own_command_answers_through_its_log(shell: Shell) -> None:
    """The transport by logs: base64 lines, byte-exact again at this end."""
    argv = ("printf", "%s\\0", "$(id)", "a\nb\n", "")
    command = build_log_command(Plan((Probe("x", argv),)))
    done = subprocess.run(
        ["env", f"PATH={shell.path}", *shell.argv, *command[1:]], stdout=subprocess.PIPE, check=True
    )
    answer = parse_log_frames(done.stdout)
    assert results_of(answer)["x"].stdout == b"$(id)\0a\nb\n\0\0"


def test_the_script_fits_into_the_url_of_an_exec() -> None:
    """It travels as a query parameter, and proxies cut URLs off at 8 KB: some of that must stay for the rest."""
    assert len(quote_plus(node_script())) < 7000


def test_the_script_keeps_to_what_every_shell_takes() -> None:
    """No letter that a locale would read otherwise, no tab or CR, and nothing that a shell would keep in a file."""
    assert node_script().isascii()
    assert "\t" not in node_script()
    assert "\r" not in node_script()
    assert "<<" not in node_script(), "a here-document is a file in bash"


@pytest.fixture
def read_only() -> tuple[str, ...]:
    """A command line that runs another where no file can be written anywhere, as in our pod."""
    script = (
        "mount --make-rprivate / && mount -o remount,bind,ro / && "
        'for dir in /tmp /var/tmp /dev/shm; do mount --bind "$dir" "$dir" && mount -o remount,bind,ro "$dir" || exit; '
        'done; exec "$@"'
    )
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no mount namespace can be made: {probe.stderr.decode().strip()}")
    for directory in ("/", "/tmp", "/var/tmp", "/dev/shm"):
        file = f"{directory}/netinspect-test"
        assert subprocess.run([*prefix, "touch", file], capture_output=True, check=False).returncode != 0
    return prefix


def test_no_file_is_written(shell: Shell, read_only: tuple[str, ...]) -> None:
    """The pod's root is read-only: a shell that keeps a long text in a file would fail on a large node."""
    scopes = tuple(PodScope(f"uid-{index}", (f"needle-{index:08}",), (ECHO,)) for index in range(100))
    answer = run_plan(shell, Plan((ECHO, Probe("long", ("printf", "%s", "x" * 100_000))), scopes), read_only)
    results = results_of(answer)
    assert results["echo"].stdout == b"here\n"
    assert len(results["long"].stdout) == 100_000


ECHO = Probe("echo", ("echo", "here"))
NETNS_ID = Probe("id", ("readlink", "/proc/self/ns/net"))
"""What a pod's probe prints is the netns that it really ran in."""

UID = "47c7da73-f486-45b6-b7ab-1bcf1bd63978"
UID_ = UID.replace("-", "_")
STATIC_UID = "0123456789abcdef0123456789abcdef"
C1, C2 = "322eb454" * 8, "c9c432a0" * 8


@pytest.fixture
def node() -> Iterator[NodeWorld]:
    reason = why_no_node()
    if reason is not None:
        pytest.skip(reason)
    with new_node() as made:
        yield made


def scope(*needles: str, key: str = UID) -> PodScope:
    return PodScope(key, needles or (UID, UID_), (NETNS_ID,))


def places(
    shell: Shell, node: NodeWorld, *pods: PodScope, first: Probe = ECHO
) -> dict[str, list[tuple[str, int]]]:
    """By pod, how and in which netns its probe ran; the netns that the frame names is the one that it ran in."""
    answer = run_plan(shell, Plan((first,), pods), node.entry)
    assert answer.is_whole
    assert answer.netns == node.netns
    found: dict[str, list[tuple[str, int]]] = {}
    for result in answer.results:
        if result.name == NETNS_ID.name:
            assert (result.exit_code, result.stdout) == (0, b"net:[%d]\n" % result.netns), result
            found.setdefault(result.key, []).append((result.how, result.netns))
    return found


@pytest.mark.netns
@pytest.mark.parametrize(
    "cgroup",
    [
        f"kubepods/besteffort/pod{UID}/{C1}",
        f"kubepods/pod{UID}/{C1}/init.scope",
        f"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/cri-containerd-{C1}.scope",
        f"kubepods.slice/kubepods-pod{UID_}.slice/crio-{C1}.scope/container",
        f"kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID_}.slice/docker-{C1}.scope",
    ],
)
def test_a_pod_is_found_by_its_uid_and_by_its_container(shell: Shell, node: NodeWorld, cgroup: str) -> None:
    """Each by itself is enough, in each driver's spelling; another pod's UID or container finds nothing."""
    process = node.start(cgroup)
    here = [("process", process.netns)]
    assert places(shell, node, scope(UID, UID_)) == {UID: here}
    assert places(shell, node, scope(C1, key="by-container"), scope(C2, key="other")) == {
        "by-container": here
    }
    assert places(shell, node, scope(UID[:-1] + "9", UID_[:-1] + "9", C2)) == {}


@pytest.mark.netns
def test_a_static_pod_is_found_by_its_hash(shell: Shell, node: NodeWorld) -> None:
    """Its UID on the node has 32 digits and no dashes, with either driver."""
    for cgroup in (
        f"kubepods/pod{STATIC_UID}/{C1}",
        f"kubepods.slice/kubepods-pod{STATIC_UID}.slice/crio-{C2}.scope",
    ):
        process = node.start(cgroup)
        assert ("process", process.netns) in places(shell, node, scope(STATIC_UID))[UID]


@pytest.mark.netns
def test_conmon_never_leads_anywhere(shell: Shell, node: NodeWorld) -> None:
    """It bears the container's id, and whatever netns it is in, that is not the pod's."""
    pod = f"kubepods.slice/kubepods-besteffort-pod{UID_}.slice"
    node.start(f"{pod}/crio-conmon-{C1}.scope")
    assert places(shell, node, scope(UID, UID_, C1)) == {}
    process = node.start(f"{pod}/crio-{C1}.scope")
    assert places(shell, node, scope(UID, UID_, C1)) == {UID: [("process", process.netns)]}


@pytest.mark.netns
def test_every_netns_of_a_pod_is_probed_once(shell: Shell, node: NodeWorld) -> None:
    """A pod that makes a netns of its own (docker in docker) has two; processes that share one count once."""
    first = node.start(f"kubepods/pod{UID}/{C1}")
    node.start(f"kubepods/pod{UID}/{C1}", netns=first)
    second = node.start(f"kubepods/pod{UID}/{C2}")
    found = places(shell, node, scope())[UID]
    assert sorted(found) == sorted([("process", first.netns), ("process", second.netns)])


@pytest.mark.netns
def test_no_pod_is_probed_in_the_nodes_own_netns(shell: Shell, node: NodeWorld) -> None:
    """A process of the pod that is in the node's netns (a privileged helper) would answer for the node."""
    node.start_in_nodes_netns(f"kubepods/pod{UID}/{C1}")
    assert places(shell, node, scope()) == {}
    process = node.start(f"kubepods/pod{UID}/{C2}")
    assert places(shell, node, scope()) == {UID: [("process", process.netns)]}


@pytest.mark.netns
def test_a_pod_without_processes_is_looked_for_among_the_pins(shell: Shell, node: NodeWorld) -> None:
    """CRI-O keeps a netns by a mount alone. Pins that a process is in are taken, and not offered."""
    pinned = {name: node.pin(name) for name in ("cni-1", "cni-2")}
    process = node.start(f"kubepods/pod{STATIC_UID}/{C1}")
    taken = node.run(
        "sh", "-c", f"touch /run/netns/taken && mount --bind /proc/{process.pid}/ns/net /run/netns/taken"
    )
    assert taken == b""
    found = places(shell, node, scope(), scope(STATIC_UID, key="running"))
    assert found == {
        UID: [(f"pinned:/proc/1/root/run/netns/{name}", inode) for name, inode in pinned.items()],
        "running": [("process", process.netns)],
    }


@pytest.mark.netns
def test_pins_are_looked_for_once(shell: Shell, node: NodeWorld, tmp_path: Path) -> None:
    """Found or not: a node full of pods without processes is not searched for each of them."""
    grep, calls = shutil.which("grep", path=shell.path), tmp_path / "calls"
    spy = tmp_path / "grep"
    spy.write_text(f'#!/bin/sh\ncase "$*" in *nsfs*) echo . >>{calls} ;; esac\nexec {grep} "$@"\n')
    spy.chmod(0o755)
    scopes = [scope(f"needle-{index:08}", key=f"uid-{index}") for index in range(5)]
    assert places(Shell(shell.argv, f"{tmp_path}:{shell.path}"), node, *scopes) == {}
    assert calls.read_text() == ".\n"


@pytest.mark.netns
def test_a_process_that_ends_meanwhile_is_passed_over(shell: Shell, node: NodeWorld) -> None:
    """Its netns is entered through another of the pod's processes, or the pod is not probed: never a wrong one."""
    first = node.start(f"kubepods/pod{UID}/{C1}")
    second = node.start(f"kubepods/pod{UID}/{C1}", netns=first)
    # The node's probes run between the look at /proc and the pods.
    kill_first = Probe("kill", ("kill", "-9", str(first.pid)))
    assert places(shell, node, scope(), first=kill_first) == {UID: [("process", first.netns)]}
    kill_second = Probe("kill", ("kill", "-9", str(second.pid)))
    assert places(shell, node, scope(), first=kill_second) == {}


@pytest.mark.netns
def test_a_process_that_is_no_longer_the_pods_is_passed_over(shell: Shell, node: NodeWorld) -> None:
    """A number can be given to another process: what it belongs to is read again once its netns is held."""
    process = node.start(f"kubepods/pod{UID}/{C1}")
    elsewhere = node.cgroup(f"kubepods/pod{STATIC_UID}")
    move = Probe("move", ("sh", "-c", f"echo {process.pid} >{elsewhere}/cgroup.procs"))
    assert places(shell, node, scope(), first=move) == {}


@pytest.mark.netns
def test_a_held_netns_outlives_its_last_process(shell: Shell, node: NodeWorld) -> None:
    """All probes of a pod run in one and the same netns, though the pod ends between two of them."""
    process = node.start(f"kubepods/pod{UID}/{C1}")
    kill = Probe("kill", ("kill", "-9", str(process.pid)))
    answer = run_plan(shell, Plan((), (PodScope(UID, (UID,), (kill, NETNS_ID)),)), node.entry)
    results = results_of(answer, UID)
    assert results["kill"].exit_code == 0
    assert results["id"].stdout == b"net:[%d]\n" % process.netns


@pytest.mark.netns
def test_many_pods_with_many_processes(shell: Shell, node: NodeWorld) -> None:
    """Each pod's own netns, of a node full of them."""
    uids = [f"{index:08x}-f486-45b6-b7ab-1bcf1bd63978" for index in range(40)]
    expected = {}
    for uid in uids:
        process = node.start(f"kubepods/burstable/pod{uid}/{C1}")
        expected[uid] = [("process", process.netns)]
    scopes = [scope(uid, uid.replace("-", "_"), key=uid) for uid in uids]
    assert places(shell, node, *scopes) == expected


@pytest.mark.netns
def test_what_was_read_of_proc_is_passed_on(shell: Shell, node: NodeWorld) -> None:
    """The listings that the search was made from come home, for the judgement that awk does not make."""
    process = node.start(f"kubepods/pod{UID}/{C1}")
    results = results_of(run_plan(shell, Plan((), (scope(),)), node.entry))
    (cgroup,) = parse_cgroup_grep(results["cgroups"].stdout.strip())
    assert (cgroup.pid, cgroup.pod_uid, cgroup.container_id) == (process.pid, UID, C1)
    assert parse_netns_listing(results["netns"].stdout.strip())[process.pid] == process.netns
    assert parse_comm_grep(results["comms"].stdout.strip()) == {process.pid: "sleep"}
