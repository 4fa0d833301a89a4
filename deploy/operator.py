"""Who sets up a fleet by commands, as a person would: the authority, tokens, hosts that join."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.commands import Done, run
from deploy.programs import module

Say = Callable[[str], None]
_OFFLINE = ("pki", "validate", "schema")


class Operator:
    """Has the certificates in ``pki``; ``say`` is told each command as a person would type it.

    ``address`` and ``door`` say where the collector answers calls, and where hosts join.
    ``before`` is what the operator's commands are run through.
    """

    def __init__(
        self,
        pki: Path,
        address: Callable[[], str],
        door: Callable[[], str],
        say: Say,
        before: Sequence[str] = (),
    ) -> None:
        self._pki = pki
        self._address = address
        self._door = door
        self._say = say
        self._before = before

    async def tonnage(self, *words: str, expect: Sequence[int] = (0,), quiet: bool = False) -> Done:
        """One ``tonnage`` command.

        Raises ``CommandFailed`` when it ends with a code that is not in ``expect``.
        """
        if not quiet:
            self._say(f"\n$ tonnage {' '.join(words)}\n")
        talks = words[0] not in _OFFLINE or words[1:2] == ("show",)
        where = ("--collector", self._address(), "--tls-dir", str(self._pki)) if talks else ()
        done = await run([*module("collector.cli", self._before), *words, *where], expect)
        if not quiet:
            self._say(done.out + done.err)
        return done

    async def join(
        self, name: str, data_dir: Path, before: Sequence[str] = (), *flags: str
    ) -> None:
        """Let a host join with a token of its own; ``before`` is what its command runs through."""
        asked = ("token", "create", "--ttl", "5min", "--uses", "1", "--host", name)
        made = await self.tonnage(*asked, "--output", "json", quiet=True)
        words = ("join", "--collector", self._door(), "--name", name, *flags)
        self._say(f"{name}$ tonnage-agent {' '.join(words)} --token …\n")
        secret = ("--data-dir", str(data_dir), "--token", json.loads(made.out)["token"])
        await run([*module("agent.app", before), *words, *secret])
