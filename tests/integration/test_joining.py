"""Tokens and joining against a real collector over HTTPS, and its guarded pages."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from grpc import aio

from agent.identity.enrolment import JoinToken, join
from agent.identity.folder import IdentityFolder
from collector.client import Client
from collector.endpoint import Endpoint
from collector.errors import InvalidInput, TonnageError
from collector.pki.folder import PkiFolder
from tests.integration.collector_process import collector_process, run_to_its_end
from tests.integration.keyring import pair
from tests.runs_made_up import facts, fingerprint
from tonnage import PROTOCOL, wire
from tonnage.identity import Identity, Role
from tonnage.tls import (
    TlsFiles,
    certificate_identity,
    client_credentials,
    make_key_and_request,
    peer_options,
)
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc

HOUR = 3600.0
COLLECTOR = Identity(Role.COLLECTOR, "collector")


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    @property
    def problem(self) -> dict[str, str]:
        return dict(self.json["problem"])


@dataclass(frozen=True)
class Place:
    """A collector with TLS: where it is, its folder, and an operator's client."""

    address: str
    http: str
    folder: PkiFolder
    client: Client

    async def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        return await asyncio.to_thread(self._ask, method, path, body, headers)

    async def join(self, token: str, host: str = "h1", request: str = "") -> Answer:
        asked = request or make_key_and_request(host)[1].decode()
        body = {"token": token, "host": host, "signing_request": asked}
        return await self.ask("POST", "/join", json.dumps(body))

    async def token(self, uses: int = 1, host: str = "", ttl: float = HOUR) -> str:
        return (await self.client.create_token(ttl, uses, host)).token

    def _ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
        context = ssl.create_default_context(cafile=str(self.folder.authorities))
        context.check_hostname = False
        connection = http.client.HTTPSConnection(self.http, timeout=10, context=context)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    folder = PkiFolder(tmp_path / "pki")
    folder.create("test authority", "olga")
    async with (
        collector_process(tmp_path, "--tls-dir", str(folder.path)) as process,
        Client(Endpoint(process.address, folder.path)) as client,
    ):
        yield Place(process.address, process.http, folder, client)


async def register(place: Place, files: TlsFiles, host: str) -> None:
    """Make ``host`` live, as its agent would."""
    options = peer_options(COLLECTOR)
    async with aio.secure_channel(place.address, client_credentials(files), options) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        request = pb.RegisterRequest(
            facts=wire.to_message(facts(host, f"id-{host}")),
            address="127.0.0.1:1",
            runtimes=[wire.to_message(fingerprint())],
            protocol=PROTOCOL,
        )
        answer = await stub.Register(request, timeout=10)
        assert answer.scrape_token_sha256


async def test_a_host_joins_with_a_token_and_the_key_stays_with_it(
    place: Place, tmp_path: Path
) -> None:
    made = await place.client.create_token(HOUR, 1)
    assert made.command == f"tonnage-agent join --collector {place.http} --token -"
    folder = IdentityFolder(tmp_path / "identity")
    token = JoinToken.parse(made.token)
    address = await asyncio.to_thread(join, place.http, token, "h1", folder)
    assert address == place.address
    assert (folder.who().role, folder.who().name) == (Role.AGENT, "h1")
    await register(place, folder.files, "h1")
    (host,) = await place.client.hosts()
    assert host.facts.host == "h1"
    (listed,) = await place.client.tokens()
    assert (listed.uses_left, listed.created_by) == (0, "operator/olga")
    assert made.token.split(".")[2] not in (tmp_path / "store" / "tonnage.db").read_bytes().decode(
        "latin-1"
    )
    joined = next(e for e in await place.client.audit() if e.command == "Join")
    assert (joined.role, joined.name, joined.outcome) == ("agent", "h1", "ok")


