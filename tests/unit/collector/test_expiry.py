"""What is told of certificates before they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from structlog.testing import capture_logs

from collector.model import Certificate
from collector.pki.expiry import ending
from collector.pki.folder import PkiFolder
from collector.server.expiry import Expiry
from collector.stores.base import IdentityStore

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def certificate(name: str, left: timedelta, role: str = "agent", life: int = 30) -> Certificate:
    """One of ``life`` days with so much ``left``."""
    ends = NOW + left
    begins = ends - life * DAY
    return Certificate(
        f"{role}-{name}-{left.days}",
        role,
        name,
        int(begins.timestamp()) * 10**9,
        int(ends.timestamp()) * 10**9,
    )


def test_the_last_sixth_counts_unless_it_was_replaced_revoked_or_is_over() -> None:
    soon = certificate("h1", 4 * DAY)
    known = [
        soon,
        certificate("h2", 4 * DAY),
        certificate("h2", 30 * DAY),
        replace(certificate("h3", 4 * DAY), revoked_at_unix_ns=1),
        certificate("h4", 6 * DAY),
        certificate("h5", -DAY),
        certificate("", 4 * DAY, role=""),
    ]
    assert ending(known, NOW) == [soon]
    # Whoever is replaced by what was revoked is not replaced.
    revoked = replace(certificate("h1", 30 * DAY), revoked_at_unix_ns=1)
    assert ending([soon, revoked], NOW) == [soon]


class _Kept:
    def __init__(self, certificates: Sequence[Certificate]) -> None:
        self._certificates = certificates

    async def certificates(self) -> Sequence[Certificate]:
        return self._certificates


async def test_each_is_logged_once_a_day_with_what_to_do(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path / "pki")
    folder.create("test", "olga")
    known = [certificate("h1", 4 * DAY), certificate("jane", 50 * DAY, "operator", 365)]
    store: IdentityStore = _Kept(known)  # type: ignore[assignment]  # only what is asked of it
    expiry = Expiry(folder, store)
    with capture_logs() as lines:
        for hours in (0, 1, 23):
            await expiry.tell(NOW + timedelta(hours=hours))
    assert [line["of"] for line in lines] == ["agent h1", "operator jane"]
    assert "in 4 days" in lines[0]["when"]
    assert "pki renew" in lines[1]["remedy"]
    with capture_logs() as lines:
        await expiry.tell(NOW + DAY)
    assert [line["of"] for line in lines] == ["agent h1", "operator jane"]
    with capture_logs() as lines:
        await expiry.tell(datetime.now(UTC) + 9 * 365 * DAY)
    assert [line["of"] for line in lines] == ["the authority"]


def test_the_ends_of_its_own_are_metrics_and_nothing_where_they_cannot_be_read(
    tmp_path: Path,
) -> None:
    folder = PkiFolder(tmp_path / "pki")
    folder.create("test", "olga")
    store: IdentityStore = _Kept([])  # type: ignore[assignment]  # only what is asked of it
    ends = Expiry(folder, store).timestamps()
    assert ends == {
        "authority": folder.authority().certificate.not_valid_after_utc.timestamp(),
        "collector": folder.own_certificate().not_valid_after_utc.timestamp(),
    }
    folder.authorities.unlink()
    assert Expiry(folder, store).timestamps() == {}


async def test_of_each_host_the_end_of_its_latest_certificate_is_known(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path / "pki")
    folder.create("test", "olga")
    known = [
        certificate("h1", 4 * DAY),
        certificate("h1", 24 * DAY),
        certificate("h2", -DAY),
        replace(certificate("h3", 9 * DAY), revoked_at_unix_ns=1),
        certificate("jane", 50 * DAY, "operator", 365),
    ]
    store: IdentityStore = _Kept(known)  # type: ignore[assignment]  # only what is asked of it
    expiry = Expiry(folder, store)
    assert expiry.hosts == {}
    await expiry.tell(NOW)
    assert expiry.hosts == {
        "h1": (NOW + 24 * DAY).timestamp(),
        "h2": (NOW - DAY).timestamp(),
    }
    expiry.issued(certificate("h2", 30 * DAY))
    expiry.issued(certificate("jane", 30 * DAY, "operator", 365))
    assert expiry.hosts == {
        "h1": (NOW + 24 * DAY).timestamp(),
        "h2": (NOW + 30 * DAY).timestamp(),
    }
