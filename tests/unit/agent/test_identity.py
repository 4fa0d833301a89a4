"""The identity folder: what a crash, a wrong answer or a bad disk does to it. Renewal."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from agent.errors import ConfigError
from agent.identity.folder import AGAIN, IdentityFolder, Issued
from agent.identity.remembered import Remembered
from agent.identity.renewal import keep_renewed, keep_told
from agent.identity.standing import Standing
from tests.pki import DAY, Authority
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.tls import TlsFiles, certificate_identity, make_key_and_request, server_credentials
from tonnage.v1 import collector_pb2

H1 = Identity(Role.AGENT, "h1")
COLLECTOR = Identity(Role.COLLECTOR, "collector")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def folder(tmp_path: Path) -> IdentityFolder:
    return IdentityFolder(tmp_path / "identity")


def prepare(folder: IdentityFolder, authority: Authority, **terms: Any) -> Issued:
    """Keep a fresh key and have a certificate issued for it."""
    key, request = make_key_and_request("h1")
    folder.keep_key(key)
    return Issued(authority.sign(request, H1, **terms), authority.pem)


def test_an_identity_is_there_once_it_was_taken_into_use(
    folder: IdentityFolder, authority: Authority
) -> None:
    assert not folder.exists()
    issued = prepare(folder, authority)
    assert not folder.exists()
    folder.replace(issued, "h1", "10.0.0.1:7070")
    assert folder.exists()
    assert (folder.who().role, folder.who().name) == (Role.AGENT, "h1")
    assert folder.collector() == "10.0.0.1:7070"
    assert stat.S_IMODE(folder.files.key.stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "agent.key", "agent.pem", "ca.pem", "collector",
    ]  # fmt: skip


def test_the_key_is_for_its_owner_before_it_is_in_use(
    folder: IdentityFolder, authority: Authority
) -> None:
    prepare(folder, authority)
    (only,) = folder.path.iterdir()
    assert stat.S_IMODE(only.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_crash_between_any_two_renames_leaves_a_pair_that_fits(
    folder: IdentityFolder, authority: Authority, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    folder.replace(prepare(folder, authority), "h1")
    before = folder.who().serial
    issued = prepare(folder, authority)
    left, rename = [renames], Path.replace

    def crash(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        if renames < 3:
            with pytest.raises(KeyboardInterrupt):
                folder.replace(issued, "h1")
        else:
            folder.replace(issued, "h1")
    again = IdentityFolder(folder.path)
    assert again.exists()
    fresh = certificate_identity(issued.certificate).serial
    assert again.who().serial == (before if renames < 2 else fresh)


def test_a_torn_certificate_of_a_crash_is_passed_over(
    folder: IdentityFolder, authority: Authority
) -> None:
    folder.replace(prepare(folder, authority), "h1")
    (folder.path / "agent.pem.next").write_bytes(b"-----BEGIN CERT")
    assert folder.exists()
    assert folder.who().name == "h1"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda issued, authority: Issued(b"nothing", issued.authorities), "what the collector"),
        (lambda issued, authority: Issued(issued.certificate, b"nothing"), "what the collector"),
        (
            lambda issued, authority: Issued(
                authority.sign(make_key_and_request("x")[1], H1), issued.authorities
            ),
            "not for the key made here",
        ),
        (
            lambda issued, authority: Issued(
                authority.sign(make_key_and_request("x")[1], Identity(Role.AGENT, "h2")),
                issued.authorities,
            ),
            "tonnage:agent/h2",
        ),
        (
            lambda issued, authority: Issued(
                authority.sign(make_key_and_request("x")[1], Identity(Role.OPERATOR, "h1")),
                issued.authorities,
            ),
            "tonnage:operator/h1",
        ),
    ],
)
def test_what_is_not_its_own_is_not_taken(
    folder: IdentityFolder, authority: Authority, spoil: Any, says: str
) -> None:
    folder.replace(prepare(folder, authority), "h1")
    before = folder.who()
    with pytest.raises(ConfigError, match=says):
        folder.replace(spoil(prepare(folder, authority), authority), "h1")
    assert folder.who() == before


def test_the_identity_of_a_person_is_not_an_agents(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue(Role.OPERATOR, "ann")
    folder = IdentityFolder(tmp_path / "ann")
    folder.path.mkdir()
    folder.files.certificate.write_bytes(issued.certificate.read_bytes())
    folder.files.key.write_bytes(issued.key.read_bytes())
    folder.files.authorities.write_bytes(authority.pem)
    with pytest.raises(ConfigError, match="operator ann, not of an agent"):
        folder.who()


def test_what_was_told_is_kept_and_whole_when_it_cannot_be(tmp_path: Path) -> None:
    told = Remembered(tmp_path / "revoked")
    assert list(told) == []
    told.replace(["AB", "cd"])
    assert "ab" in told
    assert list(Remembered(tmp_path / "revoked")) == ["ab", "cd"]
    (tmp_path / "revoked.next").mkdir()
    with capture_logs() as lines:
        told.replace(["ef"])
    assert list(told) == ["ef"]
    assert lines[0]["event"] == "cannot keep what was told"
    assert list(Remembered(tmp_path / "revoked")) == ["ab", "cd"]


def test_without_an_identity_nothing_is_on_disk() -> None:
    standing = Standing.of(None)
    standing.revoked.replace(["ab"])
    assert standing.files is None
    assert "ab" in standing.revoked


class Renewing:
    """A collector that renews, or refuses to."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.refusals = 0
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def renew(self, request: Any, context: Any) -> Any:
        self.asked.put_nowait(request.signing_request)
        if self.refusals:
            self.refusals -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "try later")
        certificate = self.authority.sign(request.signing_request.encode(), H1)
        return collector_pb2.RenewCertificateResponse(
            certificate=certificate.decode(), authorities=self.authority.pem.decode()
        )


