"""Who may join under which name, with the real store and no network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from collector.errors import Forbidden, InvalidInput
from collector.pki.folder import PkiFolder
from collector.server.access import Caller, Revocations
from collector.server.enrolment import Enrolment
from collector.server.revoking import Revoking
from collector.stores.base import Store
from collector.stores.open import open_store
from tonnage.lifetime import utc_now
from tonnage.tls import certificate_identity, make_key_and_request

OLGA = Caller("operator", "olga", "ipv4:10.0.0.1:5", "ab")
REQUEST = make_key_and_request("h1")[1].decode()
HOUR = 3600.0


@dataclass
class Place:
    enrolment: Enrolment
    revoking: Revoking
    revocations: Revocations
    store: Store
    folder: PkiFolder
    live: set[str] = field(default_factory=set)

    async def join(self, host: str = "h1", bound_to: str = "") -> str:
        """Join with a fresh token; the serial of the certificate."""
        made = await self.enrolment.create_token(HOUR, 1, bound_to, OLGA)
        issued = await self.enrolment.join(made.text, host, REQUEST)
        return certificate_identity(issued.certificate.encode()).serial


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    folder = PkiFolder(tmp_path / "pki")
    folder.create("test", "olga")
    store = await open_store(str(tmp_path / "store"))
    revocations, live = Revocations(), set[str]()
    revoking = Revoking(store, folder, revocations)
    enrolment = Enrolment(store, folder, revoking, live.__contains__, timedelta(days=30))
    yield Place(enrolment, revoking, revocations, store, folder, live)
    await store.close()


async def test_a_name_is_free_again_when_its_host_is_gone_or_its_certificates_are(
    place: Place,
) -> None:
    serial = await place.join()
    await place.join()
    place.live.add("h1")
    with pytest.raises(Forbidden, match="live host"):
        await place.join()
    await place.join(bound_to="h1")
    await place.revoking.revoke("", "h1")
    assert serial in place.revocations
    await place.join()
    with pytest.raises(Forbidden, match="live host"):
        await place.join()


async def test_a_name_that_differs_by_case_alone_is_refused_whatever_the_token(
    place: Place,
) -> None:
    await place.join("Web-1")
    for bound_to in ("", "web-1"):
        with pytest.raises(Forbidden, match="by case alone from the host Web-1"):
            await place.join("web-1", bound_to=bound_to)
    await place.join("Web-1")
    await place.revoking.revoke("", "Web-1")
    await place.join("web-1")


async def test_a_host_is_shut_out_while_it_has_no_certificate_that_holds(place: Place) -> None:
    first = await place.join()
    assert await place.revoking.shut_out() == set()
    await place.revoking.revoke(first, "")
    assert await place.revoking.shut_out() == {"h1"}
    second = await place.join()
    assert await place.revoking.shut_out() == set()
    await place.revoking.revoke(second, "")
    assert await place.revoking.shut_out() == {"h1"}


async def test_what_is_renewed_while_it_is_revoked_does_not_outlive_that(place: Place) -> None:
    serial = await place.join()
    thief = Caller("agent", "h1", "ipv4:10.0.0.1:5", serial)
    await place.revoking.revoke(serial, "")  # after the call was let in
    with pytest.raises(Forbidden, match="revoked"):
        await place.enrolment.renew(thief, REQUEST)
    assert len(await place.store.certificates()) == 2
    assert all(each.revoked_at_unix_ns for each in await place.store.certificates())


async def test_a_certificate_of_an_authority_before_holds_no_name(place: Place) -> None:
    await place.join()
    place.live.add("h1")
    for path in place.folder.path.iterdir():
        path.unlink()
    # The skew for which a certificate is good before it was made is that of both.
    later = utc_now() + timedelta(minutes=10)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("collector.pki.folder.utc_now", lambda: later)
        place.folder.create("its successor", "olga")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("collector.server.enrolment.utc_now", lambda: later)
        await place.join()
        with pytest.raises(Forbidden, match="live host"):
            await place.join()


async def test_a_join_that_is_refused_for_its_name_takes_no_use(place: Place) -> None:
    await place.join()
    place.live.add("h1")
    made = await place.enrolment.create_token(HOUR, 1, "", OLGA)
    with pytest.raises(Forbidden):
        await place.enrolment.join(made.text, "h1", REQUEST)
    await place.enrolment.join(made.text, "h2", REQUEST)
    with pytest.raises(Forbidden, match="this token"):
        await place.enrolment.join(made.text, "h3", REQUEST)


async def test_of_many_at_once_no_more_join_than_there_are_uses(place: Place) -> None:
    made = await place.enrolment.create_token(HOUR, 5, "", OLGA)
    joins = [place.enrolment.join(made.text, f"h{n}", REQUEST) for n in range(50)]
    ended = await asyncio.gather(*joins, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in ended) == 5
    assert sum(isinstance(each, Forbidden) for each in ended) == 45


async def test_what_another_collector_on_the_store_revokes_is_refused_here_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.server.revoking._LOOK_EVERY_SECONDS", 0.01)
    barred: asyncio.Queue[Collection[str]] = asyncio.Queue()
    elsewhere = Revoking(place.store, place.folder, Revocations())
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(place.revoking.keep_up(barred.put))
        serial = await place.join()
        with place.revocations.watched(serial) as refused:
            await elsewhere.revoke(host="h1")
            async with asyncio.timeout(5):
                await refused.wait()
                assert await barred.get() == {"h1"}
        keeping.cancel()
    assert place.revocations.serials == (serial,)


async def test_what_was_revoked_at_another_collector_cannot_be_renewed_before_this_one_hears(
    place: Place,
) -> None:
    serial = await place.join()
    await Revoking(place.store, place.folder, Revocations()).revoke(serial)
    with pytest.raises(Forbidden, match="revoked"):
        await place.enrolment.renew(Caller("agent", "h1", "10.0.0.1:5", serial), REQUEST)
    assert await place.revoking.shut_out() == {"h1"}


async def test_a_serial_that_was_never_seen_is_revoked_for_good(place: Place) -> None:
    assert await place.revoking.revoke("AB:CD", "") == ("abcd",)
    assert await place.revoking.revoke("abcd", "") == ()
    assert place.revocations.serials == ("abcd",)
    (known,) = await place.store.certificates()
    assert known.revoked_at_unix_ns is not None


@pytest.mark.parametrize(
    ("ttl", "uses", "host", "named"),
    [(0.0, 1, "", "ttl"), (float("nan"), 1, "", "ttl"), (HOUR, 0, "", "uses"), (1, 1, "/", "host")],
)
async def test_terms_that_make_no_sense_are_named(
    place: Place, ttl: float, uses: int, host: str, named: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await place.enrolment.create_token(ttl, uses, host, OLGA)
    assert refused.value.problem.field == named
    assert await place.store.tokens() == ()
