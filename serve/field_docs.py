"""The texts that stand under the fields of a struct in its source, for the documentation made from it.

Python drops a string that stands alone; the source file still has it.
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import inspect as types


def field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Encoded field name -> text, those of the bases included. Empty where there is no source."""
    found: dict[str, str] = {}
    for owner in reversed(struct.__mro__):
        if issubclass(owner, msgspec.Struct) and owner is not msgspec.Struct:
            found |= _own_docs(owner)
    names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    return {encoded: found[name] for name, encoded in names if name in found}


def _own_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    definition = _classes(struct.__module__).get(struct.__qualname__)
    found = {}
    body = definition.body if definition else []
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(text.value.value)
    return found


@lru_cache(maxsize=64)
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes at the top of a module; parsed once, for that is most of the work."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def structs_within(roots: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """Every struct that is reachable from these types, each once."""
    seen: set[type[msgspec.Struct]] = set()
    ahead: list[Any] = list(types.multi_type_info(roots))
    while ahead:
        node = ahead.pop()
        if isinstance(node, types.StructType):
            if node.cls in seen:
                continue
            seen.add(node.cls)
            yield node.cls
        if isinstance(node, types.Type | types.Field):
            ahead.extend(getattr(node, name) for name in node.__struct_fields__)
        elif isinstance(node, tuple):
            ahead.extend(node)