async def test_of_many_that_join_at_once_no_more_get_in_than_there_are_uses(
    place: Place,
) -> None:
    token = await place.token(uses=3)
    answers = await asyncio.gather(*(place.join(token, f"h{n}") for n in range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [403] * 7
    issued = [c for c in await place.client.certificates() if c.role == "agent"]
    assert len(issued) == 3


async def test_a_token_of_no_use_is_refused_alike_whatever_the_reason(place: Place) -> None:
    used = await place.token()
    assert (await place.join(used, "h0")).status == 200
    revoked = await place.client.create_token(HOUR, 1)
    await place.client.revoke_token(revoked.token_id)
    another = await place.token(host="h9")
    unknown = used[:20] + ("0" if used[20] != "0" else "1") + used[21:]
    short = await place.token(ttl=1.0)
    expired = asyncio.Event()
    asyncio.get_running_loop().call_later(1.05, expired.set)
    await expired.wait()
    answers = [
        await place.join(token) for token in (used, revoked.token, another, unknown, short, "x")
    ]
    assert {answer.status for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert "tonnage token create" in answers[0].problem["remedy"]
    refused = [e for e in await place.client.audit() if e.command == "Join" and e.subject == "h1"]
    assert {entry.outcome for entry in refused} == {"PERMISSION_DENIED"}
    assert len(refused) == 6


def _request_for(key: Any) -> str:
    from cryptography.hazmat.primitives import hashes, serialization

    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("weak", "neither EC P-256 nor RSA"),
        ("curve", "neither EC P-256 nor RSA"),
        ("forged", "not signed by the key"),
        ("garbage", "not a certificate signing request"),
    ],
)
async def test_a_signing_request_that_is_not_good_is_refused_and_takes_no_use(
    place: Place, what: str, said: str
) -> None:
    requests: dict[str, Callable[[], str]] = {
        "weak": lambda: _request_for(rsa.generate_private_key(65537, 1024)),  # noqa: S505
        "curve": lambda: _request_for(ec.generate_private_key(ec.SECP384R1())),
        "forged": _forged,
        "garbage": lambda: "-----BEGIN CERTIFICATE REQUEST-----\nnonsense\n",
    }
    token = await place.token()
    answer = await place.join(token, request=requests[what]())
    assert answer.status == 400
    assert said in answer.problem["message"]
    assert (await place.join(token)).status == 200


def _forged() -> str:
    """A request whose signature was turned by one bit."""
    import base64

    pem = make_key_and_request("h1")[1].decode().splitlines()
    raw = bytearray(base64.b64decode("".join(pem[1:-1])))
    raw[-1] ^= 1
    return "\n".join([pem[0], base64.b64encode(raw).decode(), pem[-1], ""])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", ""),
        ("{", ""),
        ("[]", ""),
        ('{"token": "x", "host": "h1"}', "signing_request"),
        ('{"token": 1, "host": "h1", "signing_request": "x"}', "token"),
        ('{"token": "x", "host": "h1", "signing_request": "x", "more": 1}', "more"),
        ('{"token": "x", "host": "../h1", "signing_request": "x"}', "host"),
        (json.dumps({"token": "x", "host": "h" * 64, "signing_request": "x"}), "host"),
        ("x" * 40_000, ""),
    ],
)
async def test_a_body_that_is_no_request_is_refused_by_field(
    place: Place, body: str, field: str
) -> None:
    answer = await place.ask("POST", "/join", body)
    assert answer.status == 400
    assert answer.problem["kind"] == "invalid_input"
    assert answer.problem.get("field", "") == field


async def test_a_guesser_is_made_to_wait_and_others_are_told_when(place: Place) -> None:
    token = await place.token()
    statuses = [(await place.join("nonsense")).status for _ in range(10)]
    assert statuses == [403] * 10
    late = await place.join(token)
    assert late.status == 429
    assert "Try again in" in late.problem["remedy"]


async def test_a_live_hosts_name_is_given_again_only_to_a_token_that_names_it(
    place: Place, tmp_path: Path
) -> None:
    agent = pair(tmp_path, place.folder, place.folder.authority(), Identity(Role.AGENT, "h1"))
    first = await place.join(await place.token())
    assert first.status == 200
    await register(place, agent, "h1")
    token = await place.token()
    for name in ("h1", "H1"):
        taken = await place.join(token, name)
        assert (taken.status, taken.problem["field"]) == (403, "host")
        assert "--host" in taken.problem["remedy"]
    assert (await place.join(token, "h2")).status == 200
    assert (await place.join(await place.token(host="h1"))).status == 200
    await place.client.revoke_certificate(host="h1")
    assert (await place.join(await place.token())).status == 200


