"""The entry of the ``tonnage`` command, and the one place where errors meet a person."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from collector.errors import ExitCode, TonnageError

_EVIDENCE_LINES = 12


def main() -> None:
    """Run the command line and leave with an exit code of ``ExitCode``."""
    sys.exit(guarded(_run))


def guarded(run: Callable[[], None]) -> int:
    """Call ``run`` and return its exit code, having told any error on standard error.

    ``TONNAGE_DEBUG`` adds the traceback.
    """
    try:
        run()
        sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else ExitCode.INVALID
    except KeyboardInterrupt:
        return _tell("cancelled", "", ExitCode.CANCELLED)
    except TonnageError as error:
        _trace()
        return _tell(*sentences(error), error.exit_code, evidence_lines(error))
    except BrokenPipeError:  # whoever read our output has left: there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the last stop: a person reads what comes out here
        _trace()
        what = f"{type(error).__name__}: {error}"
        remedy = "This is a defect of Tonnage: TONNAGE_DEBUG=1 shows where."
        return _tell(what, remedy, ExitCode.INTERNAL)
    return ExitCode.DONE


def sentences(error: TonnageError) -> tuple[str, str]:
    """Return what is wrong, field and value named, and the way out."""
    problem = error.problem
    where = f"{problem.field}: " if problem.field else ""
    value = f" (got {problem.value!r})" if problem.value else ""
    return f"{where}{problem.message}{value}", problem.remedy


def evidence_lines(error: TonnageError) -> list[str]:
    """Return the last lines of what was seen, without what a terminal would obey."""
    lines = error.problem.evidence.splitlines()[-_EVIDENCE_LINES:]
    return ["".join(c for c in line if c.isprintable()) for line in lines]


def _run() -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log is not for the operator
    from collector.cli.app import app

    app(prog_name="tonnage")


def _tell(what: str, remedy: str, code: int, evidence: Sequence[str] = ()) -> int:
    lines = [f"error: {what}", *([f"  {remedy}"] if remedy else [])]
    if evidence:
        lines += ["last seen of the instance:", *(f"  | {line}" for line in evidence)]
    sys.stderr.write("\n".join(lines) + "\n")
    return code


def _trace() -> None:
    if os.environ.get("TONNAGE_DEBUG"):
        traceback.print_exc()


if __name__ == "__main__":
    main()
