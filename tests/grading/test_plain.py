"""The data boundary: what crosses arrives as it was, and no bytes do anything but arrive or be refused."""

from __future__ import annotations

import collections
import enum
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from course_utils.grading import plain
from course_utils.grading.errors import NotPlain
from course_utils.grading.plain import decode, encode

examples = settings(derandomize=True, deadline=None, max_examples=250, database=None)

CODES = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
numbers = st.sampled_from([*CODES, ">i4", ">f8", ">c16"]).map(np.dtype)
text = st.text(max_size=8)
numpy_text = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=4
)  # NumPy drops a zero at the end
arrays = st.one_of(
    hnp.arrays(numbers, hnp.array_shapes(min_dims=0, max_dims=3, max_side=3) | st.just((2, 0, 3))),
    st.lists(numpy_text, min_size=1, max_size=4).map(np.array),
)
numpy_scalars = hnp.arrays(numbers, ()).map(lambda array: array[()]) | numpy_text.map(np.str_)
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    st.complex_numbers(),
    text,
    st.binary(max_size=8),
)
keys = st.recursive(atoms | numpy_scalars, lambda inner: st.tuples(inner, inner), max_leaves=3)
bounds = st.none() | st.integers(-9, 9)
values = st.recursive(
    st.one_of(
        atoms,
        arrays,
        numpy_scalars,
        st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9)),
        st.builds(slice, bounds, bounds, bounds),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)

PLAIN = {
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    list,
    tuple,
    set,
    frozenset,
    dict,
    np.ndarray,
}


