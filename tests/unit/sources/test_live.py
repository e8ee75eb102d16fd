"""A plan on a live node: by exec, through a pod's log, through a pod that is there already, and without a shell.

The fake API server runs an exec's argv on this host, so the real node side answers.
"""

from __future__ import annotations

import base64
import subprocess
from typing import Any

import pytest

from netinspect.cluster.access import Handle, NodeAccess
from netinspect.cluster.client import ClusterClient
from netinspect.cluster.deadline import Deadline
from netinspect.errors import ClusterError, CommandError, ParseError, TargetError, UsageError
from netinspect.models.debug_pod import DebugPodOptions, Privilege, Transport
from netinspect.probes.plan import Plan, PodScope, Probe, encode_plan, node_script
from netinspect.sources.live import ExecNode, LiveNodes, find_via
from tests.fake import pods, programs
from tests.fake.api import FakeApi
from tests.fake.messages import Object
from tests.fake.programs import ExecCall

ECHO = Probe("echo", ("printf", "%s", "$(id)\nhere"))
FALSE = Probe("false", ("sh", "-c", "echo no >&2; exit 3"))
PLAN = Plan((ECHO, FALSE))
HANDLE = Handle("demo", "netinspect-x", "netinspect", "node-a", Privilege.SYSADMIN, is_new=True)


@pytest.fixture
def node(client: ClusterClient, fake_api: FakeApi) -> ExecNode:
    """A node whose pod runs on this host."""
    fake_api.store.add("pods", {"metadata": {"name": "netinspect-x", "namespace": "demo"}})
    fake_api.program = programs.run_locally
    return ExecNode(client, HANDLE, Deadline.after(20))


def nodes(client: ClusterClient, api: FakeApi, **options: Any) -> LiveNodes:
    ready = {"type": "Ready", "status": "True"}
    api.store.add("nodes", {"metadata": {"name": "node-a"}, "status": {"conditions": [ready]}})
    deadline = Deadline.after(20)
    access = NodeAccess(
        client, DebugPodOptions(image="tools", **options), deadline, lambda *_: None, pytest.fail
    )
    return LiveNodes(client, access, deadline)


def test_a_plan_is_run_by_exec(node: ExecNode, fake_api: FakeApi) -> None:
    """One exec of one constant script in our container; the plan goes in on stdin."""
    answer = node.run(PLAN)
    assert answer.is_whole
    shown = [(each.name, each.exit_code, each.stdout, each.stderr) for each in answer.results]
    assert shown == [("echo", 0, b"$(id)\nhere", b""), ("false", 3, b"", b"no\n")]
    (call,) = fake_api.calls
    assert call.argv == ["sh", "-c", node_script()]
    assert (call.request.one("container"), call.request.one("stdin")) == ("netinspect", "true")


def test_a_plan_longer_than_a_frame_arrives_whole(node: ExecNode) -> None:
    """Far more than the connection takes at once, while the answer comes back already."""
    probes = tuple(Probe(f"p{index}", ("printf", "%s", f"{index}-" + "x" * 60_000)) for index in range(20))
    answer = node.run(Plan(probes))
    assert answer.is_whole
    assert [each.stdout[:3] for each in answer.results] == [f"{index}-x"[:3].encode() for index in range(20)]


def test_a_server_that_knows_no_half_close_is_no_obstacle(node: ExecNode, fake_api: FakeApi) -> None:
    """v4 cannot end stdin: the plan says itself where it ends."""
    fake_api.exec_protocols = ("v4.channel.k8s.io",)
    assert node.run(PLAN).is_whole


def test_a_connection_that_breaks_leaves_what_came(node: ExecNode, fake_api: FakeApi) -> None:
    """As an answer that says that it is cut."""
    fake_api.exec_cut_after = 150
    answer = node.run(PLAN)
    assert not answer.is_whole
    assert [each.name for each in answer.results if each.is_whole] in ([], ["echo"])


def test_a_node_side_that_does_not_begin_is_an_error_with_its_complaint(
    node: ExecNode, fake_api: FakeApi
) -> None:
    """An image without gzip, say: its stderr is the message."""
    fake_api.program = programs.says(b"", b"gzip: not found\n", code=127)
    with pytest.raises(
        CommandError, match="the node side did not start on node node-a: gzip: not found"
    ) as caught:
        node.run(PLAN)
    assert "the image must hold sh" in caught.value.hint