@asynccontextmanager
async def renewing(
    collector: Renewing, folder: IdentityFolder, files: TlsFiles
) -> AsyncIterator[None]:
    """The agent's renewal beside a collector over mutual TLS."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        collector.renew,
        collector_pb2.RenewCertificateRequest.FromString,
        collector_pb2.RenewCertificateResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler(
        "tonnage.v1.CollectorService", {"RenewCertificate": handler}
    )
    server.add_generic_rpc_handlers((service,))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(files))
    await server.start()
    dial = Dial(f"127.0.0.1:{port}", COLLECTOR, folder.files)
    task = asyncio.create_task(keep_renewed(folder, "h1", dial))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await dial.close()
        await server.stop(0)


async def test_two_thirds_of_a_life_in_it_renews_with_a_fresh_key(
    folder: IdentityFolder, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr("agent.identity.renewal.asyncio.sleep", _noting(pauses))
    folder.replace(prepare(folder, authority, begins=-2.01 * DAY, ends=0.99 * DAY), "h1")
    old, key = folder.who().serial, folder.files.key.read_bytes()
    collector = Renewing(authority)
    async with renewing(collector, folder, authority.issue(Role.COLLECTOR, "collector")):
        async with asyncio.timeout(10):
            await pauses.get()  # all is done before it rests
    assert collector.asked.qsize() == 1
    assert folder.who().serial != old
    assert folder.files.key.read_bytes() != key
    assert folder.who().name == "h1"


async def test_before_that_it_leaves_the_collector_alone(
    folder: IdentityFolder, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr("agent.identity.renewal.asyncio.sleep", _noting(pauses))
    folder.replace(prepare(folder, authority, begins=-1.99 * DAY, ends=1.01 * DAY), "h1")
    collector = Renewing(authority)
    async with renewing(collector, folder, authority.issue(Role.COLLECTOR, "collector")):
        async with asyncio.timeout(10):
            seen = [await pauses.get() for _ in range(3)]
    assert collector.asked.empty()
    assert set(seen) == {60.0}, "it looks at the clock again, which may have been set"


async def test_a_renewal_that_fails_is_tried_again_and_told_once(
    folder: IdentityFolder, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr("agent.identity.renewal.asyncio.sleep", _noting(pauses))
    folder.replace(prepare(folder, authority, begins=-3 * DAY, ends=timedelta(hours=1)), "h1")
    old, collector = folder.who().serial, Renewing(authority)
    collector.refusals = 3
    with capture_logs() as lines:
        async with renewing(collector, folder, authority.issue(Role.COLLECTOR, "collector")):
            async with asyncio.timeout(10):
                resting = [await pauses.get() for _ in range(4)]
    assert folder.who().serial != old
    assert resting[:3] == [15.0] * 3
    told = [line["event"] for line in lines]
    assert told.count("cannot renew the certificate") == 1
    assert told.count("certificate renewed") >= 1


async def test_an_end_that_nears_is_told_at_once_and_what_to_do_once_it_came(
    folder: IdentityFolder, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told(ends: timedelta) -> list[Any]:
        pauses: asyncio.Queue[float] = asyncio.Queue()
        monkeypatch.setattr("agent.identity.renewal.asyncio.sleep", _noting(pauses))
        folder.replace(prepare(folder, authority, begins=ends - 6 * DAY, ends=ends), "h1")
        with capture_logs() as lines:
            task = asyncio.create_task(keep_told(folder))
            async with asyncio.timeout(10):
                assert await pauses.get() == 3600.0
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return lines[:1]

    assert await told(1.1 * DAY) == []
    (near,) = await told(0.9 * DAY)
    assert (near["log_level"], near["of"], "in 21 hours" in near["when"]) == (
        *("warning", "certificate"),
        True,
    )
    (over,) = await told(-0.1 * DAY)
    assert (over["log_level"], over["do"]) == ("error", AGAIN)
    assert over["when"].startswith("ended at ")


def test_the_ends_are_known_where_the_files_can_be_read(
    folder: IdentityFolder, authority: Authority
) -> None:
    folder.replace(prepare(folder, authority), "h1")
    ends = Standing.of(folder.path).ends()
    assert ends == {
        "agent": folder.life().ends.timestamp(),
        "authority": authority.certificate.not_valid_after_utc.timestamp(),
    }
    folder.files.authorities.unlink()
    assert Standing.of(folder.path).ends() == {}
    assert Standing.of(None).ends() == {}


def _noting(pauses: asyncio.Queue[float]) -> Any:
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await real(0)

    return sleep