def same(a, b):
    """Equality that knows type, dtype, order and not-a-number, and asks no object of a foreign class."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        a, b = np.asarray(a), np.asarray(b)
        native = a.dtype.newbyteorder("=")
        if native.kind == "U":  # the length of the longest, and at least 1
            native = np.dtype(f"U{max(native.itemsize // 4, 1)}")
        if a.dtype != b.dtype and b.dtype != native:
            return False
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if type(a) is float:
        return struct.pack("<d", a) == struct.pack("<d", b) or (a != a and b != b)
    if type(a) is complex:
        return same(a.real, b.real) and same(a.imag, b.imag)
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is dict:
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if type(a) in (set, frozenset):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    return a == b


def assert_plain(value):
    """Exact types all the way down; arrays that own their memory and can be written to."""
    if isinstance(value, np.generic):
        assert type(value).__module__ == "numpy" and value.dtype.kind in "biufcU"
        return
    assert type(value) in PLAIN
    if type(value) is np.ndarray:
        assert value.dtype.kind in "biufcU" and value.dtype.isnative and value.base is None
        assert value.flags.writeable and value.flags.aligned
        value.tolist()  # reads every item
    elif type(value) is dict:
        for key, item in value.items():
            assert_plain(key)
            assert_plain(item)
    elif type(value) in (list, tuple, set, frozenset):
        for item in value:
            assert_plain(item)


def decode_or_refuse(data):
    try:
        value = decode(data)
    except NotPlain as refusal:
        assert str(refusal) and "\n" not in str(refusal)
    else:
        assert_plain(value)


@examples
@given(values)
def test_what_crosses_arrives_as_it_was(value):
    arrived = decode(encode(value))
    assert same(value, arrived)
    assert_plain(arrived)


@examples
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    decode_or_refuse(data)


@st.composite
def damaged(draw):
    """Bytes of a value with a few of them changed, cut out, repeated or put in."""
    data = bytearray(encode(draw(values)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        what = draw(st.sampled_from(["change", "insert", "cut", "repeat", "large"]))
        if what == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif what == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        elif what == "cut":
            del data[at : at + draw(st.integers(1, 9))]
        elif what == "repeat":
            data[at:at] = data[: draw(st.integers(0, 40))]
        elif what == "large":
            data[at : at + 4] = draw(
                st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80"])
            )
    return bytes(data)


@settings(examples, max_examples=500)
@given(damaged())
def test_damaged_bytes_are_read_or_refused(data):
    decode_or_refuse(data)


def test_every_beginning_of_an_encoding_is_refused():
    data = encode({"a": [1, 2.5, np.arange(3), "text", (None, 1j)], 2: {range(3).stop, b"x"}})
    for length in range(len(data)):
        with pytest.raises(NotPlain):
            decode(data[:length])
    with pytest.raises(NotPlain, match="follows its end"):
        decode(data + b"N")


# ---- what a student's process may send


LAYOUTS = {
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strides": np.arange(20)[3::4],
    "backwards": np.arange(6).reshape(2, 3)[::-1, ::-1],
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
    "big endian": np.arange(3, dtype=">f8"),
    "no dimension": np.array(5),
    "no items": np.zeros((2, 0, 3)),
    "read only": np.frombuffer(b"12345678", dtype="i4"),
    "strings": np.array([["a", "ünï"], ["", "\U0001f600"]]),
    "many dimensions": np.zeros((1,) * 32),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_any_layout_arrive_in_plain_order(name):
    array = LAYOUTS[name]
    arrived = decode(encode(array))
    assert_plain(arrived)
    assert arrived.flags.c_contiguous
    assert same(array, arrived)


def test_subclasses_cross_as_what_they_derive_from_whatever_they_override():
    def lie(*_args):
        raise AssertionError("an overridden method was called")

    everything = dict.fromkeys(
        ["__iter__", "__len__", "__getitem__", "items", "keys", "encode", "__str__", "__index__", "__int__"],
        lie,
    )
    everything |= dict.fromkeys(
        [
            "__float__",
            "__complex__",
            "__eq__",
            "__bool__",
            "__array__",
            "__reduce__",
            "tobytes",
            "bit_length",
        ],
        lie,
    )
    everything["__hash__"] = None
    for value in ([1, 2], (1, 2), {1, 2}, frozenset([3]), {"a": 1}, "text", b"text", 12, -2.5, 1j):
        base = type(value)
        arrived = decode(encode(type("Hostile", (base,), everything)(value)))
        assert type(arrived) is base and arrived == value
    array = np.arange(3.0).view(type("HostileArray", (np.ndarray,), everything))
    assert same(decode(encode(array)), np.arange(3.0))


def test_everyday_subclasses_cross():
    Point = collections.namedtuple("Point", "x y")
    Colour = enum.IntEnum("Colour", "RED GREEN")
    value = [
        Point(1, 2),
        Colour.GREEN,
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        np.ma.array([[1]]),
    ]
    assert same(decode(encode(value)), [(1, 2), 2, {"a": 1}, {"a": 2, "b": 1}, np.array([[1]])])


def test_tensors_cross_as_arrays():
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    expected = np.array([[1, 2], [3, 4]], dtype=np.float32)
    for tensor in (
        tf.constant(expected),
        tf.Variable(expected),
        keras.Variable(expected),
        keras.ops.array(expected),
    ):
        assert same(decode(encode(tensor)), expected)
    assert same(decode(encode(tf.cast(expected, tf.bfloat16))), expected)
    assert same(decode(encode(tf.constant(2))), np.array(2, dtype=np.int32))
    assert same(decode(encode(tf.constant(["ä", "bc"]))), np.array(["ä", "bc"]))
    assert same(
        decode(encode(tf.IndexedSlices(expected[:1], [1], [2, 2]))), np.array([[0, 0], [1, 2]], np.float32)
    )
    assert same(decode(encode(tf.constant(expected).shape)), (2, 2))
    with pytest.raises(NotPlain, match="symbolic Keras tensor"):
        encode(keras.Input((2,)))


def test_a_tensor_is_told_by_its_package_without_importing_it():
    class Tensor:
        requires_grad, dtype = True, "torch.float32"

        def detach(self):
            return self

        cpu = detach

        def __array__(self, dtype=None, copy=None):
            return np.arange(3)

    with pytest.raises(NotPlain, match="a value of type Tensor"):
        encode(Tensor())
    Tensor.__module__ = "torch"
    assert same(decode(encode(Tensor())), np.arange(3))
    Tensor.__array__ = None
    with pytest.raises(NotPlain, match="a tensor of type Tensor has no values"):
        encode(Tensor())


class Perceptron:
    pass


REFUSED = [
    (Perceptron(), "a value of type Perceptron does not cross to the tests: return numbers"),
    ([Perceptron()], "a value of type Perceptron does not cross"),
    ((i for i in range(3)), "a generator does not cross to the tests: return a list"),
    (zip([1], [2], strict=True), r"an iterator \(zip\) does not cross to the tests: return a list"),
    (..., "put your solution in its place"),
    (print, "a function does not cross here"),
    (np.array([1, None]), "unequal length"),
    (np.array(["2020-01-01"], dtype="datetime64[D]"), "dtype datetime64"),
    (np.zeros(2, dtype=[("a", "f8")]), "make it one of numbers"),
    (np.array([b"ab"]), "make it one of numbers"),
    ("\ud800", "lone surrogate"),
    (np.array(["\ud800"]), "lone surrogate"),
    (10**4001, "4000 digits"),
    (slice("a"), "slice whose bounds"),
    (np.zeros((1,) * 33), "more than 32 dimensions"),
    (np.broadcast_to(1.0, (10**6, 10**6)), "larger than 64 MiB"),
    ([np.zeros(2**20)] * 100, "larger than 64 MiB"),
    (b"x" * (plain.MAX_BYTES + 1), "larger than 64 MiB"),
    (type("two\nlines", (), {})(), "a value of type an odd name"),
    ({(np.float64, 1): 2}, "a function does not cross here"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_does_not_cross_is_named_in_one_line(value, message):
    with pytest.raises(NotPlain, match=message) as refusal:
        encode(value)
    assert "\n" not in str(refusal.value)


def test_values_that_contain_themselves_or_explode_are_refused(monkeypatch):
    loop = []
    loop.append({"again": (loop,)})
    bomb = [0]
    for _ in range(40):
        bomb = [bomb, bomb]
    nested = 1
    for _ in range(51):
        nested = [nested]
    monkeypatch.setattr(plain, "MAX_ITEMS", 10_000)
    for value, message in ((loop, "contains itself"), (bomb, "10,000 items"), (nested, "50 deep")):
        with pytest.raises(NotPlain, match=message):
            encode(value)
    assert decode(encode(nested[0])) == nested[0]


# ---- what the judge may be sent


def array_bytes(code, shape, content=b"", tag=b"a"):
    return (
        tag
        + bytes([len(code)])
        + code.encode()
        + bytes([len(shape)])
        + struct.pack(f"<{len(shape)}Q", *shape)
        + content
    )


def items(tag, *parts, count=None):
    return tag + struct.pack("<I", len(parts) if count is None else count) + b"".join(parts)


ONE, TWO = encode(1), encode(2)

MALFORMED = {
    "nothing": b"",
    "unknown tag": b"?",
    "a pickle": b"\x80\x04cos\nsystem\n.",
    "a list of 4 billion": items(b"l", count=2**32 - 1),
    "a string of 4 GB": b"s\xff\xff\xff\xffabc",
    "half a character": b"s\x03\0\0\0\xed\xa0\x80",
    "an int of 60,000 bytes": b"i" + struct.pack("<H", 60_000) + b"\xff" * 60_000,
    "depth 51": items(b"l", b"") * 51 + b"N",
    "depth 100,000": items(b"l", b"") * 100_000 + b"N",
    "a tuple of depth 100,000": items(b"t", b"") * 100_000 + b"N",
    "an equal key": items(b"d", ONE, TWO, ONE, TWO, count=2),
    "an equal key of another type": items(b"d", ONE, TWO, encode(1.0), TWO, count=2),
    "an equal item": items(b"e", ONE, encode(True)),
    "a list as a key": items(b"d", encode([]), ONE, count=1),
    "an array as a key": items(b"d", encode(np.arange(2)), ONE, count=1),
    "a dict in a set": items(b"e", encode({})),
    "a list in a tuple in a set": items(b"e", encode(([],))),
    "a function as a key": items(b"d", b"p\0\0\0\0", ONE, count=1),
    "a range by 0": b"r" + ONE + ONE + encode(0),
    "a range of floats": b"r" + ONE + encode(2.0) + ONE,
    "a range without end": b"r" + ONE + b"N" + ONE,
    "a slice of arrays": b"x" + encode(np.arange(3)) + ONE + ONE,
    "objects": array_bytes("O", (1,), b"\0" * 8),
    "object pointers as O8": array_bytes("O8", (1,), b"\0" * 8),
    "a dtype of records": array_bytes("i4,i4", (1,), b"\0" * 8),
    "a dtype with a newline": array_bytes("f8\n", (1,), b"\0" * 8),
    "bytes": array_bytes("S8", (1,), b"\0" * 8),
    "long doubles": array_bytes("f16", (1,), b"\0" * 16),
    "strings of no length": array_bytes("U0", (2**40,)),
    "strings without length": array_bytes("U", (1,), b"\0" * 4),
    "strings of a GB each": array_bytes("U9999999", (10,)),
    "a code point beyond Unicode": array_bytes("U1", (1,), b"\0\0\x11\0"),
    "a surrogate": array_bytes("U1", (1,), b"\0\xd8\0\0"),
    "a bool of 2": array_bytes("b1", (2,), b"\1\2"),
    "a buffer too short": array_bytes("f8", (2,), b"\0" * 15),
    "a buffer too long": array_bytes("f8", (2,), b"\0" * 17),
    "an array of 8 EB": array_bytes("f8", (2**60,), b"\0" * 16),
    "a shape that overflows to 0": array_bytes("f8", (2**32, 2**32), b""),
    "a shape that overflows to 8": array_bytes("f8", (2**63, 2), b"\0" * 8),
    "an empty array of 2**62 columns": array_bytes("f8", (0, 2**62)),
    "an empty array of 2**40 columns": array_bytes("b1", (0, 2**40)),
    "33 dimensions": array_bytes("b1", (1,) * 33, b"\0"),
    "255 dimensions": array_bytes("b1", (1,) * 255, b"\0"),
    "a scalar with a dimension": array_bytes("f8", (1,), b"\0" * 8, tag=b"n"),
    "a function": b"p\0\0\0\0",
    "a model": b"m" + encode({}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bytes_are_refused_without_their_memory(name):
    data = MALFORMED[name]
    tracemalloc.start()
    try:
        with pytest.raises(NotPlain):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000 + 20 * len(data)
    finally:
        tracemalloc.stop()


def test_more_than_the_limits_is_not_read(monkeypatch):
    with pytest.raises(NotPlain, match="64 MiB"):
        decode(b"N" * (plain.MAX_BYTES + 1))
    monkeypatch.setattr(plain, "MAX_ITEMS", 1000)
    assert decode(encode([None] * 999)) == [None] * 999
    with pytest.raises(NotPlain, match="1,000 items"):
        decode(items(b"l", b"N" * 1000, count=1000))


def test_keys_that_share_one_hash_cost_no_time():
    colliding = [encode(n * (2**61 - 1)) for n in range(1, 30_001)]
    begin = time.perf_counter()
    for data in (items(b"e", *colliding), items(b"d", *(key + b"N" for key in colliding))):
        with pytest.raises(NotPlain, match="collide"):
            decode(data)
    assert time.perf_counter() - begin < 2
    honest = {n * 2**20 for n in range(30_000)} | {-1, -2}
    assert decode(encode(honest)) == honest


def test_a_caller_deep_in_recursion_gets_a_refusal_too():
    data = encode([[[[[1]]]]])

    def descend():
        try:
            return descend()
        except RecursionError:
            return None
        finally:
            decode_or_refuse(data)

    with pytest.raises(RecursionError):
        descend()
        raise RecursionError  # whether or not the last frames had room left
    decode_or_refuse(data)


# ---- functions and models


def test_functions_cross_by_number():
    known = [len, np.exp, "".join, lambda x: x, Perceptron]
    data = encode({"f": known, "x": 1}, functions=known.index)
    assert decode(data, functions=lambda number: f"function {number}") == {
        "f": [f"function {n}" for n in range(5)],
        "x": 1,
    }
    with pytest.raises(NotPlain, match="function where none may be"):
        decode(data)


def test_a_model_is_told_by_its_class_and_crosses_through_its_hook():
    Model = type("Model", (), {"__module__": "keras.src.models.model", "__call__": lambda self, x: x})
    model = type("Functional", (Model,), {})()
    with pytest.raises(NotPlain, match="a Keras model does not cross here"):
        encode(model)
    data = encode([model, 1], models=lambda value: {"weights": [np.arange(2)]}, functions=id)
    arrived = decode(data, models=lambda tree: ("model", tree))
    assert same(arrived, [("model", {"weights": [np.arange(2)]}), 1])
    with pytest.raises(NotPlain, match="model where none may be"):
        decode(data)
    with pytest.raises(NotPlain, match="model without a description"):
        decode(b"m" + ONE, models=lambda tree: tree)


@pytest.mark.parametrize("inner", [b"p\0\0\0\0", b"m" + encode({})], ids=["function", "model"])
def test_a_description_of_a_model_holds_neither_functions_nor_models(inner):
    data = b"m" + items(b"d", encode("config"), inner, count=1)
    with pytest.raises(NotPlain, match="where none may be"):
        decode(data, functions=lambda number: print, models=lambda tree: tree)
    with pytest.raises(NotPlain, match="does not cross here"):
        Model = type("Model", (), {"__module__": "keras"})
        encode(Model(), functions=lambda function: 0, models=lambda value: {"config": print})


def test_a_class_that_lies_about_itself_is_read_as_what_it_is():
    class Liar:
        __class__ = list

        def __iter__(self):
            return iter([1])

    with pytest.raises(NotPlain, match="a value of type Liar"):
        encode(Liar())


def test_large_arrays_cross_without_work_per_item():
    images = np.zeros((10_000, 784), dtype=np.float32)
    begin = time.perf_counter()
    arrived = decode(encode(images))
    assert time.perf_counter() - begin < 1  # tens of milliseconds; a loop over the items takes many seconds
    assert same(arrived, images)
