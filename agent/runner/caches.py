"""What the starts of a run find in the page cache: set before each, outside every window.

A cold start finds nothing of its files there, as far as the kernel lets go of
them. That takes away what the starts after it would have found, be they of
another target that shares a file. So each start of another mode has those of
its files read back first that a cold start evicted since. Both are verified, and
what was found goes into the trial's row. Runs without a cold target pay nothing:
nothing is walked, evicted, read or looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.errors import InvalidInput, TonnageError
from agent.probes import pagecache
from agent.probes.pagecache import Cached, TooManyFiles
from agent.runner.attempts import Order
from agent.runtimes.base import Evictable, Prepared, Runtime
from tonnage.model import Mode, Target

# Syncing and reading back what a large image has; a disk that is slower than that is ill.
SETTING_SECONDS = 120.0


class Caches:
    """The files that the starts of some targets read, and what was done to them."""

    def __init__(self, files: Mapping[str, Sequence[str]], *, drop_all: bool) -> None:
        """``files``: by target id. All are taken for evicted: before an agent was killed
        they may have been."""
        self._files = files
        self._drop_all = drop_all
        self._evicted = {path for paths in files.values() for path in paths}
        self._setting = asyncio.Lock()

    async def set(self, order: Order) -> Order:
        """Set the cache for this launch; the order, with what the cache then holds.

        Raises ``TonnageError`` if that could not be done or not be verified: such a
        start would not be what its row says.
        """
        files = self._files.get(order.target.id)
        if files is None:
            return order
        async with self._setting:
            found = await asyncio.to_thread(self._set, order.target.mode, files)
        return replace(order, cold_bytes=found.total_bytes, cold_cached_bytes=found.cached_bytes)

    def _set(self, mode: Mode, files: Sequence[str]) -> Cached:
        deadline = time.monotonic() + SETTING_SECONDS
        try:
            if mode is Mode.COLD:
                self._evict(files, deadline)
            else:
                self._read_back(files, deadline)
            return pagecache.look(files, deadline)
        except OSError as error:
            raise TonnageError(
                f"the page cache could not be made {mode.value} and verified: {error}",
                field="mode",
                value=mode.value,
                remedy="The agent needs the right to read and to own the image's files.",
            ) from error

    def _evict(self, files: Sequence[str], deadline: float) -> None:
        self._evicted.update(files)
        pagecache.evict(files, deadline)
        if self._drop_all:
            self._evicted.update(path for paths in self._files.values() for path in paths)
            pagecache.drop_all()

    def _read_back(self, files: Sequence[str], deadline: float) -> None:
        gone = [path for path in files if path in self._evicted]
        pagecache.read_back(gone, deadline)
        self._evicted.difference_update(gone)


async def learn(
    targets: Sequence[Target],
    prepared: Mapping[str, Prepared],
    runtimes: Mapping[str, Runtime],
    *,
    drop_all: bool,
) -> Caches:
    """Walk the files of these targets, once; none if no target is cold.

    Raises ``InvalidInput`` for a cold target whose files are not known, cannot be
    looked at, or are too many.
    """
    if not any(target.mode is Mode.COLD for target in targets):
        return Caches({}, drop_all=False)
    known: dict[tuple[str, str, str, str], tuple[str, ...]] = {}
    files = {}
    for target in targets:
        runtime, image = runtimes[target.runtime], prepared[target.id]
        if not isinstance(runtime, Evictable):
            continue
        key = target.runtime, target.variant, target.network, repr(target.workload)
        if key not in known:
            known[key] = await asyncio.to_thread(_files, target, runtime, image)
        if known[key]:
            files[target.id] = known[key]
    return Caches(files, drop_all=drop_all)


def _files(target: Target, runtime: Evictable, prepared: Prepared) -> tuple[str, ...]:
    try:
        files = pagecache.regular_files(runtime.start_files(target, prepared))
        pagecache.look(files, time.monotonic() + SETTING_SECONDS)
    except (OSError, TooManyFiles) as error:
        raise _untold(target, str(error)) from error
    if not files and target.mode is Mode.COLD:
        raise _untold(target, "which files it reads is not known")
    return files


def _untold(target: Target, why: str) -> InvalidInput:
    return InvalidInput(
        "beside a cold target, what a start finds in the page cache must be known,"
        f" and for {target.workload.image} it is not: {why}",
        field=f"targets[{target.id}].mode",
        value=target.mode.value,
        remedy="Leave mode cold out of the experiment.",
    )
