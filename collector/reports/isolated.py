"""What instances see of host and neighbours, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from collector.reports.comparing import Sentence
from collector.reports.model import IsolationRow
from collector.reports.names import Names
from collector.reports.rows import Facet, Sight

FACETS: tuple[Facet, ...] = get_args(Facet)
_KERNELS = {
    "host's": "runs on the host's own kernel",
    "own": "runs on a kernel of its own",
    "mixed": "runs now on the host's kernel, now on one of its own",
}


def sight(
    row: IsolationRow, facet: Facet, of: Literal["neighbour", "host"] = "neighbour"
) -> Sight | None:
    """What was found of a facet; nothing where no instance was asked."""
    return next((one for one in row.sights if (one.facet, one.of) == (facet, of)), None)


def seen_told(
    row: IsolationRow, facet: Facet, of: Literal["neighbour", "host"] = "neighbour"
) -> str:
    """``seen``, ``not seen`` or ``not told``."""
    found = sight(row, facet, of)
    if found is None or found.seen is None:
        return "not told"
    return "seen" if found.seen else "not seen"


def isolation_sentences(rows: Sequence[IsolationRow], names: Names) -> Iterator[Sentence]:
    """A sentence a subject that was asked."""
    for row in rows:
        if not row.answered:
            why = (row.reason or "nothing was told")[:1].upper() + (row.reason or "")[1:]
            claim = f"What {names.of(row)} on {row.host} sees is not known"
            yield Sentence("isolation", "inconclusive", claim, f"{why}.")
            continue
        kernel = _KERNELS.get(row.boot_id or row.kernel or "", "did not tell its kernel")
        claim = f"{names.of(row)} on {row.host} {kernel} and sees {_neighbours(row)}"
        told = "; ".join(one.evidence for one in row.sights if one.of == "neighbour")
        yield Sentence("isolation", "limit", claim, f"{told}." if told else "")


def _neighbours(row: IsolationRow) -> str:
    seen = [facet for facet in FACETS if seen_told(row, facet) == "seen"]
    untold = [facet for facet in FACETS if seen_told(row, facet) == "not told"]
    told = f"its neighbours' {', '.join(seen)}" if seen else "nothing of its neighbours"
    return f"{told} (not told: {', '.join(untold)})" if untold else told
