"""Mutual TLS between the parts, from files that may be replaced while they run.

Servers look at their files at each handshake, clients each time they ask for a channel
(``tonnage.dial``), so a renewed certificate is in use without a restart. Certificate and
key are two files: while they do not belong together, which is so for the instant between
two renames, a server goes on with those it has.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tonnage.identity import Identity
from tonnage.model import Problem, ProblemKind

Made = TypeVar("Made")
Stamp = tuple[tuple[int, int, int], ...]

_INSECURE = b"insecure"

_log = structlog.get_logger("tonnage.tls")


class TlsError(Exception):
    """Certificate, key or authorities cannot be used; ``problem`` names the file."""

    def __init__(self, message: str, path: Path, remedy: str = "") -> None:
        kind = ProblemKind.INVALID_INPUT
        self.problem = Problem(kind, message, field="tls", value=str(path), remedy=remedy)
        super().__init__(str(self.problem))


class UnknownPeer(Exception):
    """A peer's certificate is of our authority but does not say who it is."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: an own certificate, its key, and whom to trust."""

    certificate: Path
    key: Path
    authorities: Path

    def stamp(self) -> Stamp:
        """Changes whenever one of the files was replaced. Raises ``TlsError``."""
        return tuple(_stat(path) for path in (self.certificate, self.key, self.authorities))

    def read(self) -> Material:
        """The files' contents. Raises ``TlsError`` unless they can be used together."""
        material = Material(*map(_read, (self.certificate, self.key, self.authorities)))
        own = _parsed(self.certificate, x509.load_pem_x509_certificate, material.certificate)
        _parsed(self.authorities, x509.load_pem_x509_certificates, material.authorities)
        key = _parsed(self.key, _load_key, material.key)
        if key.public_key() != own.public_key():
            raise TlsError(f"is not the key of {self.certificate}", self.key)
        return material


@dataclass(frozen=True, slots=True)
class Material:
    """What the three files hold."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Mutual TLS for a server: no peer gets in without a certificate of ``authorities``.

    Raises ``TlsError`` when the files cannot be used now; later the server goes on
    with what it has and logs why.
    """
    latest = _Latest(files, _server_configuration)
    return grpc.dynamic_ssl_server_credentials(
        latest.get(), latest.get, require_client_authentication=True
    )


def client_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Mutual TLS for a client, with the files as they are now. Raises ``TlsError``."""
    material = files.read()
    return grpc.ssl_channel_credentials(material.authorities, material.key, material.certificate)


def peer_options(expected: Identity) -> list[tuple[str, str]]:
    """Channel options that make the server prove to be ``expected``, wherever it is dialled."""
    return [("grpc.ssl_target_name_override", expected.dns_name)]


def https_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for an HTTP server, which asks for no client certificate.

    It looks at the files at each handshake. Raises ``TlsError`` when they cannot be
    used now; later it goes on with what it has and logs why.
    """
    latest = _Latest(files, _https_context)
    context = latest.get()

    def renew(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = latest.get()

    context.sni_callback = renew
    return context


def peer_identity(context: grpc.aio.ServicerContext[Any, Any]) -> Identity | None:
    """Who calls; ``None`` where the connection has no TLS, which only this host reaches.

    Raises ``UnknownPeer`` where it has, but the certificate does not say.
    """
    claims = context.auth_context()
    if set(claims.get("transport_security_type", (_INSECURE,))) == {_INSECURE}:
        return None
    certificates = tuple(claims.get("x509_pem_cert", ()))
    if not certificates:
        raise UnknownPeer("the connection shows no certificate")
    return certificate_identity(certificates[0])


@lru_cache(maxsize=4096)
def certificate_identity(certificate: bytes) -> Identity:
    """Who a certificate (PEM) is for. Raises ``UnknownPeer``."""
    parsed = x509.load_pem_x509_certificate(certificate)
    serial = f"{parsed.serial_number:x}"
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        return Identity.from_uri(uri, serial)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise UnknownPeer(f"certificate {serial} carries no one tonnage:ROLE/NAME") from error


def make_key_and_request(name: str) -> tuple[bytes, bytes]:
    """A fresh key (EC P-256) and a signing request for it, both PEM.

    ``name`` is for people: who the certificate will be for is the authority's to say.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *plain), _request(key, name)


def make_request(files: TlsFiles, name: str) -> bytes:
    """A signing request (PEM) for the key in use, so that the pair fits whenever only the
    certificate is replaced. Raises ``TlsError``."""
    return _request(_load_key(files.read().key), name)


def _request(key: Any, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class _Latest(Generic[Made]):
    """What is made of the files as they are, made anew when they changed."""

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], Made]) -> None:
        self._files = files
        self._make = make
        self._stamp = files.stamp()
        self._made = make(files)
        self._trouble = ""

    def get(self) -> Made:
        """The latest that could be made; any thread."""
        try:
            stamp = self._files.stamp()
            if stamp != self._stamp:
                self._made = self._make(self._files)
                self._stamp, self._trouble = stamp, ""
        except TlsError as error:
            if str(error) != self._trouble:
                _log.warning("keeping the certificate in use", reason=str(error))
            self._trouble = str(error)
        return self._made


def _server_configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    material = files.read()
    pair = (material.key, material.certificate)
    return grpc.ssl_server_certificate_configuration([pair], material.authorities)


def _https_context(files: TlsFiles) -> ssl.SSLContext:
    files.read()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"cannot be used: {error}", files.certificate) from error
    return context


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> TlsError:
    remedy = "Check that the file is there and readable by this user."
    return TlsError(f"cannot be read: {error.strerror}", path, remedy)


def _load_key(pem: bytes) -> Any:
    return serialization.load_pem_private_key(pem, password=None)


def _parsed(path: Path, parse: Callable[[bytes], Made], pem: bytes) -> Made:
    try:
        return parse(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TlsError("is not the PEM file that it should be", path) from error
