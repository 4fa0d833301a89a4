"""``python -m deploy.fleet``: three hosts on this machine, and one that dies in the middle.

Run it beside a container engine (``make fleet-demo`` does). Needs root, for the network
namespaces. Exits 1 when anything is not as it should be; takes everything down either way.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path

from deploy.commands import CommandFailed
from deploy.fleet.namespaces import NamespaceFailed
from deploy.fleet.story import tell
from deploy.programs import ProgramFailed

_CHECKOUT = Path(__file__).resolve().parents[2]
_BUILD = _CHECKOUT / "build"
_REAL = ("--guest-dir", str(_BUILD / "guest"), "--images-dir", str(_BUILD / "images"))


def main() -> int:
    """Tell the story; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.fleet")
    parser.add_argument("--out", type=Path, default=_BUILD / "fleet-demo")
    parser.add_argument("--spec", type=Path, default=_CHECKOUT / "experiments" / "fleet.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", dest="settings")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # all of it must come down
    try:
        asyncio.run(tell(out, arguments.spec, arguments.settings, _REAL, _say))
    except (CommandFailed, NamespaceFailed, ProgramFailed, TimeoutError) as error:
        sys.stderr.write(f"fleet-demo: {str(error) or 'something took too long'}\n  logs: {out}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"fleet-demo: interrupted; all of it is taken down again\n  logs: {out}\n")
        return 130
    _say(f"\nAll of it is taken down again; {time.monotonic() - began:.0f} s.\n")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
