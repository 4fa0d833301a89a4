"""How the tests are shared out between the processes that run them (pytest-xdist)."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

# Whole servers under emulation keep a core busy for minutes: one after the other, begun first,
# while the rest runs beside them.
SERVERS = frozenset(
    f"tests/hosts/test_{name}.py"
    for name in ("ansible", "cgroups", "collector_server", "guest", "install", "second_server")
)


def share(nodeid: str) -> str:
    """The name of what stays in one process: all servers, else a file with its fixtures, but
    each test of a contract by itself, as they run over everything there is."""
    path = PurePosixPath(nodeid.partition("::")[0])
    if str(path) in SERVERS:
        return "servers"
    return nodeid if path.parts[:2] == ("tests", "contracts") else str(path)


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    """Hands out whole shares, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)
