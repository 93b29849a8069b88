"""Tables of what counts as the same output and the same returned value."""

import json
import math
import sys
from collections import OrderedDict, deque
from fractions import Fraction

import pytest

from verifiers.code_compare import output_difference, shown, value_difference

SAME, OTHER = True, False
OUTPUTS = [
    # how, expected, actual
    ("tokens", "1 2\n3\n", "1\n2   3", SAME),
    ("tokens", "", " \n\t\r\n", SAME),
    ("tokens", "a\x0bb", "a b", SAME),
    ("tokens", "1 2 3", "1 2", OTHER),
    ("tokens", "1 2", "1 2 3", OTHER),
    ("tokens", "1", "1.0", OTHER),
    ("tokens", "1", "01", OTHER),
    ("tokens", "a", "A", OTHER),
    ("tokens", "1 2", "12", OTHER),
    ("tokens", "a\u00a0b", "a b", OTHER),
    ("tokens", "", "0", OTHER),
    ("exact", "a  b\n", "a  b", SAME),
    ("exact", "a\nb", "a\r\nb\n", SAME),
    ("exact", "", "\n", SAME),
    ("exact", "a\n\n", "a\n", OTHER),
    ("exact", "a\n", "a \n", OTHER),
    ("exact", "a\n", " a\n", OTHER),
    ("exact", "a b", "a  b", OTHER),
    ("exact", "a\rb", "a\nb", OTHER),
    ("floats", "0.333333", "0.3333333333", SAME),
    ("floats", "1e3", "1000", SAME),
    ("floats", "1e3", "1000.0000001", SAME),
    ("floats", "1000000.0", "1000000.9", SAME),
    ("floats", "0.0", "-0.0", SAME),
    ("floats", "0.0", "0.0000005", SAME),
    ("floats", ".5", "0.5", SAME),
    ("floats", "-1.5", "-1.50", SAME),
    ("floats", "+1.5", "1.5", SAME),
    ("floats", "1.", "1", SAME),
    ("floats", "a 0.5", "a  0.50", SAME),
    ("floats", "0.333333", "0.3334", OTHER),
    ("floats", "1.5", "-1.5", OTHER),
    ("floats", "1000000", "1000000.1", OTHER),  # an expected whole number is exact
    ("floats", "7", "7.0", OTHER),
    ("floats", "0.5", "1/2", OTHER),
    ("floats", "0.5", "0.5abc", OTHER),
    ("floats", "0.5", "nan", OTHER),
    ("floats", "0.5", "inf", OTHER),
    ("floats", "1e400", "1e400", SAME),
    ("floats", "1.0e400", "2.0e400", SAME),  # both are more than a double holds
    ("floats", "1.5", "1e400", OTHER),
    ("floats", "1.5", "1." + "5" * 500, OTHER),
    ("floats", "nan", "nan", SAME),
    ("floats", "0x1p3", "8.0", OTHER),
    ("floats", "1_0.5", "10.5", OTHER),
    ("floats", "1.5", "１.５", OTHER),
    ("unordered", "a b\nc", "c\na  b\n", SAME),
    ("unordered", "a\n\nb", "b\n\n\na", SAME),
    ("unordered", "", "\n", SAME),
    ("unordered", "a\na\nb", "b\na\na", SAME),
    ("unordered", "a b\nc", "b a\nc", OTHER),
    ("unordered", "a\na", "a", OTHER),
    ("unordered", "a", "a\nb", OTHER),
    ("unordered", "a", "", OTHER),
]


@pytest.mark.parametrize(("how", "expected", "actual", "same"), OUTPUTS)
def test_output(how, expected, actual, same):
    found = output_difference(expected.encode(), actual.encode(), how, 1e-6)
    assert (found is None) == same, found
    assert found is None or 0 < len(found) < 200


