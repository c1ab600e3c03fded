"""The data boundary between a student's process and the judge: plain values as bytes, without pickle.

:func:`encode` runs where the student's code runs and may have been tampered with; nothing rests on it.
:func:`decode` takes any bytes, and returns values of exactly the types below or raises
:class:`~course_utils.grading.errors.NotPlain`:

``None``, ``bool``, ``int``, ``float``, ``complex``, ``str``, ``bytes``, ``list``, ``tuple``, ``set``, ``frozenset``,
``dict``, ``range``, ``slice``, NumPy arrays of booleans, numbers and strings, and NumPy scalars of these. Functions
and models cross only through the two hooks.

The form is a tag byte for each value, then its content: counts and lengths as little-endian integers, array
contents as they lie in memory. Both processes run on one machine, so the byte order is the machine's.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from course_utils.grading.errors import NotPlain

MAX_BYTES = 64 * 2**20
MAX_ITEMS = 1_000_000  # values in all, an array counting as one
MAX_DEPTH = 50
MAX_NDIM = 32
MAX_INT_BITS = 13_288  # 4000 decimal digits; Python itself refuses to print more than 4300

MAY_CROSS = "return numbers, strings, lists, dicts or arrays"

_NUMBERS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"])
_STRINGS = re.compile(r"U[1-9][0-9]{0,6}")
_TENSOR_PACKAGES = frozenset({"tensorflow", "keras", "jax", "jaxlib", "torch"})


def encode(
    value: Any,
    *,
    functions: Callable[[Callable[..., Any]], int] | None = None,
    models: Callable[[Any], dict[str, Any]] | None = None,
) -> bytes:
    """Turn a value into bytes for :func:`decode`.

    Subclasses are sent as the type they derive from, read with that type's own methods; a tensor of TensorFlow,
    Keras, JAX or PyTorch as an array, bfloat16 as float32.

    Parameters
    ----------
    functions : callable, optional
        Gives a callable the number under which the other side may call it, from 0 to ``2**32 - 1``.
    models : callable, optional
        Gives a Keras model as a dict of plain values (:func:`course_utils.grading.models.pack`).

    Raises
    ------
    NotPlain
        If something in ``value`` is none of this, refers to itself, or exceeds a limit of this module.
    """
    encoder = _Encoder(functions, models)
    try:
        encoder.value(value, 0)
        return b"".join(encoder.parts)
    except (RecursionError, MemoryError):
        raise NotPlain("the value is too large or too deeply nested to cross to the tests") from None


def decode(
    data: bytes,
    *,
    functions: Callable[[int], Callable[..., Any]] | None = None,
    models: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """Turn bytes from anywhere back into a value.

    It takes no more memory than a few times ``len(data)``, and a few hundred bytes for each value. Arrays
    own their memory and are writable.

    Parameters
    ----------
    functions : callable, optional
        Gives what stands for the function of a number; without it a function is refused. It has to raise NotPlain
        for a number that it never gave out, for the bytes may name any.
    models : callable, optional
        Gives the model of a dict of plain values, or raises NotPlain (:func:`course_utils.grading.models.unpack`).

    Raises
    ------
    NotPlain
        For all bytes that :func:`encode` could not have made; nothing else, whatever the bytes.
    """
    if len(data) > MAX_BYTES:
        raise NotPlain(f"the data is larger than {MAX_BYTES // 2**20} MiB")
    decoder = _Decoder(data, functions, models)
    try:
        value = decoder.value(0)
    except (RecursionError, MemoryError):
        raise NotPlain("the data is too large or too deeply nested") from None
    if decoder.at != len(data):
        raise _malformed("something follows its end")
    return value


def _malformed(what: str) -> NotPlain:
    return NotPlain(f"the data that came is malformed: {what}")


def _type_name(value: Any) -> str:
    name = str(type(value).__name__)[:60]
    return name if name.isprintable() else "an odd name"


def _is_text(array: np.ndarray) -> bool:
    """Whether all code points of a contiguous, aligned string array are characters."""
    points = array.reshape(-1).view(np.uint32)
    return not bool(((points > 0x10FFFF) | ((points >= 0xD800) & (points <= 0xDFFF))).any())


class _Encoder:
    def __init__(self, functions: Callable[..., int] | None, models: Callable[..., dict] | None) -> None:
        self.functions = functions
        self.models = models
        self.parts: list[Any] = []
        self.size = 0
        self.items = 0

    def grow(self, length: int) -> None:
        self.size += length
        if self.size > MAX_BYTES:
            raise NotPlain(f"the value is larger than {MAX_BYTES // 2**20} MiB: return less of it")

    def put(self, tag: bytes, content: bytes = b"") -> None:
        self.grow(1 + len(content))
        self.parts.append(tag + content)

    def value(self, value: Any, depth: int) -> None:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise NotPlain(f"the value has more than {MAX_ITEMS:,} items: return an array")
        if depth > MAX_DEPTH:
            raise NotPlain(f"the value is nested more than {MAX_DEPTH} deep, or contains itself")
        for base in type(value).__mro__:
            write = _WRITERS.get(base)
            if write is not None:
                write(self, value, depth)
                return
        self.other(value, depth)

    def none(self, value: None, depth: int) -> None:
        self.put(b"N")

    def boolean(self, value: bool, depth: int) -> None:
        self.put(b"T" if value else b"F")

    def integer(self, value: int, depth: int) -> None:
        bits = int.bit_length(value)
        if bits > MAX_INT_BITS:
            raise NotPlain("the value has a whole number of more than 4000 digits")
        length = bits // 8 + 1
        self.put(b"i", struct.pack("<H", length) + int.to_bytes(value, length, "little", signed=True))

    def real(self, value: float, depth: int) -> None:
        self.put(b"f", struct.pack("<d", float.__float__(value)))

    def complex_number(self, value: complex, depth: int) -> None:
        value = complex.__complex__(value)
        self.put(b"c", struct.pack("<dd", value.real, value.imag))

    def text(self, value: str, depth: int) -> None:
        try:
            content = str.encode(value)
        except UnicodeEncodeError:
            raise NotPlain("the value has a string with half a character (a lone surrogate)") from None
        self.put(b"s", struct.pack("<I", len(content)) + content)

    def raw_bytes(self, value: bytes, depth: int) -> None:
        content = bytes.__getitem__(value, slice(None))
        self.put(b"b", struct.pack("<I", len(content)) + content)

    def list_(self, value: list, depth: int) -> None:
        self.sequence(b"l", list(list.__iter__(value)), depth)

    def tuple_(self, value: tuple, depth: int) -> None:
        self.sequence(b"t", list(tuple.__iter__(value)), depth)

    def set_(self, value: set, depth: int) -> None:
        self.sequence(b"e", list(set.__iter__(value)), depth)

    def frozenset_(self, value: frozenset, depth: int) -> None:
        self.sequence(b"z", list(frozenset.__iter__(value)), depth)

    def dict_(self, value: dict, depth: int) -> None:
        items = list(dict.items(value))
        self.put(b"d", struct.pack("<I", len(items)))
        for key, item in items:
            self.value(key, depth + 1)
            self.value(item, depth + 1)

    def range_(self, value: range, depth: int) -> None:
        self.put(b"r")
        for part in (value.start, value.stop, value.step):
            self.integer(int(part), depth)

    def slice_(self, value: slice, depth: int) -> None:
        self.put(b"x")
        for part in (value.start, value.stop, value.step):
            if part is not None and not issubclass(type(part), int):
                raise NotPlain("the value has a slice whose bounds are not whole numbers")
            self.value(None if part is None else int(part), depth)

    def array(self, value: np.ndarray, depth: int) -> None:
        self.block(b"a", np.ndarray.view(value, np.ndarray))

    def scalar(self, value: np.generic, depth: int) -> None:
        self.block(b"n", np.asarray(value))

    def sequence(self, tag: bytes, items: list, depth: int) -> None:
        self.put(tag, struct.pack("<I", len(items)))
        for item in items:
            self.value(item, depth + 1)

    def block(self, tag: bytes, array: np.ndarray) -> None:
        dtype = array.dtype
        if dtype.kind == "U":
            dtype = np.dtype(f"U{max(dtype.itemsize // 4, 1)}")
        elif dtype.name == "bfloat16" or dtype.name.startswith("float8"):
            dtype = np.dtype(np.float32)
        code = dtype.str[1:]
        if code not in _NUMBERS and not _STRINGS.fullmatch(code):
            why = " (rows of unequal length?)" if dtype.kind == "O" else ""
            raise NotPlain(
                f"an array of dtype {dtype.name[:40]}{why} does not cross to the tests: "
                "make it one of numbers, booleans or strings"
            )
        if array.ndim > MAX_NDIM:
            raise NotPlain(f"an array of more than {MAX_NDIM} dimensions does not cross to the tests")
        shape = array.shape
        length = math.prod(shape) * dtype.itemsize
        head = struct.pack(f"<B{len(code)}sB{len(shape)}Q", len(code), code.encode(), len(shape), *shape)
        self.put(tag, head)
        self.grow(length)  # before the copy: a broadcast array may claim any size
        content = np.ascontiguousarray(array, dtype=dtype.newbyteorder("="))
        if dtype.kind == "U" and not _is_text(content):
            raise NotPlain("the value has a string with half a character (a lone surrogate)")
        self.parts.append(content)

    def other(self, value: Any, depth: int) -> None:
        bases = type(value).__mro__
        packages = {str(base.__module__).partition(".")[0] for base in bases}
        name = _type_name(value)
        if value is Ellipsis:
            raise NotPlain("`...` does not cross to the tests: put your solution in its place")
        if any(base.__name__ == "KerasTensor" for base in bases):
            raise NotPlain("a symbolic Keras tensor has no values: return a model or an array")
        if packages & _TENSOR_PACKAGES and name == "TensorShape":
            self.tuple_(tuple(value), depth)
        elif packages & _TENSOR_PACKAGES and (hasattr(type(value), "__array__") or name == "IndexedSlices"):
            self.block(b"a", _tensor(value))
        elif any(base.__name__ == "Model" and str(base.__module__).startswith("keras") for base in bases):
            self.model(value)
        elif hasattr(type(value), "__next__"):
            what = "a generator" if name == "generator" else f"an iterator ({name})"
            raise NotPlain(f"{what} does not cross to the tests: return a list")
        elif callable(value):
            if self.functions is None:
                raise NotPlain(f"a function does not cross here: {MAY_CROSS}")
            self.put(b"p", struct.pack("<I", self.functions(value)))
        else:
            raise NotPlain(f"a value of type {name} does not cross to the tests: {MAY_CROSS}")

    def model(self, value: Any) -> None:
        if self.models is None:
            raise NotPlain(f"a Keras model does not cross here: {MAY_CROSS}")
        self.put(b"m")
        hooks, pack = (self.functions, self.models), self.models
        self.functions = self.models = None
        self.value(pack(value), 0)
        self.functions, self.models = hooks


def _tensor(value: Any) -> np.ndarray:
    """The values of a framework's tensor or variable."""
    try:
        if type(value).__name__ == "IndexedSlices":  # the gradient of an embedding
            value = sys.modules["tensorflow"].convert_to_tensor(value)
        if hasattr(value, "detach"):  # PyTorch: off the tape and off the GPU
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":
                value = value.float()
        array = np.asarray(value)
        return np.char.decode(array.astype(bytes)) if array.dtype == object else array
    except Exception:
        raise NotPlain(f"a tensor of type {_type_name(value)} has no values to send: {MAY_CROSS}") from None


