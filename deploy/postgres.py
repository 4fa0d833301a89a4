"""A PostgreSQL of our own: started, and ended without a trace. Standard library only.

Everything of it lies in the folder it is given. It listens on a free port of
loopback, and on a socket in that folder; whoever reaches either is trusted. As root
it runs as the user ``postgres``, who must be able to reach the folder.

``python -m deploy.postgres FOLDER`` serves one until Ctrl-C and prints its address.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
USER = "postgres"
# A socket's path has 108 bytes (unix(7)); its name is ``/.s.PGSQL.65535``.
_LONGEST_FOLDER = 107 - len("/.s.PGSQL.65535")
_ANYONES = "/"  # the present folder may be closed to its user
_DEBIAN = Path("/usr/lib/postgresql")
# Another program may take the free port before PostgreSQL does.
_ATTEMPTS = 5


class PostgresFailed(Exception):
    """PostgreSQL did not start, or would not end. Carries the end of its log."""


class PrivatePostgres:
    """A cluster in ``home``. ``with`` it, or ``start`` and ``stop``; databases stay for
    the next start. Sorts as people do (ICU), so that nothing relies on the order of bytes."""

    def __init__(self, home: Path, settings: Sequence[str] = ()) -> None:
        """``settings`` are of ``postgresql.conf``: ``work_mem=16MB``."""
        self.home = home
        self.port = 0
        self._data = home / "data"
        self._log = home / "postgres.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    @staticmethod
    def unavailable() -> str | None:
        """Why none can be started here; ``None`` if one can."""
        if _programs() is None:
            return "PostgreSQL is not installed (package postgresql-15)"
        if os.geteuid() == 0 and not _user_exists():
            return f"there is no user {USER} to run PostgreSQL as"
        return None

    def start(self) -> None:
        """Make the cluster if there is none, and have it answer; on the port it had, if any.

        Raises ``PostgresFailed``.
        """
        if (reason := self.unavailable()) is not None:
            raise PostgresFailed(reason)
        if not (self._data / "PG_VERSION").exists():
            self._make()
        for left in reversed(range(_ATTEMPTS)):
            self.port = self.port or _free_port()
            try:
                self._launch()
            except PostgresFailed:
                if left == 0 or not self._port_was_taken():
                    raise
                self.port = 0
            else:
                return

    def stop(self) -> None:
        """End it in order, and wait until it has. Idempotent."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a crash does; ``start`` takes it from there."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, statement: str, database: str = "postgres") -> str:
        """Run a statement; what it answers, without decoration."""
        return query(self.url(database), statement)

    def create_database(self, name: str, template: str = "template1") -> str:
        """A new database, a copy of another; its address."""
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and end who uses it. Idempotent."""
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _make(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.home, USER)
        made = subprocess.run(
            [
                *_as_user(),
                *(str(_program("initdb")), f"--pgdata={self._data}", f"--username={USER}"),
                *("--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions"),
                *("--locale=C", "--locale-provider=icu", "--icu-locale=en-US"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=_ANYONES,
        )
        if made.returncode:
            raise PostgresFailed(f"initdb: {made.stderr.strip()}")

    def _launch(self) -> None:
        with self._log.open("wb") as output:
            self._process = process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for whoever started it
                cwd=_ANYONES,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise PostgresFailed(f"PostgreSQL did not start:\n{self._end_of_log()}")
            time.sleep(POLL_SECONDS)

    def _command(self) -> list[str]:
        short = len(os.fsencode(self.home)) <= _LONGEST_FOLDER
        settings = (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.home if short else ''}",
            "fsync=on",
            *self._settings,
        )
        options = [word for setting in settings for word in ("-c", setting)]
        return [*_as_user(), str(_program("postgres")), "-D", str(self._data), *options]

    def _answers(self) -> bool:
        asked = [str(_program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise PostgresFailed(f"PostgreSQL did not end:\n{self._end_of_log()}") from error
        self._process = None

    def _port_was_taken(self) -> bool:
        return "could not bind" in self._log.read_text(errors="replace")

    def _end_of_log(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-4:]
        return "\n".join(f"    {line}" for line in lines)


def query(url: str, statement: str) -> str:
    """Run a statement in a database; what it answers, a line a row, without decoration.

    Raises ``PostgresFailed``.
    """
    asked = [str(_program("psql")), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, url]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PostgresFailed(done.stderr.strip())
    return done.stdout.strip()


def _programs() -> Path | None:
    """The folder of the newest PostgreSQL's programs: Debian keeps them off the path."""
    versions = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _program(name: str) -> Path:
    folder = _programs()
    if folder is None:
        raise PostgresFailed("PostgreSQL is not installed (package postgresql-15)")
    return folder / name


def _user_exists() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _as_user() -> list[str]:
    """What a command begins with, as PostgreSQL refuses to run as root.

    Not ``user=`` of subprocess: that forks where it would else spawn, and a fork of a
    process with threads of gRPC crashes now and then.
    """
    if os.geteuid() != 0:
        return []
    group = pwd.getpwnam(USER).pw_gid
    return ["setpriv", f"--reuid={USER}", f"--regid={group}", "--clear-groups"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with PrivatePostgres(Path(folder).resolve()) as postgres, suppress(KeyboardInterrupt):
        print(postgres.url(), flush=True)  # noqa: T201 - this is a command
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