@pytest.mark.parametrize("how", ["tokens", "exact", "floats", "unordered"])
def test_output_that_is_no_text_is_compared_as_bytes(how):
    assert output_difference(b"\xff\n\xfe", b"\xff\n\xfe", how, 1e-6) is None
    assert output_difference(b"\xff", b"\xfe", how, 1e-6) is not None


TOLERANCES = [
    (0.0, "0.5", "0.5", SAME),
    (0.0, "0.5", "0.50001", OTHER),
    (0.01, "100.0", "100.9", SAME),
    (0.01, "0.10", "0.109", SAME),
    (0.01, "100.0", "101.1", OTHER),
]


@pytest.mark.parametrize(("tolerance", "expected", "actual", "same"), TOLERANCES)
def test_a_tolerance_is_absolute_below_one_and_relative_above(tolerance, expected, actual, same):
    assert (output_difference(expected.encode(), actual.encode(), "floats", tolerance) is None) == same
    assert (value_difference(float(expected), float(actual), "floats", tolerance) is None) == same


SAID = [
    ("tokens", "1 2 3", "1 9 3", "word 2 is '9', not '2'"),
    ("tokens", "1 2", "1", "1 words, not 2"),
    ("exact", "a\nb", "a\nc", "line 2 is 'c', not 'b'"),
    ("exact", "a", "a\nb", "2 lines, not 1"),
    ("unordered", "a\nb", "b", "the line 'a' is missing"),
    ("unordered", "b", "a\nb", "the line 'a' is too many"),
    ("tokens", "x" * 100, "y", f"word 1 is 'y', not '{'x' * 39}…'"),
]


@pytest.mark.parametrize(("how", "expected", "actual", "said"), SAID)
def test_the_first_difference_is_told(how, expected, actual, said):
    assert output_difference(expected.encode(), actual.encode(), how, 1e-6) == said


class Agreeing:
    def __eq__(self, other):
        return True

    __hash__ = None


VALUES = [
    # how, expected (JSON data), actual
    ("tokens", 1, 1, SAME),
    ("tokens", 1, 1.0, SAME),
    ("tokens", 1.0, 1, SAME),
    ("tokens", 1, True, OTHER),
    ("tokens", True, 1, OTHER),
    ("tokens", True, True, SAME),
    ("tokens", False, None, OTHER),
    ("tokens", None, None, SAME),
    ("tokens", None, 0, OTHER),
    ("tokens", 0, None, OTHER),
    ("tokens", "1", 1, OTHER),
    ("tokens", 1, "1", OTHER),
    ("tokens", "a", "a", SAME),
    ("tokens", "a b", "a  b", OTHER),
    ("tokens", "a", b"a", OTHER),
    ("tokens", 1, Fraction(1), OTHER),
    ("tokens", 10**400, 10**400, SAME),
    ("tokens", 10**400, 10**400 + 1, OTHER),
    ("tokens", 1.5, math.nan, OTHER),
    ("tokens", 0.1, 0.1 + 1e-12, OTHER),
    ("tokens", [1, 2], [1, 2], SAME),
    ("tokens", [1, 2], (1, 2), SAME),
    ("tokens", [1, 2], [2, 1], OTHER),
    ("tokens", [1, 2], [1, 2, 3], OTHER),
    ("tokens", [1, 2], {1, 2}, SAME),
    ("tokens", [2, 1], frozenset({1, 2}), SAME),
    ("tokens", [1, 1], {1}, OTHER),
    ("tokens", [1, 2], deque([1, 2]), OTHER),
    ("tokens", [1, 2], "12", OTHER),
    ("tokens", [1, 2], {1: 0, 2: 0}, OTHER),
    ("tokens", [], (), SAME),
    ("tokens", [], None, OTHER),
    ("tokens", [[1, [2]]], ((1, (2,)),), SAME),
    ("tokens", [[1, 2], [3]], [[3], [1, 2]], OTHER),
    ("tokens", {"a": 1}, {"a": 1}, SAME),
    ("tokens", {"a": 1}, OrderedDict(a=1), SAME),
    ("tokens", {"1": "x"}, {1: "x"}, SAME),
    ("tokens", {"null": 1}, {None: 1}, SAME),
    ("tokens", {"true": 1}, {True: 1}, SAME),
    ("tokens", {"a": 1}, {"a": 2}, OTHER),
    ("tokens", {"a": 1}, {"a": 1, "b": 2}, OTHER),
    ("tokens", {"a": 1}, [["a", 1]], OTHER),
    ("tokens", {}, [], OTHER),
    ("unordered", [1, 2], [2, 1], SAME),
    ("unordered", [1, 2], (2, 1), SAME),
    ("unordered", [1, 1, 2], [1, 2, 2], OTHER),
    ("unordered", [1, 2], [2.0, 1.0], SAME),
    ("unordered", [[1, 2], [3]], [(3,), (1, 2)], SAME),
    ("unordered", [[1, 2], [3]], [[3], [2, 1]], OTHER),
    ("unordered", [{"a": 1}, {"b": 2}], [{"b": 2}, {"a": 1}], SAME),
    ("unordered", [True], [1], OTHER),
    ("unordered", "ab", "ba", OTHER),
    ("unordered", [], [], SAME),
    ("floats", 0.3, 0.1 + 0.2, SAME),
    ("floats", [0.3], [0.1 + 0.2], SAME),
    ("floats", {"x": 0.3}, {"x": 0.1 + 0.2}, SAME),
    ("floats", 3, 3.0000001, OTHER),
    ("floats", 0.5, 0.6, OTHER),
    ("floats", 0.5, "0.5", OTHER),
    ("floats", 1.0, True, OTHER),
    ("floats", 1.5, 10**400, OTHER),
    ("floats", 1.5, math.inf, OTHER),
    ("floats", 1.5, math.nan, OTHER),
    ("exact", [1, 2], (1, 2), SAME),
    ("exact", 0.3, 0.1 + 0.2, OTHER),
]


