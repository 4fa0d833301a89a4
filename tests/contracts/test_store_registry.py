"""What every store must do with hosts, tokens, certificates and the audit log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from collector.errors import StoreError
from collector.model import AuditEntry, AuditFilter, Certificate, KnownHost, Token
from collector.stores.base import Store
from tests.contracts.stores import Engine
from tests.runs_made_up import EPOCH_NS, facts, fingerprint

_SECRET = "5" * 64


def _host(name: str = "h1", **changes: Any) -> KnownHost:
    values: dict[str, Any] = {
        "facts": facts(name),
        "runtimes": (fingerprint(), fingerprint("docker")),
        "address": "10.0.0.1:7070",
        "metrics_address": "10.0.0.1:9095",
        "metrics_tls": True,
        "protocol": 2,
        "first_seen_unix_ns": EPOCH_NS,
        "last_seen_unix_ns": EPOCH_NS + 1,
    }
    return KnownHost(**{**values, **changes})


def _token(number: int = 1, **changes: Any) -> Token:
    values: dict[str, Any] = {
        "token_id": f"t{number}",
        "secret_sha256": _SECRET,
        "expires_at_unix_ns": EPOCH_NS + 100,
        "uses_left": 1,
        "host": "",
        "created_by": "operator/ann",
        "created_at_unix_ns": EPOCH_NS,
    }
    return Token(**{**values, **changes})


def _certificate(serial: str, role: str = "agent", name: str = "h1", at: int = 0) -> Certificate:
    return Certificate(serial, role, name, EPOCH_NS + at, EPOCH_NS + at + 100)


def _entry(number: int, at: int = EPOCH_NS) -> AuditEntry:
    return AuditEntry(
        at, "operator", "ann", "ipv4:10.0.0.9:1", "CancelRun", f"r{number}", "ok", "a reason"
    )


async def test_hosts_come_back_as_they_were_over_a_restart(engine: Engine) -> None:
    store = await engine.open()
    known = [_host("h2", metrics_tls=False, runtimes=()), _host("h1", draining=True)]
    await store.put_hosts(known)
    await store.close()
    store = await engine.open()
    try:
        assert await store.known_hosts() == (known[1], known[0])
    finally:
        await store.close()


async def test_a_host_put_again_keeps_its_draining_and_when_it_was_first_seen(
    store: Store,
) -> None:
    await store.put_hosts([_host()])
    await store.set_draining("h1", True)
    later = _host(
        facts=replace(facts(), agent_version="9"),
        address="10.0.0.2:1",
        first_seen_unix_ns=EPOCH_NS + 50,
        last_seen_unix_ns=EPOCH_NS + 60,
    )
    await store.put_hosts([later])
    kept = replace(later, draining=True, first_seen_unix_ns=EPOCH_NS)
    assert await store.known_hosts() == (kept,)
    await store.set_draining("h1", False)
    assert (await store.known_hosts())[0].draining is False


async def test_when_hosts_were_last_seen_is_kept_and_nothing_else(store: Store) -> None:
    await store.put_hosts([_host("h1"), _host("h2", draining=True), _host("h3")])
    await store.saw_hosts({"h1": EPOCH_NS + 7, "h2": EPOCH_NS - 7, "unknown": EPOCH_NS})
    await store.saw_hosts({})
    assert await store.known_hosts() == (
        _host("h1", last_seen_unix_ns=EPOCH_NS + 7),
        _host("h2", last_seen_unix_ns=EPOCH_NS - 7, draining=True),
        _host("h3"),
    )


async def test_hosts_are_stored_all_or_none(store: Store) -> None:
    broken = _host("h2", address=None)
    with pytest.raises(StoreError):
        await store.put_hosts([_host("h1"), broken])
    assert await store.known_hosts() == ()


async def test_draining_a_host_that_is_not_known_does_nothing(store: Store) -> None:
    await store.set_draining("h1", True)
    assert await store.known_hosts() == ()
    await store.put_hosts([_host()])
    assert (await store.known_hosts())[0].draining is False


async def test_a_forgotten_host_is_gone_and_comes_back_as_new(store: Store) -> None:
    await store.put_hosts([_host(draining=True)])
    for _ in range(2):
        await store.forget_host("h1")
        assert await store.known_hosts() == ()
    await store.put_hosts([_host(first_seen_unix_ns=EPOCH_NS + 9)])
    assert await store.known_hosts() == (_host(first_seen_unix_ns=EPOCH_NS + 9),)


async def test_a_token_is_used_no_more_often_than_it_may_be(store: Store) -> None:
    await store.add_token(_token(uses_left=5))
    attempts = [store.use_token(_SECRET, f"h{n}", EPOCH_NS) for n in range(40)]
    used = [token for token in await asyncio.gather(*attempts) if token is not None]
    assert sorted(token.uses_left for token in used) == [0, 1, 2, 3, 4]
    assert await store.tokens() == (_token(uses_left=0),)
    assert await store.use_token(_SECRET, "h1", EPOCH_NS) is None


@pytest.mark.parametrize(
    ("token", "secret", "host", "now"),
    [
        (_token(), "6" * 64, "h1", EPOCH_NS),
        (_token(revoked=True), _SECRET, "h1", EPOCH_NS),
        (_token(), _SECRET, "h1", EPOCH_NS + 100),
        (_token(uses_left=0), _SECRET, "h1", EPOCH_NS),
        (_token(host="h2"), _SECRET, "h1", EPOCH_NS),
    ],
    ids=["another secret", "revoked", "past its end", "used up", "another host"],
)
async def test_a_token_that_does_not_hold_is_not_taken(
    store: Store, token: Token, secret: str, host: str, now: int
) -> None:
    await store.add_token(token)
    assert await store.use_token(secret, host, now) is None
    assert await store.tokens() == (token,)


async def test_a_token_of_one_host_lets_that_host_join(store: Store) -> None:
    await store.add_token(_token(host="h2"))
    used = await store.use_token(_SECRET, "h2", EPOCH_NS + 99)
    assert used == _token(host="h2", uses_left=0)


async def test_a_token_is_revoked_for_good(store: Store) -> None:
    await store.add_token(_token())
    assert [await store.revoke_token("t1") for _ in range(2)] == [True, True]
    assert await store.revoke_token("t2") is False
    assert await store.use_token(_SECRET, "h1", EPOCH_NS) is None
    assert await store.tokens() == (_token(revoked=True),)


async def test_tokens_are_listed_newest_first_and_never_twice(store: Store) -> None:
    newer = _token(2, secret_sha256="7" * 64, created_at_unix_ns=EPOCH_NS + 1)
    for token in (_token(), newer):
        await store.add_token(token)
    assert await store.tokens() == (newer, _token())
    for taken in (_token(secret_sha256="8" * 64), _token(3)):
        with pytest.raises(StoreError):
            await store.add_token(taken)
    assert await store.tokens() == (newer, _token())


async def test_a_certificate_that_is_known_is_left_as_it_is(store: Store) -> None:
    first = _certificate("0a")
    await store.add_certificate(first)
    await store.revoke_certificates(EPOCH_NS, serial="0a")
    await store.add_certificate(_certificate("0a", name="h9"))
    newer = _certificate("01", at=5)
    await store.add_certificate(newer)
    assert await store.certificates() == (newer, replace(first, revoked_at_unix_ns=EPOCH_NS))


async def test_certificates_are_revoked_once_and_for_good(store: Store) -> None:
    for serial, role, name in (
        ("a1", "agent", "h1"),
        ("a2", "agent", "h1"),
        ("a3", "agent", "h2"),
        ("b1", "operator", "h1"),
    ):
        await store.add_certificate(_certificate(serial, role, name))
    assert await store.revoke_certificates(EPOCH_NS + 1, serial="a2") == ("a2",)
    assert await store.revoke_certificates(EPOCH_NS + 2, serial="a2") == ()
    assert await store.revoke_certificates(EPOCH_NS + 3, role="agent", name="h1") == ("a1",)
    assert await store.revoke_certificates(EPOCH_NS + 4, role="agent", name="h1") == ()
    assert await store.revoke_certificates(EPOCH_NS + 5) == ()
    certificates = await store.certificates()
    revoked = {c.serial: c.revoked_at_unix_ns for c in certificates}
    assert revoked == {"a1": EPOCH_NS + 3, "a2": EPOCH_NS + 1, "a3": None, "b1": None}
    ends = certificates[0].not_after_unix_ns
    assert await store.revoked_serials(ends - 1) == ("a1", "a2")
    assert await store.revoked_serials(ends) == ()


async def test_the_audit_log_keeps_the_order_of_adding_whatever_the_clock_says(
    store: Store,
) -> None:
    await store.add_audit([_entry(1), _entry(2)])
    await store.add_audit([_entry(3, EPOCH_NS - 3600 * 10**9)])
    await store.add_audit([])
    assert await store.audit(10) == (_entry(3, EPOCH_NS - 3600 * 10**9), _entry(2), _entry(1))
    assert [entry.subject for entry in await store.audit(2)] == ["r3", "r2"]


async def test_the_audit_log_is_asked_for_a_part_of_it(store: Store) -> None:
    refused = replace(_entry(2), name="eve", command="StopAll", outcome="PERMISSION_DENIED")
    others = [_entry(1), _entry(3)]
    await store.add_audit([others[0], refused, others[1]])
    for only in (
        AuditFilter(name="eve"),
        AuditFilter(command="stopall"),
        AuditFilter(subject="r2"),
        AuditFilter(failed=True),
        AuditFilter("eve", "StopAll", "r2", failed=True),
    ):
        assert await store.audit(10, only) == (refused,)
    assert await store.audit(1, AuditFilter(name="ann")) == (others[1],)
    assert await store.audit(10, AuditFilter(name="ann", failed=True)) == ()


async def test_audit_entries_are_stored_all_or_none(store: Store) -> None:
    broken = replace(_entry(2), peer=None)  # type: ignore[arg-type]  # what no caller may give
    with pytest.raises(StoreError):
        await store.add_audit([_entry(1), broken])
    assert await store.audit(10) == ()


async def test_many_audit_entries_fit_in_one_call(store: Store) -> None:
    await store.add_audit([_entry(number) for number in range(5000)])
    assert len(await store.audit(10_000)) == 5000
