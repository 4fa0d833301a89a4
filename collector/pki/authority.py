"""The authority: it signs for keys that others made and keep. Pure: no files, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collector.errors import InvalidInput
from tonnage.identity import METRICS_NAME, Identity, Role

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

AUTHORITY_LIFE = timedelta(days=3650)
# Clocks of hosts differ: a certificate is good from a little before it was made, by no
# more than this share of its life, so that what is due after two thirds is not due at once.
_SKEW = timedelta(minutes=5)
_SKEW_MOST = 0.1
_RSA_LEAST_BITS = 2048
_RSA_MOST_BITS = 8192
_REQUEST_MOST = 16_384
_FIELD = "signing_request"
_SERVERS = (Role.AGENT, Role.COLLECTOR)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that others are verified by, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER, hexadecimal: what a token carries."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue(
        self, identity: Identity, key: PublicKey, life: timedelta, now: datetime
    ) -> x509.Certificate:
        """A certificate for ``identity`` and ``key``. It never outlives the authority.

        Raises ``InvalidInput`` where the authority itself has expired.
        """
        ends = min(now + life, self.certificate.not_valid_after_utc)
        if ends <= now:
            raise InvalidInput(
                f"the authority expired at {ends:%Y-%m-%d}",
                remedy="Make a new one with tonnage pki init; every part then joins again.",
            )
        builder = _builder(_named(f"{identity.role} {identity.name}"[:64]), key, now, ends)
        builder = builder.issuer_name(self.certificate.subject)
        for extension, critical in _extensions(identity, self.certificate):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


def make_authority(name: str, now: datetime) -> Authority:
    """A fresh authority (EC P-256, ten years) whose certificate says ``name``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = _builder(subject, key.public_key(), now, now + AUTHORITY_LIFE).issuer_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = _usage(key_cert_sign=True, crl_sign=True)
    return Authority(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def read_request(pem: str) -> PublicKey:
    """The key that a signing request asks a certificate for, which its sender holds.

    Raises ``InvalidInput`` unless it is one PEM request, signed by its own key, EC P-256
    or RSA of 2048 bits or more. Its subject is not looked at.
    """
    if len(pem) > _REQUEST_MOST:
        raise InvalidInput(f"is longer than {_REQUEST_MOST} characters", field=_FIELD)
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key, genuine = request.public_key(), request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad_request("is not a certificate signing request in PEM") from error
    if not genuine:
        raise _bad_request("is not signed by the key that it is for")
    return _strong(key)


def _strong(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and _RSA_LEAST_BITS <= key.key_size <= _RSA_MOST_BITS:
        return key
    raise _bad_request(f"is for a key that is neither EC P-256 nor RSA from {_RSA_LEAST_BITS} bits")


def _bad_request(message: str) -> InvalidInput:
    return InvalidInput(message, field=_FIELD, remedy="Let tonnage-agent join make it.")


def _builder(
    subject: x509.Name, key: PublicKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(_SKEW, (ends - now) * _SKEW_MOST))
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _extensions(
    identity: Identity, authority: x509.Certificate
) -> list[tuple[x509.ExtensionType, bool]]:
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if identity.role in _SERVERS:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names = [x509.UniformResourceIdentifier(identity.uri), x509.DNSName(identity.dns_name)]
    if identity.role in _SERVERS:
        names.append(x509.DNSName(METRICS_NAME))
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.SubjectAlternativeName(names), False),
        (issuer, False),
    ]


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
