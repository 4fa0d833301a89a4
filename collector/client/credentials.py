"""What a person shows a collector: the pair of certificate and key in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509

from collector.endpoint import OPERATOR
from collector.errors import ConfigError
from tonnage.tls import TlsError, TlsFiles, client_credentials

_NOT_A_PERSON = ("ca", "collector")
_FLAG = "--tls-dir"


def channel_credentials(folder: Path) -> grpc.ChannelCredentials:
    """Credentials of the pair in ``folder``. Raises ``ConfigError`` when it cannot be used."""
    files = person_files(folder)
    try:
        credentials = client_credentials(files)
    except TlsError as error:
        told = error.problem
        message = f"{told.value} {told.message}"
        remedy = told.remedy or "Issue another with tonnage pki issue."
        raise ConfigError(message, field=_FLAG, value=str(folder), remedy=remedy) from error
    _still_valid(files.certificate)
    return credentials


def person_files(folder: Path) -> TlsFiles:
    """The operator's pair, else the only other one. Raises ``ConfigError``."""
    names = _pairs(folder)
    if not (folder / "ca.pem").exists():
        raise ConfigError(
            "holds no ca.pem",
            field=_FLAG,
            value=str(folder),
            remedy="Name the folder that tonnage pki issue --out wrote.",
        )
    name = OPERATOR if OPERATOR in names else (names[0] if len(names) == 1 else "")
    if not name:
        found = f"the certificates of {', '.join(names)}" if names else "no NAME.pem with NAME.key"
        raise ConfigError(
            f"holds {found}, where one is needed",
            field=_FLAG,
            value=str(folder),
            remedy="Keep one certificate with its key and ca.pem in a folder of its own.",
        )
    return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


def _pairs(folder: Path) -> Sequence[str]:
    try:
        names = {each.name for each in folder.iterdir()}
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            field=_FLAG,
            value=str(folder),
            remedy="Name a folder with ca.pem, NAME.pem and NAME.key that you may read.",
        ) from error
    stems = sorted(name.removesuffix(".key") for name in names if name.endswith(".key"))
    return [stem for stem in stems if f"{stem}.pem" in names and stem not in _NOT_A_PERSON]


def _still_valid(path: Path) -> None:
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    if ends <= datetime.now(UTC):
        raise ConfigError(
            f"the certificate expired at {ends:%Y-%m-%d %H:%MZ}",
            field=_FLAG,
            value=str(path),
            remedy="Issue another on the collector's host with tonnage pki issue.",
        )
