"""Joining a fleet: a one-time token is exchanged for a certificate over HTTPS.

The token carries the fingerprint of the collector's authority, so the very first
connection is verified too: the authority is fetched unverified, compared with the
fingerprint, and only then trusted, with nothing secret sent before.
"""

from __future__ import annotations

import hmac
import http.client
import json
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from agent.errors import ConfigError, RuntimeUnavailable
from agent.identity.folder import IdentityFolder, Issued
from tonnage.address import Address, host_and_port
from tonnage.identity import Identity, Role
from tonnage.tls import make_key_and_request

CALL_SECONDS = 15.0
_MOST_BYTES = 1 << 20
_COLLECTOR = Identity(Role.COLLECTOR, "collector")
_TOKEN = re.compile(r"tonnage1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.(?P<authority>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """``tonnage1.ID.SECRET.FINGERPRINT``; the last is of the authority's DER, SHA-256."""

    text: str = field(repr=False)
    authority: str

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Take a token apart. Raises ``ConfigError`` that does not show its secret."""
        found = _TOKEN.fullmatch(text.strip())
        if found is None:
            raise ConfigError(
                "is not a token, which looks like tonnage1.ID.SECRET.FINGERPRINT",
                field="token",
                value=f"{text[:12]}… of {len(text)} characters" if text else "",
                remedy="Copy it whole from: tonnage token create.",
            )
        return cls(text.strip(), found["authority"])


def join(collector: str, token: JoinToken, name: str, folder: IdentityFolder) -> str:
    """Make a key, get a certificate for it, take both into use; returns the collector's
    gRPC address. The key never leaves this host.

    Raises ``ConfigError`` for what the user can mend, with the collector's own words
    where it refused, and ``RuntimeUnavailable`` where it cannot be asked.
    """
    at = _address(collector)
    authority = _authority(at, token)
    key, request = make_key_and_request(name)
    folder.keep_key(key)
    asked = {"token": token.text, "host": name, "signing_request": request.decode()}
    answer = _post(at, "/join", asked, ssl.create_default_context(cadata=authority))
    try:
        issued = Issued(answer["certificate"].encode(), answer["authorities"].encode())
        address = _reachable(str(answer["collector"]), at)
    except (KeyError, AttributeError, ValueError) as error:
        raise _unavailable(at, "its answer is not a collector's") from error
    folder.replace(issued, name, address)
    return address


def _address(collector: str) -> Address:
    try:
        return Address(*host_and_port(collector))
    except ValueError as error:
        remedy = "Give the collector's HTTP address, such as collector.example:7071."
        message = str(error)
        raise ConfigError(message, field="collector", value=collector, remedy=remedy) from error


def _reachable(told: str, at: Address) -> str:
    """The collector's gRPC address; where it names no host, the one just reached."""
    if told.startswith("unix:"):
        return told
    host, port = host_and_port(told) if not told.startswith(":") else ("", int(told[1:]))
    return str(Address(at.host if host in ("", "0.0.0.0", "::") else host, port))  # noqa: S104


def _authority(at: Address, token: JoinToken) -> str:
    """The authority that the token names, PEM."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE  # what it brings is compared with the token
    status, body = _exchange(at, "GET", "/ca.pem", None, blind)
    try:
        found = x509.load_pem_x509_certificates(body) if status == http.client.OK else []
    except ValueError:
        found = []
    for certificate in found:
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        if hmac.compare_digest(fingerprint, token.authority):
            return certificate.public_bytes(serialization.Encoding.PEM).decode()
    shown = found[0].fingerprint(hashes.SHA256()).hex() if found else "none"
    raise ConfigError(
        f"is not the collector that made the token: it shows the authority {shown},"
        f" the token names {token.authority}",
        field="collector",
        value=str(at),
        remedy="Check the address; if it is right, someone may be in between.",
    )


def _post(
    at: Address, path: str, asked: Mapping[str, str], context: ssl.SSLContext
) -> dict[str, Any]:
    status, body = _exchange(at, "POST", path, json.dumps(asked), context)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _unavailable(at, f"it answered with status {status} and no JSON")
    if status == http.client.OK:
        return answer
    problem = answer.get("problem")
    told = problem if isinstance(problem, dict) else {}
    said = {key: str(told.get(key, "")) for key in ("message", "field", "value", "remedy")}
    message = said.pop("message") or f"the collector answered with status {status}"
    if status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS:
        raise RuntimeUnavailable(message, **said)
    raise ConfigError(message, **said)


def _exchange(
    at: Address, method: str, path: str, body: str | None, context: ssl.SSLContext
) -> tuple[int, bytes]:
    connection = _Connection(at.host, at.port, timeout=CALL_SECONDS, context=context)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise _unavailable(at, f"its certificate is not good: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise _unavailable(at, f"it does not speak TLS as it should: {error.reason}") from error
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise _unavailable(at, why or str(error) or type(error).__name__) from error
    finally:
        connection.close()


class _Connection(http.client.HTTPSConnection):
    """HTTPS to a collector, which proves a role and not an address."""

    def __init__(self, *args: Any, context: ssl.SSLContext, **kwargs: Any) -> None:
        super().__init__(*args, context=context, **kwargs)
        self._tls = context

    def connect(self) -> None:
        """Connect; verify the collector's name, where anything is verified."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=_COLLECTOR.dns_name)


def _unavailable(at: Address, why: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"cannot be asked: {why}",
        field="collector",
        value=str(at),
        remedy="Check that it runs there with TLS and that this is its HTTP address, port 7071"
        " by default.",
    )
