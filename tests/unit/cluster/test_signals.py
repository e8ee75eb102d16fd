"""Signals, each sent to a process of its own: what they interrupt, and what they have to wait for."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

_PRELUDE = """
import os, signal, sys, threading
from netinspect.cluster.signals import install_handlers, shielded
from netinspect.errors import Interrupted

def send(signum):
    os.kill(os.getpid(), signum)

def say(text):
    print(text, flush=True)

"""


def run(program: str, *, ignore: signal.Signals | None = None) -> list[str]:
    """Run a program in a process of its own; return its lines."""

    def prepare() -> None:
        if ignore is not None:
            signal.signal(ignore, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=prepare,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_unwinds_the_main_thread(name: str, code: int) -> None:
    """As an exception that no `except Exception` catches, so that every `finally` runs; its exit code is a shell's."""
    program = f"""
    install_handlers()
    try:
        try:
            send(signal.{name})
            say("went on")
        except Exception:
            say("swallowed")
        finally:
            say("cleaned up")
    except Interrupted as error:
        say(f"{{error}} {{error.exit_code}}")
    """
    assert run(program) == ["cleaned up", f"{name} {code}"]


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    """nohup is the user's word that the command is to outlive its terminal."""
    program = """
    install_handlers()
    send(signal.SIGHUP)
    say("still here")
    """
    assert run(program, ignore=signal.SIGHUP) == ["still here"]


def test_inside_a_shield_a_signal_waits() -> None:
    """The block runs to its end; then the first signal counts. Each further one asks what is being waited for."""
    program = """
    install_handlers()
    try:
        with shielded(lambda: say("told")):
            send(signal.SIGTERM)
            say("one")
            send(signal.SIGINT)
            say("two")
            send(signal.SIGINT)
            say("three")
        say("went on")
    except Interrupted as error:
        say(f"{error} {error.exit_code}")
    """
    assert run(program) == ["one", "told", "two", "told", "three", "SIGTERM 143"]


def test_what_the_first_signal_set_going_is_not_cut_short_by_the_next() -> None:
    """A supervisor may send two in a row: between them nothing is shielded yet."""
    program = """
    install_handlers()
    try:
        send(signal.SIGTERM)
    except Interrupted:
        say("first")
        send(signal.SIGTERM)
        say("held")
        with shielded(lambda: say("told")):
            send(signal.SIGINT)
        say("still held")
    """
    assert run(program) == ["first", "held", "told", "still held"]


def test_the_fifth_signal_breaks_through() -> None:
    """Nothing may make the process unkillable."""
    program = """
    install_handlers()
    try:
        with shielded():
            for number in range(1, 7):
                send(signal.SIGINT)
                say(number)
    except Interrupted:
        say("out")
    """
    assert run(program) == ["1", "2", "3", "4", "out"]


def test_shields_within_shields_hold_until_the_outermost_ends() -> None:
    """And the callback is that of the innermost."""
    program = """
    install_handlers()
    try:
        with shielded(lambda: say("outer")):
            with shielded(lambda: say("inner")):
                send(signal.SIGINT)
                send(signal.SIGINT)
            say("between")
            send(signal.SIGINT)
        say("went on")
    except Interrupted:
        say("end")
    """
    assert run(program) == ["inner", "between", "outer", "end"]


def test_a_failure_inside_a_shield_is_not_lost() -> None:
    """It is the context of the interruption, and stays itself where there was no signal."""
    program = """
    install_handlers()
    try:
        with shielded():
            raise ValueError("failed")
    except ValueError as error:
        say(str(error))
    try:
        with shielded():
            send(signal.SIGINT)
            raise ValueError("failed")
    except Interrupted as error:
        say(f"{error} {error.__context__}")
    """
    assert run(program) == ["failed", "SIGINT failed"]


def test_a_shield_in_another_thread_shields_nothing() -> None:
    """Signals reach the main thread alone, which must not be held up by a worker's clean-up."""
    program = """
    install_handlers()
    inside, done = threading.Event(), threading.Event()

    def work():
        with shielded(lambda: say("told")):
            inside.set()
            done.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(20)
    try:
        send(signal.SIGINT)
        say("went on")
    except Interrupted:
        say("at once")
    done.set()
    thread.join()
    """
    assert run(program) == ["at once"]
