"""From a path to what is served there: one look-up for fixed paths, a walk over segments for the others."""

from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("fixed", "names", "param", "value")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node[T]] = {}
        self.param: _Node[T] | None = None
        self.names: tuple[str, ...] = ()
        self.value: dict[str, T] | None = None


class RouteTable(Generic[T]):
    """A value per method and path. `{name}` stands for one non-empty segment; fixed segments go first."""

    def __init__(self) -> None:
        self._fixed: dict[str, dict[str, T]] = {}
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: str, value: T) -> None:
        methods = self._fixed.setdefault(path, {}) if "{" not in path else self._leaf(path)
        if method in methods:
            raise ValueError(f"{method} {path} is declared twice")
        methods[method] = value

    def find(self, path: str) -> tuple[dict[str, T], dict[str, str]] | None:
        """The methods at this path and the path's parameters."""
        methods = self._fixed.get(path)
        if methods is not None:
            return methods, {}
        values: list[str] = []
        node = self._walk(self._root, path.split("/"), 0, values)
        if node is None or node.value is None:
            return None
        return node.value, dict(zip(node.names, values, strict=True))

    def _leaf(self, path: str) -> dict[str, T]:
        node = self._root
        names = []
        for segment in path.split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                if node.param is None:
                    node.param = _Node()
                node = node.param
            else:
                node = node.fixed.setdefault(segment, _Node())
        if node.value is None:
            node.names, node.value = tuple(names), {}
        elif node.names != tuple(names):
            raise ValueError(f"{path}: the same path has other parameter names elsewhere: {node.names}")
        return node.value

    def _walk(self, node: _Node[T], segments: list[str], at: int, values: list[str]) -> _Node[T] | None:
        if at == len(segments):
            return node if node.value is not None else None
        segment = segments[at]
        fixed = node.fixed.get(segment)
        if fixed is not None:
            found = self._walk(fixed, segments, at + 1, values)
            if found is not None:
                return found
        if node.param is None or not segment:
            return None
        values.append(segment)
        found = self._walk(node.param, segments, at + 1, values)
        if found is None:
            values.pop()
        return found
