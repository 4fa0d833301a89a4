"""Why an image cannot become an instance, and how that is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import InvalidInput, RuntimeUnavailable


class UnfitImage(ValueError):
    """An image that cannot be understood or run here; the text says what is wrong with it."""


@contextmanager
def told(reference: str, *, made: str, place: Path) -> Iterator[None]:
    """Tell the trouble of making a ``made`` of an image below ``place`` as the agent's errors.

    Raises ``InvalidInput`` for an unfit image, ``RuntimeUnavailable`` where files fail.
    """
    try:
        yield
    except UnfitImage as error:
        raise InvalidInput(
            f"the image cannot become a {made}: {error}", field="workload.image", value=reference
        ) from error
    except OSError as error:
        raise RuntimeUnavailable(
            f"the {made} of the image could not be built: {error}",
            field="workload.image",
            value=reference,
            remedy=f"Is there space in {place}?",
        ) from error