async def test_a_host_renews_under_its_own_name_and_not_once_it_is_revoked(
    place: Place, tmp_path: Path
) -> None:
    agent = pair(tmp_path, place.folder, place.folder.authority(), Identity(Role.AGENT, "h1"))
    credentials, options = client_credentials(agent), peer_options(COLLECTOR)
    request = pb.RenewCertificateRequest(
        signing_request=make_key_and_request("someone-else")[1].decode()
    )
    async with aio.secure_channel(place.address, credentials, options) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        answer = await stub.RenewCertificate(request, timeout=10)
        renewed = certificate_identity(answer.certificate.encode())
        assert (renewed.role, renewed.name) == (Role.AGENT, "h1")
        assert answer.authorities == place.folder.read_authorities()
        own = certificate_identity(agent.certificate.read_bytes()).serial
        assert await place.client.revoke_certificate(serial=own) == (own,)
        with pytest.raises(aio.AioRpcError, match="revoked") as refused:
            await stub.RenewCertificate(request, timeout=10)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    known = {certificate.serial for certificate in await place.client.certificates()}
    assert {own, renewed.serial} <= known


async def test_a_collector_does_not_revoke_what_it_serves_with(place: Place) -> None:
    own = f"{place.folder.own_certificate().serial_number:x}"
    with pytest.raises(TonnageError, match="itself serves with"):
        await place.client.revoke_certificate(serial=own.upper())
    with pytest.raises(InvalidInput, match="hexadecimal"):
        await place.client.revoke_certificate(serial="xyz")


async def test_pages_are_for_those_who_show_a_scrape_token(place: Place) -> None:
    assert (await place.ask("GET", "/healthz")).text == "ok\n"
    assert "BEGIN CERTIFICATE" in (await place.ask("GET", "/ca.pem")).text
    first = place.folder.scrape_token.read_text().strip()
    assert place.folder.scrape_token.stat().st_mode & 0o777 == 0o600
    good = await place.ask("GET", "/metrics", Authorization=f"Bearer {first}")
    assert "tonnage_collector_info" in good.text
    for wrong in ({}, {"Authorization": f"Basic {first}"}, {"Authorization": "Bearer x"}):
        assert (await place.ask("GET", "/metrics", **wrong)).status == 401
    place.folder.scrape_token.write_text(f"{first}\n{'second-token' * 2}\n")
    for token in (first, "second-token" * 2):
        answer = await place.ask("GET", "/metrics", Authorization=f"Bearer {token}")
        assert answer.status == 200
    refused = [e for e in await place.client.audit() if e.command == "Scrape"]
    assert {(e.subject, e.outcome) for e in refused} == {("/metrics", "UNAUTHENTICATED")}


@pytest.mark.parametrize("flag", ["--listen", "--http"])
async def test_an_address_beyond_this_host_needs_tls(flag: str, tmp_path: Path) -> None:
    code, _, said = await run_to_its_end(flag, "192.0.2.1:0", "--store", str(tmp_path))
    assert code == 2
    assert all(word in said for word in (flag, "192.0.2.1:0", "loopback", "--tls-dir"))


async def test_without_tls_nobody_joins_and_a_folder_without_keys_is_named(
    tmp_path: Path,
) -> None:
    async with collector_process(tmp_path) as process, Client(process.address) as client:
        with pytest.raises(TonnageError, match="pki init"):
            await client.create_token(HOUR, 1)
        assert (await client.audit())[0].role == "local"
    missing = ("--tls-dir", str(tmp_path / "nowhere"), "--store", str(tmp_path / "other"))
    code, _, said = await run_to_its_end(*missing)
    assert (code, "pki init" in said, "nowhere" in said) == (2, True, True)
