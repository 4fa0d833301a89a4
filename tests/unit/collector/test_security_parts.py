"""The small parts of who gets in: the throttle, the audit log, the scrape tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from collector.errors import ConfigError, InvalidInput, StoreError
from collector.model import AuditEntry, AuditFilter, Certificate
from collector.pki.authority import make_authority
from collector.pki.describe import described
from collector.pki.folder import COLLECTOR, PkiFolder
from collector.server.access import Caller
from collector.server.audit import AuditLog, entry
from collector.server.notable import Notable
from collector.server.renewal import renew_if_due
from collector.server.revoking import normal_serial
from collector.server.scraping import ScrapeTokens
from collector.server.throttle import Throttle
from collector.stores.base import EVERYTHING, IdentityStore
from tonnage.identity import Identity, Role
from tonnage.lifetime import lifetime, utc_now

OLGA = Caller("operator", "olga", "ipv4:10.0.0.1:5", "ab")
DAY = timedelta(days=1)


class Memory:
    """An audit store in memory that fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.entries: list[AuditEntry] = []
        self.stored = asyncio.Event()

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.entries += entries
        self.stored.set()

    async def audit(self, limit: int, only: AuditFilter = EVERYTHING) -> Sequence[AuditEntry]:
        return self.entries[::-1][:limit]


def numbered(count: int) -> list[AuditEntry]:
    return [entry(n, OLGA, "CancelRun", f"r-{n}", "ok") for n in range(count)]


async def test_entries_are_stored_in_order_and_the_last_ones_at_the_end() -> None:
    store = Memory()
    async with AuditLog(store) as log:
        for each in numbered(1200):
            log.add(each)
    assert store.entries == numbered(1200)


async def test_a_store_that_fails_loses_nothing_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("collector.server.audit._RETRY_SECONDS", 0.01)
    store = Memory(failures=2)
    async with AuditLog(store) as log:
        log.add(numbered(1)[0])
        await asyncio.wait_for(store.stored.wait(), 5)
    assert store.entries == numbered(1)


async def test_what_waits_for_the_store_has_a_bound_and_is_counted() -> None:
    log = AuditLog(Memory(failures=1))
    for each in numbered(10_005):
        log.add(each)
    assert log.dropped == 5


async def test_a_store_that_fails_at_the_end_does_not_fail_the_end() -> None:
    async with AuditLog(Memory(failures=1_000_000)) as log:
        log.add(numbered(1)[0])


def test_reads_are_noted_when_refused_and_registering_when_it_is_news() -> None:
    notable = Notable(["h1"])

    def noted(name: str, outcome: str = "ok", reason: str = "", subject: str = "h1") -> bool:
        return notable.is_notable(name, OLGA, subject, outcome, reason)

    assert noted("CancelRun")
    assert not noted("ListRuns")
    assert noted("ListRuns", "PERMISSION_DENIED")
    assert not noted("WatchRun", "CANCELLED")
    assert not noted("Register")
    assert noted("Register", subject="h2")
    assert not noted("Register", subject="h2")
    assert noted("Register", "FAILED_PRECONDITION", "too old")
    assert not noted("Register", "FAILED_PRECONDITION", "too old")
    assert noted("Register", "PERMISSION_DENIED", "not yours")
    assert noted("ForgetHost")
    assert noted("Register")
    assert noted("RenewCertificate")
    assert noted("RenewCertificate", "PERMISSION_DENIED", "revoked")
    assert not noted("RenewCertificate", "PERMISSION_DENIED", "revoked")
    assert noted("RenewCertificate")
    assert noted("RenewCertificate", "PERMISSION_DENIED", "revoked")


def test_who_is_refused_without_end_fills_no_disk_and_hides_nobody() -> None:
    notable, eve = Notable([]), Caller("viewer", "eve", "10.0.0.1:5", "cd")

    def refused(who: Caller) -> bool:
        return notable.is_notable("StopAll", who, "", "PERMISSION_DENIED", "not for viewers")

    assert sum(refused(eve) for _ in range(1000)) == 60
    assert refused(OLGA)
    assert not refused(eve)
    assert all(notable.is_notable("StopAll", eve, "", "ok", "") for _ in range(100))


def test_an_entry_is_one_line() -> None:
    made = entry(1, OLGA, "SubmitRun", "a\nb", "INVALID_ARGUMENT", "x" * 900 + "\n")
    assert made.subject == "a b"
    assert len(made.reason) == 500


