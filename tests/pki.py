"""A small certificate authority for tests: good certificates, and bad ones of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tonnage.identity import Identity, Role
from tonnage.tls import TlsFiles, make_key_and_request

DAY = timedelta(days=1)


class Authority:
    """An authority whose files lie below ``folder``: ``ca.pem``, and what it issued."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._self_signed()
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.path = folder / "ca.pem"
        self.path.write_bytes(self.pem)

    @property
    def fingerprint(self) -> str:
        """What a token says of it: SHA-256 of its DER, in hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue(
        self,
        role: Role,
        name: str,
        *,
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
        uri: str | None = None,
    ) -> TlsFiles:
        """Write certificate and key for a role and name; a second call replaces them.

        ``begins`` and ``ends`` are relative to now; ``uri`` stands in for the right one,
        empty for none.
        """
        key, request = make_key_and_request(name)
        who = Identity(role, name)
        files = TlsFiles(
            self._folder / f"{name}.{role}.pem", self._folder / f"{name}.{role}.key", self.path
        )
        certificate = self.sign(request, who, begins=begins, ends=ends, uri=uri)
        for path, content in ((files.key, key), (files.certificate, certificate)):
            fresh = path.with_suffix(".fresh")
            fresh.write_bytes(content)
            fresh.replace(path)
        return files

    def sign(
        self,
        request: bytes,
        who: Identity,
        *,
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
        uri: str | None = None,
    ) -> bytes:
        """A certificate (PEM) for a signing request (PEM)."""
        asked = x509.load_pem_x509_csr(request)
        uri = who.uri if uri is None else uri
        names: list[x509.GeneralName] = [x509.DNSName(who.dns_name)]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self._name)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self._issued_by(), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _issued_by(self) -> x509.AuthorityKeyIdentifier:
        """Tells authorities of one name apart, as there are while one takes over."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _self_signed(self) -> x509.Certificate:
        now, public = datetime.now(UTC), self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def serial(files: TlsFiles) -> str:
    """The serial number of a certificate, as Tonnage writes it."""
    parsed = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    return f"{parsed.serial_number:x}"
