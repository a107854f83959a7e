"""Pages of lists that go on behind a name: one more is read, to know whether there is a next."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def cut(found: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """Return a page of what was read to `limit + 1`, and its last one where more follow."""
    shown = found[:limit]
    return shown, shown[-1] if len(found) > len(shown) else None