# By type, for every class on the way from a value's class to `object`. `str` comes before `np.generic` there in
# `np.str_`, hence its own line.
_WRITERS: dict[type, Callable[[_Encoder, Any, int], None]] = {
    type(None): _Encoder.none,
    bool: _Encoder.boolean,
    int: _Encoder.integer,
    float: _Encoder.real,
    complex: _Encoder.complex_number,
    str: _Encoder.text,
    bytes: _Encoder.raw_bytes,
    list: _Encoder.list_,
    tuple: _Encoder.tuple_,
    set: _Encoder.set_,
    frozenset: _Encoder.frozenset_,
    dict: _Encoder.dict_,
    range: _Encoder.range_,
    slice: _Encoder.slice_,
    np.ndarray: _Encoder.array,
    np.generic: _Encoder.scalar,
    np.str_: _Encoder.scalar,
}


class _Decoder:
    def __init__(
        self,
        data: bytes,
        functions: Callable[[int], Any] | None,
        models: Callable[[dict], Any] | None,
    ) -> None:
        self.data = memoryview(data)
        self.at = 0
        self.items = 0
        self.functions = functions
        self.models = models

    def take(self, length: int) -> memoryview:
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise _malformed("it is cut off")
        return self.data[start : self.at]

    def unpack(self, form: str) -> tuple:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def count(self) -> int:
        """A number of values that follow; each takes a byte at least."""
        (count,) = self.unpack("<I")
        if count > len(self.data) - self.at:
            raise _malformed("it is cut off")
        return count

    def value(self, depth: int) -> Any:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise _malformed(f"it has more than {MAX_ITEMS:,} items")
        if depth > MAX_DEPTH:
            raise _malformed(f"it is nested more than {MAX_DEPTH} deep")
        read = _READERS.get(self.take(1)[0])
        if read is None:
            raise _malformed("it has a value of unknown kind")
        return read(self, depth)

    def integer(self, depth: int) -> int:
        (length,) = self.unpack("<H")
        if length > MAX_INT_BITS // 8 + 1:
            raise _malformed("it has a whole number of more than 4000 digits")
        return int.from_bytes(self.take(length), "little", signed=True)

    def real(self, depth: int) -> float:
        return self.unpack("<d")[0]

    def complex_number(self, depth: int) -> complex:
        return complex(*self.unpack("<dd"))

    def text(self, depth: int) -> str:
        content = self.take(self.unpack("<I")[0])
        try:
            return str(content, "utf-8")
        except UnicodeDecodeError:
            raise _malformed("it has a string that is not text") from None

    def raw_bytes(self, depth: int) -> bytes:
        return bytes(self.take(self.unpack("<I")[0]))

    def list_(self, depth: int) -> list:
        return [self.value(depth + 1) for _ in range(self.count())]

    def tuple_(self, depth: int) -> tuple:
        return tuple(self.list_(depth))

    def set_(self, depth: int) -> set:
        items = self.list_(depth)
        _check_keys(items)
        return self.distinct(set(items), len(items))

    def frozenset_(self, depth: int) -> frozenset:
        items = self.list_(depth)
        _check_keys(items)
        return self.distinct(frozenset(items), len(items))

    def dict_(self, depth: int) -> dict:
        pairs = [(self.value(depth + 1), self.value(depth + 1)) for _ in range(self.count())]
        _check_keys([key for key, _ in pairs])
        return self.distinct(dict(pairs), len(pairs))

    def distinct(self, collection: Any, count: int) -> Any:
        if len(collection) != count:
            raise _malformed("it has the same key twice")
        return collection

    def range_(self, depth: int) -> range:
        parts = [self.bound(depth) for _ in range(3)]
        if None in parts or parts[2] == 0:
            raise _malformed("it has a range without bounds or step")
        return range(*parts)

    def slice_(self, depth: int) -> slice:
        return slice(*[self.bound(depth) for _ in range(3)])

    def bound(self, depth: int) -> int | None:
        tag = self.take(1)[0]
        if tag == ord("N"):
            return None
        if tag != ord("i"):
            raise _malformed("it has a bound that is not a whole number")
        return self.integer(depth)

    def array(self, depth: int) -> np.ndarray:
        code = str(self.take(self.unpack("<B")[0]), "latin-1")
        if code not in _NUMBERS and not _STRINGS.fullmatch(code):
            raise _malformed("it has an array of unknown dtype")
        dtype = np.dtype(code)
        (ndim,) = self.unpack("<B")
        if ndim > MAX_NDIM:
            raise _malformed(f"it has an array of more than {MAX_NDIM} dimensions")
        shape = self.unpack(f"<{ndim}Q")
        # An empty array may not hide dimensions that no other could have: `sum(axis=0)` would allocate them.
        if math.prod(max(size, 1) for size in shape) * dtype.itemsize > MAX_BYTES:
            raise _malformed("it has an array that is too large")
        raw = self.take(math.prod(shape) * dtype.itemsize)
        array = np.empty(shape, dtype)
        if array.size:
            array[...] = np.frombuffer(raw, dtype).reshape(shape)
        if dtype.kind == "b" and np.frombuffer(raw or b"\0", np.uint8).max() > 1:
            raise _malformed("it has a boolean that is neither true nor false")
        if dtype.kind == "U" and not _is_text(array):
            raise _malformed("it has a string that is not text")
        return array

    def scalar(self, depth: int) -> np.generic:
        array = self.array(depth)
        if array.ndim:
            raise _malformed("it has a NumPy scalar with dimensions")
        return array[()]

    def function(self, depth: int) -> Any:
        (number,) = self.unpack("<I")
        if self.functions is None:
            raise _malformed("it has a function where none may be")
        return self.functions(number)

    def model(self, depth: int) -> Any:
        if self.models is None:
            raise _malformed("it has a model where none may be")
        hooks, unpack = (self.functions, self.models), self.models
        self.functions = self.models = None
        tree = self.value(0)
        self.functions, self.models = hooks
        if type(tree) is not dict:
            raise _malformed("it has a model without a description")
        return unpack(tree)


