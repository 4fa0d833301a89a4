"""When a certificate is renewed, and when people hear of its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.pki import Authority
from tonnage.identity import Role
from tonnage.lifetime import Lifetime, lifetime_of
from tonnage.tls import TlsError

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_is_due_after_two_thirds_and_told_of_in_its_last_sixth() -> None:
    life = Lifetime(BEGINS, BEGINS + timedelta(days=30))
    assert life.due == BEGINS + timedelta(days=20)
    assert not life.is_ending(BEGINS + timedelta(days=24, hours=23))
    assert life.is_ending(BEGINS + timedelta(days=25))
    assert life.is_ending(BEGINS + timedelta(days=31))


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (timedelta(days=12, hours=5), "ends at 2026-01-31 00:00Z, in 12 days"),
        (timedelta(hours=47), "ends at 2026-01-31 00:00Z, in 47 hours"),
        (timedelta(seconds=150), "ends at 2026-01-31 00:00Z, in 2 minutes"),
        (timedelta(seconds=119), "ends at 2026-01-31 00:00Z, in 119 seconds"),
        (timedelta(0), "ended at 2026-01-31 00:00Z"),
        (timedelta(days=-9), "ended at 2026-01-31 00:00Z"),
    ],
)
def test_it_is_told_in_words(left: timedelta, says: str) -> None:
    life = Lifetime(BEGINS, BEGINS + timedelta(days=30))
    assert life.words(life.ends - left) == says


def test_it_is_read_from_a_file_or_the_file_is_named(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue(Role.VIEWER, "vic", ends=timedelta(days=3))
    life = lifetime_of(files.certificate)
    assert timedelta(days=3, hours=23) < life.ends - life.begins < timedelta(days=4, hours=1)
    for path, why in ((tmp_path / "none.pem", "cannot be read"), (files.key, "no certificate")):
        with pytest.raises(TlsError, match=why) as refused:
            lifetime_of(path)
        assert refused.value.problem.value == str(path)