@pytest.mark.parametrize(("how", "expected", "actual", "same"), VALUES)
def test_value(how, expected, actual, same):
    assert (value_difference(expected, actual, how, 1e-6) is None) == same


@pytest.mark.parametrize("expected", [1, 1.5, "a", None, True, [1], {"a": 1}])
def test_nothing_equals_by_its_own_word(expected):
    assert value_difference(expected, Agreeing(), "tokens", 1e-6) is not None


def test_items_written_otherwise_are_matched_one_by_one():
    expected = [[n, n + 1] for n in range(300)]
    actual = [(n, n + 1.0) for n in reversed(range(300))]
    assert value_difference(expected, actual, "unordered", 1e-6) is None
    assert value_difference(expected, [*actual[:-1], (1, 2)], "unordered", 1e-6) is not None


def test_large_values_are_compared_in_time():
    numbers = list(range(200_000))
    assert value_difference(numbers, numbers[::-1], "unordered", 1e-6) is None
    assert value_difference(numbers, [n + 1 for n in numbers], "unordered", 1e-6) is not None
    text = b"1 " * 500_000
    assert output_difference(text, text[:-2] + b"2", "tokens", 1e-6) == "word 500000 is '2', not '1'"
    assert output_difference(b"1\n" * 200_000, b"2\n" * 200_000, "unordered", 1e-6) == "the line '1' is missing"


def test_a_deep_value_is_compared_as_deep_as_it_can_be_read():
    deep = json.loads("[" * 190 + "]" * 190)
    assert value_difference(deep, deep, "tokens", 1e-6) is None
    assert sys.getrecursionlimit() >= 1000


def test_quotes_are_short_and_never_raise():
    assert shown(b"a\xff") == "'a�'"
    assert shown("a\ud800") == repr("a\ud800")
    assert len(shown(b"x" * 1_000_000)) < 130