def test_a_stream_that_ends_before_it_begins_is_an_error(node: ExecNode, fake_api: FakeApi) -> None:
    """Never an empty answer."""
    fake_api.program = programs.no_status()
    with pytest.raises(CommandError, match="the node side did not start on node node-a"):
        node.run(PLAN)


def test_words_in_place_of_the_stream_are_shown(node: ExecNode, fake_api: FakeApi) -> None:
    """Something on the node writes to stdout before us."""
    fake_api.program = programs.says(b"Welcome to node-a\n")
    with pytest.raises(ParseError, match="Welcome to node-a"):
        node.run(PLAN)


def without_shell(call: ExecCall) -> None:
    """A container that holds a few tools and no shell."""
    if call.argv[0] == "sh":
        programs.refuses('exec: "sh": executable file not found in $PATH')(call)
    else:
        programs.run_locally(call)


def test_a_pod_without_a_shell_is_asked_argv_by_argv(node: ExecNode, fake_api: FakeApi) -> None:
    """Each of the node's probes as an exec of its own; a tool that it lacks is missing, as a shell would say."""
    fake_api.program = without_shell
    answer = node.run(Plan((ECHO, Probe("nope", ("netinspect-no-such-tool",)))))
    shown = [(each.key, each.name, each.exit_code, each.stdout) for each in answer.results]
    assert shown == [("node", "echo", 0, b"$(id)\nhere"), ("node", "nope", 127, b"")]
    assert b"netinspect-no-such-tool" in answer.results[1].stderr
    assert answer.is_whole


def test_without_a_shell_no_pod_can_be_looked_into(node: ExecNode, fake_api: FakeApi) -> None:
    """The listings that lead there are told as missing, so that no pod is taken for gone."""
    fake_api.program = without_shell
    scope = PodScope("uid-1", ("needle-1",), (ECHO,))
    answer = node.run(Plan((ECHO,), (scope,)))
    missing = [(each.name, each.exit_code) for each in answer.results[1:]]
    assert missing == [("cgroups", 127), ("netns", 127), ("comms", 127)]
    with pytest.raises(CommandError, match=r"no shell \(sh\) that can run the node side on node node-a"):
        node.run(Plan((), (scope,)))


def test_a_node_is_opened_with_a_pod_and_closed_without(client: ClusterClient, fake_api: FakeApi) -> None:
    """From nothing to an answer and back."""
    fake_api.program = programs.run_locally
    live = nodes(client, fake_api)
    with live.open("node-a", Privilege.NETADMIN) as source:
        assert (source.node, source.privilege) == ("node-a", Privilege.NETADMIN)
        assert source.run(PLAN).is_whole
        assert len(fake_api.store.names("pods")) == 1
    assert fake_api.store.names("pods") == []


