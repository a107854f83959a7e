"""Looking up what is said about a path: the longest path that fits decides."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_ALL_METHODS: Final = ""


class PathTable(Generic[T]):
    """Values by path and method.

    A path stands for itself and all below it, `*` for any one segment. The longest path that fits
    decides; for the same path a method that is named goes before all methods. `/` is itself only.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, path: str, methods: Sequence[str], value: T) -> None:
        """Say something about a path; no methods are all. Raises ValueError for a second."""
        node = self._root
        for segment in path[1:].split("/"):
            node = node.children.setdefault(segment, _Node())
        for method in methods or (_ALL_METHODS,):
            if method in node.values:
                raise ValueError(f"{path} is there twice for {method or 'all methods'}")
            node.values[method] = value

    def find(self, path: str, method: str) -> T | None:
        """Return what is said about a request, None if nothing is."""
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
