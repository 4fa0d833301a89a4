"""Ids of runs."""

from __future__ import annotations

import re

from collector.server.submission import new_run_id

_NOON_NS = 1_795_435_200 * 10**9


def test_ids_are_short_and_easy_to_type() -> None:
    assert re.fullmatch(r"20261123-[0-9a-hjkmnp-tv-z]{7}", new_run_id(_NOON_NS))


def test_ids_sort_by_time() -> None:
    second = 10**9
    ids = [new_run_id(_NOON_NS + step * second // 5) for step in range(500)]
    assert ids == sorted(ids)
    last, first = new_run_id(_NOON_NS + 43_199 * second), new_run_id(_NOON_NS + 43_200 * second)
    assert last < first


def test_ids_of_one_moment_differ() -> None:
    assert len({new_run_id(_NOON_NS) for _ in range(20)}) > 15
