"""Looking up what is said about a path: the longest path that fits decides."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_ALL_METHODS: Final = ""
# Most requests are for a few paths, and those are looked up once. What is kept stays small.
_KEPT_MAX: Final = 1_000
_KEPT_LENGTH_MAX: Final = 200


class PathTable(Generic[T]):
    """Values by path and method.

    A path stands for itself and all below it, `*` for any one segment. The longest path that fits
    decides; for the same path a method that is named goes before all methods. `/` is itself only.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._kept: Final = lru_cache(_KEPT_MAX)(self._walk)

    def add(self, path: str, methods: Sequence[str], value: T) -> None:
        """Say something about a path; no methods are all. Raises ValueError for a second."""
        node = self._root
        for segment in path[1:].split("/"):
            node = node.children.setdefault(segment, _Node())
        for method in methods or (_ALL_METHODS,):
            if method in node.values:
                raise ValueError(f"{path} is there twice for {method or 'all methods'}")
            node.values[method] = value
        self._kept.cache_clear()

    def find(self, path: str, method: str) -> T | None:
        """Return what is said about a request, None if nothing is."""
        if len(path) > _KEPT_LENGTH_MAX:
            return self._walk(path, method)
        return self._kept(path, method)

    def _walk(self, path: str, method: str) -> T | None:
        node, found = self._root, None
        for segment in path[1:].split("/"):
            following = node.children.get(segment) or node.children.get("*")
            if following is None:
                break
            node = following
            values = node.values
            if values:
                found = values.get(method) or values.get(_ALL_METHODS) or found
        return found


class _Node(Generic[T]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: dict[str, T] = {}