def test_an_address_that_was_wrong_too_often_waits_and_no_other_does() -> None:
    now = 100.0
    throttle = Throttle(most=3, seconds=60, clock=lambda: now)
    for _ in range(3):
        assert throttle.wait_seconds("10.0.0.1") == 0
        throttle.failed("10.0.0.1")
    now = 130.0
    assert throttle.wait_seconds("10.0.0.1") == 30
    assert throttle.wait_seconds("10.0.0.2") == 0
    now = 160.0
    assert throttle.wait_seconds("10.0.0.1") == 0


def test_an_ipv6_network_is_one_caller() -> None:
    throttle = Throttle(most=1)
    throttle.failed("2001:db8::1")
    assert throttle.wait_seconds("2001:db8::2") > 0
    assert throttle.wait_seconds("2001:db8:0:1::2") == 0


def test_a_scrape_token_file_is_made_once_and_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "scrape.token"
    made = ScrapeTokens(path)
    first = path.read_text().strip()
    assert made.accepts(f"Bearer {first}")
    assert ScrapeTokens(path).accepts(f"bearer  {first} ")
    path.write_text("another-good-token\n\n")
    assert not made.accepts(f"Bearer {first}")
    assert made.accepts("Bearer another-good-token")
    path.write_text("short\n")
    assert made.accepts("Bearer another-good-token")
    with pytest.raises(ConfigError, match="16 characters"):
        ScrapeTokens(path)


@pytest.mark.parametrize(
    ("text", "serial"), [("0xAB", "ab"), ("00:AB:cd", "abcd"), ("ab", "ab"), (" 7F\n", "7f")]
)
def test_a_serial_is_taken_as_people_paste_it(text: str, serial: str) -> None:
    assert normal_serial(text) == serial


@pytest.mark.parametrize("text", ["", "0", "xyz", "a" * 41, "ab cd"])
def test_what_is_no_serial_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="serial"):
        normal_serial(text)


class Kept:
    """Notes the certificates that an identity store is given."""

    def __init__(self) -> None:
        self.certificates: list[Certificate] = []

    async def add_certificate(self, certificate: Certificate) -> None:
        self.certificates.append(certificate)


async def test_the_collectors_certificate_is_renewed_after_two_thirds_and_its_key_stays(
    tmp_path: Path,
) -> None:
    folder = PkiFolder(tmp_path / "pki")
    folder.create("test", "olga")
    store = Kept()
    identities: IdentityStore = store  # type: ignore[assignment]  # only what is asked of it
    old, key = folder.own_certificate(), folder.tls_files.key.read_bytes()
    due = lifetime(old).due
    assert await renew_if_due(folder, identities, due - DAY) == due
    assert folder.own_certificate() == old
    await renew_if_due(folder, identities, due)
    assert folder.own_certificate().serial_number != old.serial_number
    assert folder.tls_files.key.read_bytes() == key
    folder.tls_files.read()
    assert store.certificates == [described(folder.own_certificate())]


def test_a_certificate_never_outlives_its_authority() -> None:
    now = utc_now()
    authority = make_authority("test", now)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    who = Identity(Role.AGENT, "h1")
    long = authority.issue(who, key, 20_000 * DAY, now)
    assert long.not_valid_after_utc == authority.certificate.not_valid_after_utc
    with pytest.raises(InvalidInput, match="authority expired"):
        authority.issue(who, key, DAY, now + 4000 * DAY)


def test_nothing_in_the_folder_is_overwritten(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path)
    folder.create("test", "olga")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="nothing was changed"):
        folder.create("test", "olga")
    with pytest.raises(ConfigError, match="nothing was changed"):
        folder.issue(COLLECTOR, tmp_path, DAY)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    keys = [path for path in tmp_path.iterdir() if path.suffix == ".key"]
    assert len(keys) == 3
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_an_authority_that_does_not_fit_its_key_is_told(tmp_path: Path) -> None:
    first, second = PkiFolder(tmp_path / "1"), PkiFolder(tmp_path / "2")
    first.create("test", "olga")
    second.create("test", "olga")
    first.authorities.write_bytes(second.authorities.read_bytes())
    with pytest.raises(ConfigError, match="no certificate of the key"):
        first.authority()