_READERS: dict[int, Callable[[_Decoder, int], Any]] = {
    ord("N"): lambda decoder, depth: None,
    ord("T"): lambda decoder, depth: True,
    ord("F"): lambda decoder, depth: False,
    ord("i"): _Decoder.integer,
    ord("f"): _Decoder.real,
    ord("c"): _Decoder.complex_number,
    ord("s"): _Decoder.text,
    ord("b"): _Decoder.raw_bytes,
    ord("l"): _Decoder.list_,
    ord("t"): _Decoder.tuple_,
    ord("e"): _Decoder.set_,
    ord("z"): _Decoder.frozenset_,
    ord("d"): _Decoder.dict_,
    ord("r"): _Decoder.range_,
    ord("x"): _Decoder.slice_,
    ord("a"): _Decoder.array,
    ord("n"): _Decoder.scalar,
    ord("p"): _Decoder.function,
    ord("m"): _Decoder.model,
}

_KEY_TYPES = frozenset({type(None), bool, int, float, complex, str, bytes})


def _is_key(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(_is_key(item) for item in value)
    return type(value) in _KEY_TYPES or isinstance(value, np.generic)


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse what cannot be a key, and keys chosen to share one hash, which would take for ever to insert."""
    keys = list(keys)
    if not all(_is_key(key) for key in keys):
        raise _malformed("it has a key that is not a number, a string or a tuple of these")
    if len(keys) > 100 and 2 * len({hash(key) for key in keys}) < len(keys):
        raise _malformed("its keys all collide")
