"""The collector's own certificate, signed anew by its own authority before it ends."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from collector.errors import TonnageError
from collector.pki.describe import described
from collector.pki.folder import PkiFolder
from collector.stores.base import IdentityStore
from tonnage.lifetime import lifetime, utc_now

_log = structlog.get_logger(__name__)

_LOOK_EVERY_SECONDS = 3600.0
_LEAST_SECONDS = 0.5


async def keep_renewed(folder: PkiFolder, store: IdentityStore) -> None:
    """Renew it whenever it is due, for ever. What goes wrong is logged and tried again."""
    while True:
        try:
            due = await renew_if_due(folder, store, utc_now())
            left = (due - utc_now()).total_seconds()
        except TonnageError as error:
            _log.error("the collector's certificate could not be renewed", why=str(error))
            left = _LOOK_EVERY_SECONDS
        await asyncio.sleep(min(max(left, _LEAST_SECONDS), _LOOK_EVERY_SECONDS))


async def renew_if_due(folder: PkiFolder, store: IdentityStore, now: datetime) -> datetime:
    """Renew the certificate if it is time; when the one in place is due.

    Raises ``TonnageError``. Listeners look at the file themselves.
    """
    certificate = folder.own_certificate()
    due = lifetime(certificate).due
    if now < due:
        return due
    fresh = folder.renew_own(folder.authority())
    await store.add_certificate(described(fresh))
    _log.info("renewed the collector's certificate", ends=str(fresh.not_valid_after_utc))
    return max(lifetime(fresh).due, now + timedelta(seconds=_LEAST_SECONDS))
