"""Why a collector cannot be talked to, where it is TLS that does not fit.

gRPC says no more than that a connection broke, so the handshake is made once more by
hand, and only then.
"""

from __future__ import annotations

import socket
import ssl

from collector.client.credentials import person_files
from collector.endpoint import Endpoint
from collector.errors import ConfigError

_SECONDS = 2.0
_FLAG = "--tls-dir"


def why_refused(at: Endpoint) -> ConfigError | None:
    """The reason, if the collector is there and TLS is what parts us. Blocks briefly."""
    try:
        with _connected(at.address) as connection:
            return _not_trusted(at, connection) if at.tls_dir else _wants_tls(at, connection)
    except (OSError, ValueError):
        return None


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        local.settimeout(_SECONDS)
        local.connect("/" + path.lstrip("/") if path.startswith("//") else path)
        return local
    host, _, port = address.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    return socket.create_connection((name, int(port)), _SECONDS)


def _wants_tls(at: Endpoint, connection: socket.socket) -> ConfigError | None:
    """We spoke plainly: does it answer to TLS?"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.wrap_socket(connection).close()
    except (ssl.SSLError, OSError):
        return None
    return ConfigError(
        "the collector wants a certificate, and none was given",
        field=_FLAG,
        value=at.address,
        remedy="Name the folder with yours by --tls-dir or TONNAGE_TLS_DIR; the collector's "
        "host makes one with tonnage pki issue.",
    )


def _not_trusted(at: Endpoint, connection: socket.socket) -> ConfigError | None:
    """We showed a certificate: which side did not like the other's?"""
    folder = at.tls_dir
    assert folder is not None  # noqa: S101 - the caller looked
    files = person_files(folder)
    context = ssl.create_default_context(cafile=str(files.authorities))
    context.check_hostname = False
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection) as secured:
            # With TLS 1.3 the other side judges after our handshake. A server that goes on
            # begins by telling its settings; one that does not hangs up without a word.
            accepted = secured.recv(1) != b""
    except ssl.SSLCertVerificationError as error:
        return _refused(at, f"the collector's certificate is not to be trusted: {_why(error)}")
    except ssl.SSLError as error:
        return _plain(at) if "WRONG_VERSION_NUMBER" in (error.reason or "") else None
    except ConnectionResetError:
        accepted = False
    if accepted:
        return None
    return _refused(
        at,
        "the collector does not trust the certificate: another authority made it, or it has "
        "expired by the collector's clock",
    )


def _why(error: ssl.SSLCertVerificationError) -> str:
    return error.verify_message or "it cannot be verified"


def _refused(at: Endpoint, why: str) -> ConfigError:
    return ConfigError(
        why,
        field=_FLAG,
        value=str(at.tls_dir),
        remedy=f"Use a certificate that the collector at {at.address} issued and its ca.pem.",
    )


def _plain(at: Endpoint) -> ConfigError:
    return ConfigError(
        f"the collector at {at.address} speaks no TLS",
        field=_FLAG,
        value=str(at.tls_dir),
        remedy="Leave --tls-dir and TONNAGE_TLS_DIR away, or start the collector with a tls_dir.",
    )
