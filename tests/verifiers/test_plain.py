"""Values that cross between boxes: they come back as they were, subclasses without what they override, garbage as an
error that is documented."""

import contextlib
import datetime
import decimal
import enum
import fractions
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verifiers.sandbox import plain

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 200), 1 << 200)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.datetimes().map(lambda moment: moment.replace(fold=0))
    | st.dates()
    | st.times().map(lambda time: time.replace(fold=0))
    | st.timedeltas()
    | st.builds(range, st.integers(), st.integers(), st.integers(1, 9))
)
KEYS = st.integers() | st.text() | st.booleans() | st.none() | st.tuples(st.integers(), st.text()) | st.fractions()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTED = (plain.NotPlainError, ValueError, TypeError, KeyError)


def through(value):
    """Write a value as a box does and read it as the other does."""
    return plain.decode(json.loads(json.dumps(plain.encode(value))))


def typed(value):
    """Return a value with the types of all its parts, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return type(value), [(typed(k), typed(v)) for k, v in value.items()]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(repr(typed(item)) for item in value)
    if isinstance(value, (list, tuple, deque)):
        return type(value), [typed(item) for item in value]
    return type(value), repr(value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_plain_data_come_back_as_they_were(value):
    assert typed(through(value)) == typed(value)


EDGES = [
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    1 << 53,
    -(1 << 53),
    (1 << 53) - 1,
    10**4000,
    "\ud800",
    "\x00",
    b"\x00\xff",
    bytearray(b"ab"),
    {"t": "set", "v": [1]},
    {"t": "object", "v": 0},
    [{"t": "int", "v": "0x1"}],
    {1: "a", "1": "b", (1,): "c", None: "d"},
    {frozenset({1}): [set()]},
    range(0, -5, -1),
    decimal.Decimal("1.10"),
    decimal.Decimal("NaN"),
    decimal.Decimal("-Infinity"),
    fractions.Fraction(-1, 3),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=datetime.UTC),
    complex(1, -2),
    [],
    (),
    set(),
    {},
]


@pytest.mark.parametrize("value", EDGES, ids=lambda value: repr(value)[:40])
def test_edges_come_back_as_they_were(value):
    assert typed(through(value)) == typed(value)


class Five(int):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __repr__(self):
        return "anything"

    def __index__(self):
        return 7

    def __int__(self):
        return 7


class Word(str):
    def __eq__(self, other):
        return True

    def __str__(self):
        return "other"

    __hash__ = str.__hash__


class Half(float):
    def __eq__(self, other):
        return True

    def __mul__(self, other):
        return 7.0

    __hash__ = float.__hash__


class Items(list):
    def __iter__(self):
        return iter(["expected"])

    def __len__(self):
        return 1

    def __eq__(self, other):
        return True

    __hash__ = None


class Pairs(dict):
    def items(self):
        return [("expected", 1)]

    def __iter__(self):
        return iter(["expected"])


class Members(set):
    def __iter__(self):
        return iter(["expected"])


class Octets(bytes):
    def hex(self, *args):
        return "ff"


class Colour(enum.IntEnum):
    RED = 3


class Lying(dict):
    """A dictionary that says it is a list."""

    __class__ = list


Point = namedtuple("Point", "x y")
SUBCLASSES = [
    (Five(5), 5),
    (Word("word"), "word"),
    (Half(0.5), 0.5),
    (Items([1, 2]), [1, 2]),
    (Pairs(a=2), {"a": 2}),
    (Members({1}), {1}),
    (Octets(b"ab"), b"ab"),
    (Colour.RED, 3),
    (Point(1, 2), (1, 2)),
    (OrderedDict(a=1), {"a": 1}),
    (Counter("aab"), {"a": 2, "b": 1}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (deque([1], maxlen=3), deque([1])),
    ([Five(5), {Word("k"): Items()}], [5, {"k": []}]),
]


@pytest.mark.parametrize(("value", "inherited"), SUBCLASSES, ids=lambda value: type(value).__name__)
def test_subclasses_lose_what_they_override(value, inherited):
    assert typed(through(value)) == typed(inherited)


def test_numbers_and_arrays_of_numpy_are_what_they_hold():
    numpy = pytest.importorskip("numpy")
    assert typed(through(numpy.int64(5))) == typed(5)
    assert typed(through(numpy.float32(0.5))) == typed(0.5)
    assert typed(through(numpy.bool_(True))) == typed(True)
    assert typed(through(numpy.arange(6).reshape(2, 3))) == typed([[0, 1, 2], [3, 4, 5]])


def test_numbers_of_more_digits_than_python_writes_come_back():
    assert through(10**5000) == 10**5000


def test_a_class_that_lies_about_itself_is_refused():
    with pytest.raises(TypeError):
        plain.encode(Lying(a=1))


class Other:
    pass


OTHERS = [
    Other(),
    Other,
    print,
    lambda: 1,
    object(),
    iter([]),
    (n for n in ()),
    open,
    NotImplemented,
    ...,
    math,
    slice(1),
]


@pytest.mark.parametrize("value", OTHERS, ids=lambda value: type(value).__name__)
def test_what_is_no_plain_data_is_refused_or_handed_on(value):
    with pytest.raises(plain.NotPlainError, match="no plain data"):
        plain.encode([value])
    handed = []
    written = plain.encode({"a": [value]}, lambda found: handed.append(found) or {"t": "object", "v": 7})
    assert handed == [value]
    assert plain.decode(written, lambda data: ("read", data["v"])) == {"a": [("read", 7)]}
    with pytest.raises(plain.NotPlainError, match="object"):
        plain.decode(written)


def test_too_much_is_refused():
    circle: list = []
    circle.append(circle)
    deep: list = []
    for _ in range(plain.MAX_DEPTH + 2):
        deep = [deep]
    for value in (circle, deep, range(10**9).__iter__, {"a": circle}):
        with pytest.raises(plain.NotPlainError):
            plain.encode(value)
    same = [0] * 1000
    for value in ([same] * 3000, [[same] * 100] * 30):
        with pytest.raises(plain.NotPlainError, match="parts"):
            plain.encode(value)
    with pytest.raises(plain.NotPlainError, match="levels"):
        plain.decode(json.loads("[" * 300 + "]" * 300))


TAGS = ("dict", "tuple", "set", "frozenset", "deque", "int", "bytes", "bytearray", "complex", "range", "decimal")
TAGS += ("fraction", "timedelta", "datetime", "date", "time", "object", "module", "callback", "slice", "no such tag")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["t", "v", "x"]), inner, max_size=3)
        | st.fixed_dictionaries({"t": st.sampled_from(TAGS) | inner, "v": inner})
    ),
    max_leaves=10,
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_garbage_is_read_as_data_or_raises_what_is_documented(data):
    with contextlib.suppress(DOCUMENTED):
        plain.decode(data)


GARBAGE = [
    {},
    {"t": "int"},
    {"t": "int", "v": "0xzz"},
    {"t": "int", "v": 5},
    {"t": "int", "v": "f" * 100},
    {"t": "int", "v": None},
    {"t": "bytes", "v": "0"},
    {"t": "bytes", "v": [1]},
    {"t": "complex", "v": [1]},
    {"t": "complex", "v": {}},
    {"t": "range", "v": [1, 2, 0]},
    {"t": "range", "v": [[], 1, 1]},
    {"t": "decimal", "v": "x"},
    {"t": "decimal", "v": [0, [1], "x"]},
    {"t": "fraction", "v": ["0x1", "0x0"]},
    {"t": "timedelta", "v": [10**12, 0, 0]},
    {"t": "timedelta", "v": [math.nan, 0, 0]},
    {"t": "timedelta", "v": [math.inf, 0, 0]},
    {"t": "datetime", "v": "2024"},
    {"t": "date", "v": 5},
    {"t": "set", "v": [[1]]},
    {"t": "set", "v": 5},
    {"t": "dict", "v": [[1]]},
    {"t": "dict", "v": [[[1], 2]]},
    {"t": "dict", "v": 5},
    {"t": ["set"], "v": []},
    {"t": {"t": "set"}, "v": []},
    {"t": None, "v": []},
]


@pytest.mark.parametrize("data", GARBAGE, ids=lambda data: json.dumps(data)[:50])
def test_garbage_raises_what_is_documented(data):
    try:
        found = plain.decode(data)
    except DOCUMENTED:
        return
    assert found is None or isinstance(found, (int, range, decimal.Decimal)), found