def test_a_plan_runs_as_the_pods_own_command_where_there_is_no_exec(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """Its log is the answer; the pod is gone afterwards; exec is never asked for."""
    fake_api.evolve = pods.succeeds
    fake_api.deny("*", "pods/exec")
    live = nodes(client, fake_api, transport=Transport.LOGS)

    def keep_log(pod: Object) -> Any:
        command = [each.replace("$$", "$") for each in pod["spec"]["containers"][0]["command"]]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        fake_api.logs[pod["metadata"]["name"]] = done.stdout
        return pods.succeeds(pod)

    fake_api.evolve = keep_log
    with live.open("node-a", Privilege.SYSADMIN) as source:
        answer = source.run(PLAN)
    assert answer.is_whole
    assert [each.stdout for each in answer.results] == [b"$(id)\nhere", b""]
    assert fake_api.store.names("pods") == []
    assert fake_api.calls == []


def test_a_log_that_was_cut_is_a_cut_answer(client: ClusterClient, fake_api: FakeApi) -> None:
    """The kubelet rotates logs at 10 MB."""
    script = subprocess.run(
        ["sh", "-c", node_script()], input=encode_plan(PLAN), stdout=subprocess.PIPE, check=True
    )
    text = base64.encodebytes(script.stdout)

    def keep_log(pod: Object) -> Any:
        fake_api.logs[pod["metadata"]["name"]] = text[: len(text) // 2]
        return pods.succeeds(pod)

    fake_api.evolve = keep_log
    with nodes(client, fake_api, transport=Transport.LOGS).open("node-a", Privilege.SYSADMIN) as source:
        assert not source.run(PLAN).is_whole


def test_a_plan_too_long_for_an_argument_is_refused_before_a_pod_is_made(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """With what to do instead."""
    live = nodes(client, fake_api, transport=Transport.LOGS)
    long = Plan((Probe("x", ("x" * 200_000,)),))
    with (
        live.open("node-a", Privilege.SYSADMIN) as source,
        pytest.raises(UsageError, match="--transport exec"),
    ):
        source.run(long)
    assert fake_api.seen("POST", "/pods$") == []


def kube_proxy(**spec: Any) -> Object:
    """A running pod that can serve as a way in."""
    return {
        "metadata": {"name": "kube-proxy-x", "namespace": "kube-system"},
        "spec": {
            "nodeName": "node-a",
            "hostNetwork": True,
            "hostPID": True,
            "containers": [
                {"name": "helper"},
                {"name": "proxy", "securityContext": {"privileged": True}},
                {"name": "dead", "securityContext": {"privileged": True}},
            ],
            **spec,
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "dead", "state": {"terminated": {"exitCode": 1}}},
                {"name": "helper", "state": {"running": {}}},
                {"name": "proxy", "state": {"running": {}}},
            ],
        },
    }


def test_a_pod_that_runs_already_can_be_the_way_in(client: ClusterClient, fake_api: FakeApi) -> None:
    """Its privileged container that runs is taken; nothing is created, nothing deleted."""
    fake_api.store.add("pods", kube_proxy())
    fake_api.program = programs.run_locally
    live = nodes(client, fake_api, via="kube-system/kube-proxy-x")
    with live.open("node-a", Privilege.SYSADMIN) as source:
        assert source.run(PLAN).is_whole
    assert fake_api.calls[0].request.path == "/api/v1/namespaces/kube-system/pods/kube-proxy-x/exec"
    assert fake_api.calls[0].request.one("container") == "proxy"
    assert (fake_api.seen("POST", "/pods$"), fake_api.seen("DELETE")) == ([], [])


@pytest.mark.parametrize(
    ("spec", "privilege"),
    [
        ({}, Privilege.SYSADMIN),
        ({"hostPID": False}, Privilege.NETADMIN),
        ({"containers": [{"name": "helper"}]}, Privilege.NETADMIN),
    ],
)
def test_what_such_a_pod_may_do_is_read_from_it(
    client: ClusterClient, fake_api: FakeApi, spec: dict[str, Any], privilege: Privilege
) -> None:
    """Privileged alone is not enough: without the node's PIDs no pod is found."""
    fake_api.store.add("pods", kube_proxy(**spec))
    assert find_via(client, "kube-system/kube-proxy-x", "node-a").privilege is privilege


@pytest.mark.parametrize(
    ("spec", "node", "message"),
    [
        ({}, "node-b", "pod kube-system/kube-proxy-x runs on node node-a, not on node-b"),
        ({"hostNetwork": False}, "node-a", "has a network of its own: --via needs a pod with hostNetwork"),
        ({"containers": [{"name": "dead"}]}, "node-a", "has no running container"),
    ],
)
def test_a_pod_that_is_no_way_in_is_refused(
    client: ClusterClient, fake_api: FakeApi, spec: dict[str, Any], node: str, message: str
) -> None:
    """It is elsewhere, sees another network, or does not run."""
    fake_api.store.add("pods", kube_proxy(**spec))
    with pytest.raises(TargetError) as caught:
        find_via(client, "kube-system/kube-proxy-x", node)
    assert message in caught.value.message


def test_a_way_in_without_a_namespace_is_looked_for_in_the_contexts(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """As any other name."""
    with pytest.raises(ClusterError, match='pods "kube-proxy-x" not found'):
        find_via(client, "kube-proxy-x", "node-a")
    assert fake_api.requests[-1].path == "/api/v1/namespaces/demo/pods/kube-proxy-x"


def test_a_refused_exec_names_the_permission_that_is_missing(node: ExecNode, fake_api: FakeApi) -> None:
    """In the server's words, or in ours where it gives none."""
    fake_api.deny("*", "pods/exec")
    with pytest.raises(ClusterError, match='"pods/exec"'):
        node.run(PLAN)
