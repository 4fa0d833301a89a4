"""Renewing a person's own certificate."""

from __future__ import annotations

from collector.cli.options import DEFAULT_COLLECTOR, Collector


def renew(collector: Collector = DEFAULT_COLLECTOR) -> None:
    """Renew your own certificate, in the folder of --tls-dir.

    The key stays, so that certificate and key fit at every moment; ca.pem is brought up to
    date. It must not have expired. The one before is good until its end.

    \b
    For example:
      tonnage pki renew --tls-dir ~/tonnage
    """
    from collector.cli import screen
    from collector.cli.asking import ask
    from collector.client.credentials import person_files
    from collector.errors import ConfigError
    from collector.pki.folder import write_text
    from tonnage.lifetime import lifetime_of
    from tonnage.tls import make_request

    if collector.tls_dir is None:
        raise ConfigError(
            "is needed: it holds the certificate to renew",
            field="--tls-dir",
            remedy="Name the folder that tonnage pki issue --out wrote.",
        )
    files = person_files(collector.tls_dir)
    request = make_request(files, files.certificate.stem).decode()
    certificate, authorities = ask(collector, lambda client: client.renew_certificate(request))
    if authorities != files.authorities.read_text(encoding="ascii", errors="replace"):
        write_text(files.authorities, authorities)
    write_text(files.certificate, certificate)
    screen.put(f"{files.certificate}\n")
    screen.say(f"good until {lifetime_of(files.certificate).ends:%Y-%m-%d %H:%MZ}")
