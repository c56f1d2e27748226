"""How kernels are compiled, and the two things they need from below numba: bare words, the highest bit.

Inside a kernel an arena is a bare pointer. An array handed from one function to the next is seven machine
words and often an atomic count of references, up and down; a pointer is one word.

Must not know: what the words mean.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., object])


class Words(Protocol):
    """A pointer to int64 words. No bounds, no owner: the array it came from has to outlive it."""

    def __getitem__(self, at: int, /) -> int: ...

    def __setitem__(self, at: int, word: int, /) -> None: ...


def entry(function: _Function) -> _Function:
    """A kernel that Python calls: out of numba's cache, without the GIL."""
    compiled: _Function = njit(cache=True, nogil=True, no_cfunc_wrapper=True)(function)
    return compiled


def direct(kernel: Callable[..., Any], signature: tuple[Any, ...]) -> Callable[..., Any]:
    """A kernel for one signature, as it lies below numba's dispatcher: which does not look at types any more, so the
    caller must. Compiled, or out of the cache, now."""
    compiler: Any = kernel
    compiler.compile(signature)
    compiled: Callable[..., Any] = compiler.overloads[signature].entry_point
    return compiled


def routine(function: _Function) -> _Function:
    """A part of kernels; LLVM decides whether to inline it."""
    compiled: _Function = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compiled


def inlined(function: _Function) -> _Function:
    """A part of kernels so small, or so hot, that it stands in every caller."""
    compiled: _Function = njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compiled


@intrinsic
def _words_of(_context: Any, _array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(types.int64)(_array), generate


@inlined
def words_of(array: NDArray[np.int64]) -> Words:
    words: Words = _words_of(array)
    return words


@intrinsic
def _words_at(_context: Any, _address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(types.int64), generate


@inlined
def words_at(address: int) -> Words:
    words: Words = _words_at(address)
    return words


@intrinsic
def _words_of_records(_context: Any, _records: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.bitcast(data, context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(_records), generate


@inlined
def record_words(records: NDArray[np.void]) -> Words:
    """The memory of a structured array as words."""
    words: Words = _words_of_records(records)
    return words


@inlined
def signed(number: int) -> int:
    """A record's field of any width as the int64 that everything is computed in."""
    return np.int64(number)  # type: ignore[return-value]


def constant(number: int) -> int:
    """A constant of kernels. numba compiles a function anew for every plain integer that it is called with."""
    return np.int64(number)  # type: ignore[return-value]


ZERO: Final = constant(0)


@intrinsic
def _prefetch(_context: Any, _words: Any, _at: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        words, at = arguments
        number = ir.IntType(32)
        place = builder.gep(words, [at])
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To be read, to be kept, a line of data.
        builder.call(function, [place, number(0), number(3), number(1)])

    return types.void(_words, _at), generate


@inlined
def prefetch(words: Words, at: int) -> None:
    """Ask for the cache line of a word; any place will do, nothing is read."""
    _prefetch(words, at)


@intrinsic
def _copy_words(_context: Any, _to: Any, _from: Any, _count: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        to, source, count = arguments
        cgutils.raw_memcpy(builder, to, source, count, 8)

    return types.void(_to, _from, _count), generate


@inlined
def copy_words(to: Words, source: Words, count: int) -> None:
    """Where the two do not overlap."""
    _copy_words(to, source, count)


@intrinsic
def _leading_zeros(_context: Any, _word: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, 0))

    return types.int64(types.int64), generate


@inlined
def highest_bit(word: int) -> int:
    zeros: int = _leading_zeros(word)
    return 63 - zeros
