"""Mutual TLS: who gets in, who is who, and certificates replaced while servers run."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.pki import DAY, Authority, serial
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.tls import (
    TlsError,
    TlsFiles,
    UnknownPeer,
    client_credentials,
    https_context,
    peer_identity,
    peer_options,
    server_credentials,
)

SERVER = Identity(Role.AGENT, "h1")
WHO = "/test/Who"


async def _who(_request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    try:
        found = peer_identity(context)
    except UnknownPeer:
        return b"unknown"
    return b"local" if found is None else f"{found.uri} {found.serial}".encode()


@asynccontextmanager
async def serving(files: TlsFiles | None, at: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """A server that tells a caller who it takes it for; yields its address."""
    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "test", {"Who": grpc.unary_unary_rpc_method_handler(_who)}
    )
    server.add_generic_rpc_handlers((handler,))
    if files is None:
        port = server.add_insecure_port(at)
    else:
        port = server.add_secure_port(at, server_credentials(files))
    await server.start()
    try:
        yield at if at.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def ask(dial: Dial) -> str:
    """Who the server takes the caller for, on the dial's present channel."""
    return await _ask(await dial.channel())


async def _ask(channel: grpc.aio.Channel) -> str:
    call: Any = channel.unary_unary(WHO)
    return str((await call(b"", timeout=10)).decode())


async def refused(address: str, files: TlsFiles | None, expected: Identity = SERVER) -> bool:
    """Whether the handshake fails, and fails as such: no answer, no hang."""
    dial = Dial(address, expected, files)
    try:
        await ask(dial)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await dial.close()
    return False


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.mark.parametrize("role", list(Role))
async def test_a_peer_is_known_by_role_name_and_serial(authority: Authority, role: Role) -> None:
    mine = authority.issue(role, "someone")
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, SERVER, mine)
        assert await ask(dial) == f"tonnage:{role}/someone {serial(mine)}"
        await dial.close()


async def test_without_tls_a_peer_is_local(tmp_path: Path) -> None:
    for at in ("127.0.0.1:0", f"unix:{tmp_path / 'socket'}"):
        async with serving(None, at) as address:
            dial = Dial(address, SERVER)
            assert await ask(dial) == "local"
            await dial.close()


