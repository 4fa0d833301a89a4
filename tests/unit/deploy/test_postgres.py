"""A PostgreSQL of our own; see deploy/postgres.py."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.postgres import PostgresFailed, PrivatePostgres


@pytest.fixture
def own() -> Iterator[PrivatePostgres]:
    """One that a test may stop and kill."""
    reason = PrivatePostgres.unavailable()
    if reason is not None:
        pytest.skip(f"{reason}: run deploy/bootstrap.sh --dev")
    started = PrivatePostgres(Path(tempfile.mkdtemp(prefix="tonnage-postgres-")))
    started.start()
    yield started
    started.remove()
    assert not started.home.exists()


def test_what_was_stored_outlives_a_crash_at_the_same_address(own: PrivatePostgres) -> None:
    url = own.create_database("d")
    own.run("CREATE TABLE t AS SELECT 7 AS seven", "d")
    own.kill()
    with pytest.raises(PostgresFailed, match="refused"):
        own.run("SELECT 1", "d")
    own.start()
    assert own.url("d") == url
    assert own.run("SELECT seven FROM t", "d") == "7"


def test_it_ends_in_order_and_may_be_ended_twice(own: PrivatePostgres) -> None:
    own.stop()
    own.stop()
    assert "database system is shut down" in (own.home / "postgres.log").read_text()


def test_a_refused_setting_is_told_with_the_log(own: PrivatePostgres) -> None:
    own.stop()
    odd = PrivatePostgres(own.home, settings=["shared_buffers=never"])
    with pytest.raises(PostgresFailed, match="shared_buffers"):
        odd.start()
