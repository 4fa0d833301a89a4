"""Hearing in time that a person's own certificate ends."""

from __future__ import annotations

from pathlib import Path


def notice(tls_dir: Path) -> None:
    """Say on standard error that the certificate of ``tls_dir`` ends soon, if it does.

    Whatever is wrong with it is for the command to tell, which needs it.
    """
    from collector.cli import screen
    from collector.client.credentials import person_files
    from collector.errors import ConfigError
    from tonnage.lifetime import lifetime_of, utc_now
    from tonnage.tls import TlsError

    try:
        path = person_files(tls_dir).certificate
        life, now = lifetime_of(path), utc_now()
    except (ConfigError, TlsError):
        return
    if life.is_ending(now) and now < life.ends:
        screen.say(f"your certificate {path} {life.words(now)}: renew it with tonnage pki renew")
