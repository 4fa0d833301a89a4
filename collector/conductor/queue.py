"""Who is next on which host: a line of runs for each, and no run before it is first in all.

Pure. A run joins the lines of all of its hosts in one step, so any two runs stand
in the same order wherever they meet: none waits for another that waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# A run on a host.
Place = tuple[str, str]


class _Party:
    """Hosts of one run that begin together: once it is first in line on all of them."""

    __slots__ = ("first_on", "hosts", "run_id", "started")

    def __init__(self, run_id: str, hosts: Iterable[str]) -> None:
        self.run_id = run_id
        self.hosts = set(hosts)
        self.first_on = 0
        self.started = False


class Queue:
    """The lines of all hosts. Methods return the places where a run may begin now.

    A host that was found at work on a run is *attached* to it: that is a fact, not
    a turn, so the run goes on there at once, and no other begins until it has left.
    """

    def __init__(self) -> None:
        self._lines: dict[str, list[_Party]] = {}
        self._attached: dict[str, list[str]] = {}
        self._parties: dict[str, list[_Party]] = {}

    def enter(self, run_id: str, hosts: Iterable[str]) -> Sequence[Place]:
        """Put a run at the end of these hosts' lines; it begins on all of them at once.

        It may stand in others already. Never told twice of one host.
        """
        party = _Party(run_id, hosts)
        if not party.hosts:
            return ()
        self._parties.setdefault(run_id, []).append(party)
        for host in party.hosts:
            was = self._first(host)
            self._lines.setdefault(host, []).append(party)
            self._changed(host, was)
        return _begun(party)

    def attach(self, run_id: str, host: str) -> Sequence[Place]:
        """A host is at work on the run: it goes on there, out of turn."""
        party = self._party(run_id, host)
        if (party is not None and party.started) or run_id in self._attached.get(host, ()):
            return ()
        was = self._first(host)
        if party is not None:
            self._remove(party, host)
        self._attached.setdefault(host, []).append(run_id)
        self._changed(host, was)
        return ((run_id, host), *(_begun(party) if party is not None else ()))

    def leave(self, run_id: str, host: str) -> Sequence[Place]:
        """The run is done on this host, or waits for it no longer. Idempotent."""
        was, party = self._first(host), self._party(run_id, host)
        if run_id in self._attached.get(host, ()):
            self._attached[host].remove(run_id)
            party = None
        elif party is not None:
            self._remove(party, host)
        else:
            return ()
        self._changed(host, was)
        now = self._first(host)
        return tuple(
            place for moved in (party, now) if moved is not None for place in _begun(moved)
        )

    def before(self, run_id: str) -> Sequence[str]:
        """The runs that this one waits for, those before it on its hosts; none once it began."""
        found: dict[str, None] = {}
        for party in self._parties.get(run_id, ()):
            if not party.started:
                for host in sorted(party.hosts):
                    found |= dict.fromkeys(self._attached.get(host, ()))
                    line = self._lines[host]
                    found |= dict.fromkeys(other.run_id for other in line[: line.index(party)])
        found.pop(run_id, None)
        return tuple(found)

    def waiting(self, host: str) -> Sequence[str]:
        """The runs that have not begun on this host, in the order of their turns."""
        return [party.run_id for party in self._lines.get(host, ()) if not party.started]

    def _party(self, run_id: str, host: str) -> _Party | None:
        parties = self._parties.get(run_id, ())
        return next((party for party in parties if host in party.hosts), None)

    def _first(self, host: str) -> _Party | None:
        """Whose turn it is."""
        line = self._lines.get(host)
        return line[0] if line and not self._attached.get(host) else None

    def _changed(self, host: str, was: _Party | None) -> None:
        """Count anew for whom it was, and for whom it is, the turn on this host."""
        now = self._first(host)
        if now is not was:
            if was is not None:
                was.first_on -= 1
            if now is not None:
                now.first_on += 1

    def _remove(self, party: _Party, host: str) -> None:
        self._lines[host].remove(party)
        party.hosts.remove(host)
        if not party.hosts:
            self._parties[party.run_id].remove(party)
        if not self._parties[party.run_id]:
            del self._parties[party.run_id]


def _begun(party: _Party) -> Sequence[Place]:
    """Where the party begins now, if its turn has come on all of its hosts."""
    if party.started or not party.hosts or party.first_on < len(party.hosts):
        return ()
    party.started = True
    return tuple((party.run_id, host) for host in sorted(party.hosts))
