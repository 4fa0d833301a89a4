"""Which calls the audit log has an entry of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from collector.model import AUDIT_OK as OK
from collector.model import AUDIT_PARTIAL as PARTIAL
from collector.server.access import Caller
from collector.server.throttle import Throttle

READS = frozenset(
    {
        "ListHosts",
        "WatchRun",
        "ListRuns",
        "GetRun",
        "ExportTrials",
        "ListPrunable",
        "ListInstances",
        "ListTokens",
        "ListCertificates",
        "ListAudit",
    }
)
"""The methods that change nothing: an entry of theirs is a refusal."""

REGISTER = "Register"
RENEW = "RenewCertificate"  # it names nobody: the certificate does
# What agents ask again and again by themselves.
_REPEATED = (REGISTER, RENEW)
_REFUSALS_KEPT = 4096
_REFUSALS_MOST = 60  # a minute, of one caller: who is refused must not fill the disk
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED")


class Notable:
    """Which calls are worth an entry: commands and refusals. Of an agent's endless
    registering the first of a host; each new reason for turning it away; and of a caller
    who is refused all the time, so many refusals a minute. The program's log has them all."""

    def __init__(self, registered: Iterable[str]) -> None:
        self._registered = set(registered)
        self._refused: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._refusals = Throttle(_REFUSALS_MOST, 60.0)

    def is_notable(self, name: str, who: Caller, subject: str, outcome: str, reason: str) -> bool:
        """Whether this call, ended so, gets an entry. Remembers what it was told."""
        if name == "ForgetHost" and outcome == OK:
            self._registered.discard(subject)
        if name in _REPEATED and not self._is_news((name, who.name, subject), outcome, reason):
            return False
        if outcome in _REFUSED:
            return self._is_rare(f"{who.role}/{who.name or who.peer.rpartition(':')[0]}")
        if name == REGISTER and outcome == OK:
            return self._is_first(subject)
        # A watch that is left is no refusal, and a list without a host that is away none either.
        return outcome not in (OK, PARTIAL, "CANCELLED") if name in READS else True

    def _is_rare(self, caller_name: str) -> bool:
        if self._refusals.wait_seconds(caller_name):
            return False
        self._refusals.failed(caller_name)
        return True

    def _is_first(self, host: str) -> bool:
        first = host not in self._registered
        self._registered.add(host)
        return first

    def _is_news(self, about: tuple[str, str, str], outcome: str, reason: str) -> bool:
        """Whether this is not the refusal that it was the last time."""
        if outcome == OK:
            self._refused.pop(about, None)
            return True
        if self._refused.get(about) == reason:
            return False
        self._refused[about] = reason
        while len(self._refused) > _REFUSALS_KEPT:
            self._refused.popitem(last=False)
        return True