async def test_a_unix_socket_takes_tls_too(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue(Role.AGENT, "h1")
    async with serving(files, f"unix:{tmp_path / 'socket'}") as address:
        assert await refused(address, None)
        dial = Dial(address, SERVER, authority.issue(Role.COLLECTOR, "collector"))
        assert (await ask(dial)).startswith("tonnage:collector/collector ")
        await dial.close()


async def test_whom_the_authority_did_not_vouch_for_gets_no_further(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other").issue(Role.COLLECTOR, "collector")
    forged = TlsFiles(stranger.certificate, stranger.key, authority.path)
    expired = authority.issue(Role.COLLECTOR, "expired", begins=-2 * DAY, ends=-DAY)
    early = authority.issue(Role.COLLECTOR, "early", begins=DAY, ends=2 * DAY)
    good = authority.issue(Role.COLLECTOR, "collector")
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        assert not await refused(address, good)
        assert await refused(address, None)
        assert await refused(address, forged)
        assert await refused(address, expired)
        assert await refused(address, early)


async def test_no_certificate_gets_no_further(authority: Authority) -> None:
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        trusting = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(address, trusting, peer_options(SERVER)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _ask(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_must_be_the_one_expected(authority: Authority, tmp_path: Path) -> None:
    mine = authority.issue(Role.COLLECTOR, "collector")
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        assert not await refused(address, mine)
        assert await refused(address, mine, Identity(Role.AGENT, "h2"))
        assert await refused(address, mine, Identity(Role.COLLECTOR, "h1"))
    other = Authority(tmp_path / "other")
    impostor = other.issue(Role.AGENT, "h1")
    lax = TlsFiles(impostor.certificate, impostor.key, authority.path)
    async with serving(lax) as address:
        assert await refused(address, mine)


@pytest.mark.parametrize("uri", ["", "tonnage:king/h1", "tonnage:agent/", "https://h1", "x"])
async def test_a_certificate_that_does_not_say_who_is_not_local(
    authority: Authority, uri: str
) -> None:
    mine = authority.issue(Role.COLLECTOR, "c", uri=uri)
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, SERVER, mine)
        assert await ask(dial) == "unknown"
        await dial.close()


async def test_a_server_shows_its_new_certificate_without_a_restart(authority: Authority) -> None:
    over = authority.issue(Role.AGENT, "h1", ends=timedelta(seconds=-1))
    mine = authority.issue(Role.COLLECTOR, "collector")
    async with serving(over) as address:
        assert await refused(address, mine)
        authority.issue(Role.AGENT, "h1")
        assert not await refused(address, mine)


async def test_a_server_trusts_a_new_authority_without_a_restart(
    authority: Authority, tmp_path: Path
) -> None:
    fresh = Authority(tmp_path / "fresh")
    theirs = fresh.issue(Role.COLLECTOR, "collector")
    both = TlsFiles(theirs.certificate, theirs.key, tmp_path / "both.pem")
    both.authorities.write_bytes(authority.pem + fresh.pem)
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        assert await refused(address, both)
        authority.path.write_bytes(authority.pem + fresh.pem)
        assert not await refused(address, both)


async def test_a_server_keeps_what_it_has_while_the_files_are_half_replaced(
    authority: Authority,
) -> None:
    files = authority.issue(Role.AGENT, "h1")
    mine = authority.issue(Role.COLLECTOR, "collector")
    async with serving(files) as address:
        files.key.write_bytes(mine.key.read_bytes())
        assert not await refused(address, mine)
        files.key.unlink()
        assert not await refused(address, mine)


async def test_a_dial_follows_its_files_and_lets_old_calls_end(authority: Authority) -> None:
    mine = authority.issue(Role.COLLECTOR, "collector")
    async with serving(authority.issue(Role.AGENT, "h1")) as address:
        dial = Dial(address, SERVER, mine)
        first, before = await dial.channel(), serial(mine)
        assert await dial.channel() is first
        assert (await ask(dial)).endswith(before)
        authority.issue(Role.COLLECTOR, "collector")
        assert (await ask(dial)).endswith(serial(mine))
        assert serial(mine) != before
        assert (await _ask(first)).endswith(before)
        mine.certificate.unlink()
        assert (await ask(dial)).startswith("tonnage:collector/")
        await dial.close()


async def test_a_dial_without_usable_files_says_which(authority: Authority) -> None:
    mine = authority.issue(Role.COLLECTOR, "collector")
    mine.key.unlink()
    with pytest.raises(TlsError, match="No such file") as caught:
        await Dial("127.0.0.1:1", SERVER, mine).channel()
    assert caught.value.problem.value == str(mine.key)


def test_files_that_do_not_fit_are_refused_by_name(authority: Authority) -> None:
    mine = authority.issue(Role.COLLECTOR, "collector")
    other = authority.issue(Role.AGENT, "h1")
    with pytest.raises(TlsError, match="is not the key of") as caught:
        server_credentials(TlsFiles(mine.certificate, other.key, mine.authorities))
    assert caught.value.problem.value == str(other.key)
    other.authorities.write_text("nothing")
    with pytest.raises(TlsError, match="not the PEM file") as caught:
        client_credentials(other)
    assert caught.value.problem.value == str(other.authorities)


async def test_https_follows_its_files(authority: Authority) -> None:
    files = authority.issue(Role.AGENT, "h1")
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=https_context(files)
    )
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await _shown(authority, port) == serial(files)
        authority.issue(Role.AGENT, "h1")
        assert await _shown(authority, port) == serial(files)
        files.certificate.unlink()
        assert await _shown(authority, port)


async def _shown(authority: Authority, port: int) -> str:
    """The serial of the certificate that a client is shown and accepts."""
    client = ssl.create_default_context(cadata=authority.pem.decode())
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client, server_hostname=SERVER.dns_name
    )
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return f"{int(found, 16):x}"


@pytest.mark.parametrize("uri", ["agent/h1", "tonnage:agent", "tonnage:agent/a b", "tonnage:a/b"])
def test_only_a_role_and_a_name_are_an_identity(uri: str) -> None:
    with pytest.raises(ValueError, match="not"):
        Identity.from_uri(uri)


def test_an_identity_survives_its_uri() -> None:
    who = Identity(Role.VIEWER, "Ann.B", "ff")
    assert Identity.from_uri(who.uri, "ff") == who
    assert who.dns_name == "ann.b.viewer.tonnage.internal"
