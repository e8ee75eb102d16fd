"""The entry point, and the one place where a failure ends: message, hint, exit code."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from netinspect import __version__
from netinspect.errors import ExitCode, Interrupted, NetinspectError

PROGRAM = "kubectl netinspect"


def main() -> NoReturn:
    """Run the command line and end the process with the command's exit code."""
    # Imports make many objects and hardly any garbage: looking for it at the default pace costs a tenth of a short run.
    gc.set_threshold(50_000, 20, 20)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code. Nothing but an exit code leaves here."""
    from netinspect.cli.app import build_app

    try:
        arguments = split_short_flags(arguments)
        app = build_app(arguments[:2])
        code = app(args=arguments, prog_name=PROGRAM, standalone_mode=True)
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as exit_:
        return _flush(_code_of(exit_))
    except NetinspectError as error:
        _print_error(error)
        return error.exit_code
    except Interrupted as signal:
        return signal.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return ExitCode.ERROR
    except OSError as error:
        # What else fails with one is caught where it is done: a full disk behind stdout is what is left.
        print(f"error: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return ExitCode.ERROR
    except Exception as error:  # noqa: BLE001 - our own bug: the one place that may say so
        _print_bug(error)
        return ExitCode.ERROR


def split_short_flags(arguments: list[str]) -> list[str]:
    """Turn `-n=demo` into `-n demo`: kubectl's flags (pflag) take both, Typer's only the second.

    What stands behind `--` is somebody else's command and stays as it is.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    split: list[str] = []
    for word in arguments[:end]:
        is_short = len(word) > 2 and word[0] == "-" and word[1] != "-" and word[2] == "="
        split += [word[:2], word[3:]] if is_short else [word]
    return split + arguments[end:]


def _flush(code: int) -> int:
    """Write what is still buffered, while a closed pipe can still be told from a success."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        return ExitCode.ERROR
    return code


def _code_of(exit_: SystemExit) -> int:
    return exit_.code if isinstance(exit_.code, int) else ExitCode.ERROR if exit_.code else ExitCode.OK


def _drop_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(error: NetinspectError) -> None:
    from netinspect.render.sanitize import sanitize

    text = sanitize(error.message)
    # kubectl's own texts say "Error from server", "error:", "Unable to connect"; the others get its prefix.
    if not text.startswith(("Error", "error:", "Unable to", "The connection")):
        text = f"error: {text}"
    print(text, file=sys.stderr)  # noqa: T201
    if error.hint:
        print(f"hint: {sanitize(error.hint)}", file=sys.stderr)  # noqa: T201


def _print_bug(error: Exception) -> None:
    """Print a report that can be pasted into an issue: where it broke, but no values (they may be secrets)."""
    import platform
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"  {_short_path(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
    report = [
        f"error: netinspect has a bug: {type(error).__name__}",
        "please report it with these lines (they hold no names, addresses or keys):",
        f"  netinspect {__version__}, Python {platform.python_version()}, {platform.system()}",
        *lines,
    ]
    print("\n".join(report), file=sys.stderr)  # noqa: T201
    if os.environ.get("NETINSPECT_DEBUG"):
        traceback.print_exception(error)


def _short_path(path: str) -> str:
    parts = path.replace(os.sep, "/").split("/")
    start = next((i for i, part in enumerate(parts) if part in ("netinspect", "site-packages")), -2)
    return "/".join(parts[start:])


if __name__ == "__main__":
    main()
