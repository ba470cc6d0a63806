"""The process: answers `--version` at once, hands the rest to the command line, turns errors into a status."""

from __future__ import annotations

import gc
import os
import sys

from checker import __version__


def main() -> None:
    """Run the command line and leave the process with its exit status (design.md section 8)."""
    if sys.argv[1:] == ["--version"]:  # before typer is imported, so that it costs no more than Python itself
        sys.stdout.write(f"otaudit {__version__}\n")
        return
    gc.set_threshold(100_000)  # objects; nearly all are modules' and stay: 700 is too few to look for rubbish again
    status = run(sys.argv[1:])
    gc.freeze()  # the memory goes as a whole now; Python would search all of it once more, which takes 40 ms
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors are told on standard error, never as a traceback."""
    from checker.cli.app import call
    from checker.errors import ExitStatus, OtauditError

    try:
        return call(arguments)
    except OtauditError as error:
        sys.stderr.write(f"otaudit: {error.diagnostics()}\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("otaudit: interrupted; nothing was written\n")
        return 130
    except BrokenPipeError:  # the reader of our output went away; Python must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.BAD_INPUT
    except Exception as error:  # the last line of defence: say whose fault it is
        if os.environ.get("OTAUDIT_DEBUG"):
            raise
        sys.stderr.write(
            f"otaudit: internal error: {type(error).__name__}: {error}\n"
            "  help: This is a fault of otaudit. Please report it; OTAUDIT_DEBUG=1 shows where it happened.\n"
        )
        return ExitStatus.INTERNAL


if __name__ == "__main__":
    main()
