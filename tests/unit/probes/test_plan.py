"""The plan as a value, and its form on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.models.kubernetes import (
    CONFIG_HASH_ANNOTATION,
    MIRROR_ANNOTATION,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    ObjectMeta,
    Pod,
    PodStatus,
)
from netinspect.probes.catalog import LINKS, NAMESPACES, build_netns_plan, build_veth_plan
from netinspect.probes.plan import (
    Plan,
    PodScope,
    Probe,
    build_log_command,
    build_pod_scope,
    compact_script,
    encode_plan,
    node_script,
)

UID = "47c7da73-f486-45b6-b7ab-1bcf1bd63978"
APP, INIT, SIDECAR = "a" * 64, "b" * 64, "c" * 64


def pod(annotations: dict[str, str] | None = None, **containers: str) -> Pod:
    """A pod; by list of statuses, the id in it."""
    statuses = {
        name: (ContainerStatus(name=name, container_id=id_),) for name, id_ in containers.items() if id_
    }
    return Pod(
        metadata=ObjectMeta(name="web-1", uid=UID, annotations=annotations or {}),
        status=PodStatus(**statuses),  # type: ignore[arg-type]
    )


def test_a_plan_on_the_wire() -> None:
    """Needles, an end of them, the node's probes, the pods: one value a line, arguments behind their line count."""
    probe = Probe("links", ("ip", "a\nb", ""), timeout_s=3)
    plan = Plan((probe,), (PodScope("uid-1", ("needle-1", "needle-2"), (Probe("x", ("true",)),)),))
    assert encode_plan(plan) == (
        b"uid-1 needle-1\nuid-1 needle-2\n.\n"
        b"1\nlinks 3 3\n1\nip\n2\na\nb\n1\n\n"
        b"1\nuid-1\n1\nx 10 1\n1\ntrue\n"
    )


def test_an_empty_plan_is_still_a_plan() -> None:
    """No needle, no probe, no pod."""
    assert encode_plan(Plan()) == b".\n0\n0\n"


def test_a_pod_is_known_by_its_uid_in_both_spellings_and_by_every_container() -> None:
    """systemd's driver turns the dashes of a UID into underscores; sidecars and debug containers count, too."""
    scope = build_pod_scope(
        pod(
            container_statuses=f"containerd://{APP}",
            init_container_statuses=f"cri-o://{INIT}",
            ephemeral_container_statuses=f"docker://{SIDECAR}",
        ),
        (LINKS,),
    )
    assert scope == PodScope(UID, (UID, UID.replace("-", "_"), APP, INIT, SIDECAR), (LINKS,))


def test_a_static_pod_is_known_by_the_hash_that_the_node_knows_it_by() -> None:
    """The UID in the API is the mirror's; the key stays that UID, the needle is the hash."""
    hash_ = "0123456789abcdef0123456789abcdef"
    scope = build_pod_scope(pod({MIRROR_ANNOTATION: hash_, CONFIG_HASH_ANNOTATION: hash_}))
    assert scope == PodScope(UID, (hash_,))


@pytest.mark.parametrize(
    "id_", ["containerd://", "containerd://short", "containerd://a b c d e f g h", "x://" + "-" * 64]
)
def test_an_id_that_is_no_word_is_not_looked_for(id_: str) -> None:
    """A needle that is empty or short would be in every path; one with a blank would end the line early."""
    assert build_pod_scope(pod(container_statuses=id_)).needles == (UID, UID.replace("-", "_"))


def test_a_dead_containers_id_is_of_no_use() -> None:
    """Only the status's own id is taken: that of the last run has no process."""
    last = ContainerState(terminated=ContainerStateTerminated(container_id=f"containerd://{APP}"))
    status = PodStatus(container_statuses=(ContainerStatus(name="app", last_state=last),))
    assert APP not in build_pod_scope(Pod(metadata=ObjectMeta(uid=UID), status=status)).needles


@pytest.mark.parametrize(
    "plan",
    [
        Plan((Probe("links", ("ip", "a\0b")),)),
        Plan((Probe("two words", ("ip",)),)),
        Plan((Probe("line\n", ("ip",)),)),
        Plan((Probe("", ("ip",)),)),
        Plan(pods=(PodScope("uid\n1", ("needle-1",)),)),
        Plan(pods=(PodScope("uid 1", ("needle-1",)),)),
        Plan(pods=(PodScope("uid-1", ("short",)),)),
        Plan(pods=(PodScope("uid-1", ("needle-1\n",)),)),
        Plan(pods=(PodScope("uid-1", ("needle-1",), (Probe("x", ("\0",)),)),)),
    ],
)
def test_what_the_node_could_not_read_is_not_sent(plan: Plan) -> None:
    """A value that would break out of its line, or end an argument early, is refused at home."""
    with pytest.raises(ValueError, match=r"not a word|cannot be sent"):
        encode_plan(plan)


@given(st.binary().filter(lambda raw: b"\0" not in raw))
def test_bytes_that_are_no_text_are_sent_as_they_are(raw: bytes) -> None:
    """A file's name on a node may be any bytes; Python holds them as lone surrogates."""
    argument = raw.decode("utf-8", "surrogateescape")
    sent = encode_plan(Plan((Probe("x", (argument,)),)))
    assert sent == b".\n1\nx 10 1\n%d\n%b\n0\n" % (raw.count(b"\n") + 1, raw)


def test_the_plans_of_the_commands() -> None:
    """netns asks for links in pods only; veth on both sides, and for peers in pods where that is wanted."""
    (scope,) = build_netns_plan((pod(),)).pods
    assert (build_netns_plan((pod(),)).node_probes, scope.probes) == ((), (LINKS,))
    for peers, asked in ((False, (LINKS,)), (True, (LINKS, NAMESPACES))):
        plan = build_veth_plan((pod(),), peers_of_pods=peers)
        assert (plan.node_probes, plan.pods[0].probes) == ((LINKS, NAMESPACES), asked)


def test_a_compact_script_loses_nothing_but_words_to_the_reader() -> None:
    """Comment lines, blank lines, indentation and a function head's comment go; a # within a line stays."""
    source = '# a\n\nf() { # ARG\n  echo "$#" ${x#y} # kept\n  }\n'
    assert compact_script(source) == 'f() {\necho "$#" ${x#y} # kept\n}'


def test_the_plan_of_a_log_command_is_an_argument_not_a_part_of_the_script() -> None:
    """Plan and script are arguments of a constant pipe: no shell ever reads the plan as its own text."""
    plan = Plan((Probe("x", ("printf", "$(id)")),))
    shell, option, pipe, name, sent, script = build_log_command(plan)
    assert (shell, option, name) == ("sh", "-c", "netinspect")
    assert (sent.encode(), script) == (encode_plan(plan), node_script())
    assert "$(id)" not in pipe


def test_a_plan_that_is_no_argument_any_more_is_refused() -> None:
    """Linux takes at most 128 KiB an argument, counted in bytes: more must not fail later, on the node."""
    limit = 128 * 1024
    for argument in ("x" * limit, "ü" * (limit // 2)):
        with pytest.raises(ValueError, match="too many pods for one log"):
            build_log_command(Plan((Probe("x", (argument,)),)))
