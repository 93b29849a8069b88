"""Read a text as one typed value: all of it, or nothing.

In: text of a reference or an answer. Out: a `Value`. Raises `Unreadable` where a part would be left over: a prefix that
could be read is never taken for the whole. Units, labels, names in front, lists, relations, sets and matrices are read
here; the expressions inside them in `grammar.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from flint import fmpq

from verifiers.maths.amounts import composed_unit, in_degrees, modular, money_in_front, scaled
from verifiers.maths.grammar import MAX_DEPTH, Grammar
from verifiers.maths.labels import (
    ARTICLES,
    as_words,
    is_domain_note,
    is_label,
    is_label_behind,
    is_words,
    name_of,
    numbered,
    without_lead,
    words_of,
)
from verifiers.maths.spelling import MAX_CHARS, clean, plain_words
from verifiers.maths.structure import (
    CLOSE,
    OPEN,
    depth_of,
    environment,
    is_angle_bracket,
    is_bars,
    is_composed,
    joins_sets,
    matching,
    split_list,
    split_relations,
    with_remark,
    without_aside,
    without_remarks,
)
from verifiers.maths.terms import (
    EXPRESSIONS,
    Bracketed,
    Builder,
    Constant,
    Ellipsis,
    Expression,
    Matrix,
    Named,
    Number,
    Operated,
    Quantity,
    Ratio,
    Relation,
    Several,
    Symbol,
    Text,
    Value,
    product,
)
from verifiers.maths.tokens import Token, Unreadable, tokens_of
from verifiers.maths.units import unit_named
from verifiers.maths.written import base_number, clock, day, words_number

_NAMED = {
    name: kind
    for kind, names in {
        "empty": "emptyset|no solution|no solutions|none|no real solution|no real solutions|empty set|the empty set|"
        "empty|there is no solution|there are no solutions|no such number exists|no integer solutions|"
        "无解|空集|没有解|无实数解|方程无解|无实数根",
        "undefined": "undefined|does not exist|dne|d.n.e|not defined|doesn't exist|the limit does not exist|"
        "不存在|无定义|无意义|未定义|极限不存在",
        "reals": "all real numbers|all reals|reals|real numbers|any real number|all real values|"
        "the set of all real numbers|the real numbers|every real number|all x|"
        "全体实数|一切实数|任意实数|实数集|所有实数",
        "infinite": "infinitely many|infinitely many solutions|infinite solutions|infinite number of solutions|"
        "无穷多|无数个|无穷多个|无数解|无穷多解",
    }.items()
    for name in names.split("|")
}
"""Words that are a value."""
_SETS = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}
_INFINITIES = {
    name: sign
    for sign, names in {
        1: "infinity|positive infinity|plus infinity|inf|+inf|无穷|无穷大|正无穷|正无穷大",
        -1: "negative infinity|minus infinity|-inf|负无穷|负无穷大",
    }.items()
    for name in names.split("|")
}
_PERCENT = re.compile(r"^(?:%|percent|per cent|percentage|pct|个?百分点)$", re.IGNORECASE)
_MAX_ITEMS = 400


def read(text: str, *, lists: bool = False) -> Value:
    """Read a text as one value. With `lists`, a comma between digits separates items instead of thousands.

    Raises Unreadable.
    """
    if len(text) > MAX_CHARS:
        raise Unreadable(f"it has {len(text)} characters, at most {MAX_CHARS} are read")
    try:
        return _read_again(text, lists) if len(text) <= _MAX_KEPT else _read(text, lists)
    except RecursionError:
        raise Unreadable("it is nested too deep") from None


_MAX_KEPT = 200
"""Longer texts are not kept for the next time."""


@lru_cache(maxsize=4096)
def _read_again(text: str, lists: bool) -> Value:
    return _read(text, lists)


def _read(text: str, lists: bool) -> Value:
    cleaned = clean(text)
    if not cleaned:
        raise Unreadable("it is empty")
    special = _special(cleaned)
    if special is not None:
        return special
    tokens = tokens_of(cleaned, lists=lists)
    if not tokens:
        raise Unreadable("it is empty")
    if depth_of(tokens) > MAX_DEPTH:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        return _Reader().answer(tokens)
    except Unreadable:
        words = as_words(cleaned)
        if words is None:
            raise
        return words


def _special(text: str) -> Value | None:
    """Read what has a form of its own: named values, dates, times, bases, numbers in words."""
    bare = plain_words(text).strip(" .!").lower().removeprefix("\\")
    if bare in ("{}", "\\{\\}", "\\{ \\}", "{ }"):
        return Named("empty")
    bare = _ABOUT_EQUATIONS.sub("", bare)
    if bare in _NAMED:
        return Named(_NAMED[bare])
    if bare in _INFINITIES:
        return Constant("oo") if _INFINITIES[bare] > 0 else product(Number(fmpq(-1)), Constant("oo"))
    return base_number(text) or day(text) or clock(text) or words_number(text)


_ABOUT_EQUATIONS = re.compile(
    r"^(?:the|this) (?:given )?(?:equation|system|inequality|problem)(?: of equations)? has (?=no |infinitely )"
    r"|^[此该原]?方程组?(?=无)"
)


class _Reader:
    """The grammar of answers; its depth is bounded."""

    def __init__(self) -> None:
        self._depth = 0

    def answer(self, tokens: list[Token]) -> Value:
        """Read a list, or one item."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
        tokens = with_remark(_without_note(tokens))
        whole = self._compound(tokens)
        if whole is not None:
            self._depth -= 1
            return whole
        if tokens and (is_angle_bracket(tokens, 0) or (tokens[0].text == "]" and tokens[-1].text in ("[", "]"))):
            pieces, joints = [tokens], list[str]()
        else:
            pieces, joints = split_list(tokens)
        if len(pieces) > _MAX_ITEMS:
            raise Unreadable(f"a list of more than {_MAX_ITEMS} items")
        value = self._item(pieces[0]) if len(pieces) == 1 else self._several(pieces, joints)
        self._depth -= 1
        return value

    def _several(self, pieces: list[list[Token]], joints: list[str]) -> Value:
        kinds = set(joints)
        joint = "or" if "or" in kinds else "and" if "and" in kinds else ","
        return Several(tuple(self._item(piece) for piece in pieces), joint)

    def _item(self, tokens: list[Token]) -> Value:
        tokens = without_aside(tokens)
        if not tokens:
            raise Unreadable("an item of a list is missing")
        if len(tokens) == 1 and tokens[0].text == "...":
            return Ellipsis()
        sides, signs = split_relations(tokens)
        if signs:
            return self._relation(sides, signs)
        return self._side(tokens)

    def _relation(self, sides: list[list[Token]], signs: list[str]) -> Value:
        values: list[Value] = []
        for place, side in enumerate(sides):
            if not side:
                if place == 0 and len(sides) > 1:  # "= 5", "\\neq 5", "< 3": a relation to what is asked
                    values.append(Symbol(""))
                    continue
                raise Unreadable("one side of a relation is missing")
            name = (name_of(side) or _function_of(side)) if place == 0 else None
            if place and signs[place - 1] == "in" and len(side) == 1 and side[0].text in _SETS:
                name = Named(_SETS[side[0].text])  # k in Z
            value = name or self._side(side)
            if place == 0 and isinstance(value, Relation) and isinstance(value.sides[0], Text):
                value = value.sides[1]  # "the line: 2x - y + 1 = 0"
            values.append(value)
        if signs == ["="] and values[0] == Symbol(""):
            return values[1]
        return Relation(tuple(values), tuple(signs))

    def _side(self, tokens: list[Token]) -> Value:
        """Read one side of a relation: a set, a tuple, a matrix, a quantity, an expression."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
        value = (
            self._compound(tokens)
            or self._set_operation(tokens)
            or self._bracketed(tokens)
            or self._multiple(tokens)
            or self._ratio(tokens)
        )
        if value is None:
            value = self._quantity(tokens)
        self._depth -= 1
        return value

    def _set_operation(self, tokens: list[Token]) -> Value | None:
        if any(token.text == "begin" for token in tokens):
            return None
        for operation, marks in (
            ("union", ("cup", "U")),
            ("difference", ("setminus", "\\\\", "-")),
            ("intersection", ("cap",)),
        ):
            depth = 0
            for place in range(len(tokens) - 1, 0, -1):
                token = tokens[place]
                depth += (token.text in CLOSE) - (token.text in OPEN)
                if depth == 0 and token.text in marks and joins_sets(tokens, place):
                    left, right = tokens[:place], tokens[place + 1 :]
                    return Operated(operation, self._side(left), self._side(right))
        return None

    def _bracketed(self, tokens: list[Token]) -> Value | None:
        first, last = tokens[0], tokens[-1]
        if first.kind == "command" and first.text in ("mathbb", "mathbf", "mathcal"):
            letters = "".join(token.text for token in tokens[1:] if token.kind == "letter")
            rest = "".join(
                token.text for token in tokens[1:] if token.kind != "letter" and token.text not in ("{", "}")
            )
            if letters in _SETS and rest in ("", "^*", "^+", "_+"):
                return Named("positive " * bool(rest) + _SETS[letters])
            return None
        if len(tokens) == 1 and first.kind == "command" and first.text == "emptyset":
            return Named("empty")
        if first.kind == "letter" and first.text.isupper() and len(tokens) > 4 and tokens[1].text == "(":
            coordinates, _ = split_list(tokens[2:-1])
            if matching(tokens, 1) == len(tokens) - 1 and len(coordinates) > 1:
                return self._bracketed(tokens[1:])  # the point P(1, 2)
        if first.text not in OPEN and first.text not in ("]", "<"):
            return None
        while len(tokens) > 4 and [token.text for token in tokens[-2:]] in (["^", "T"], ["^", "top"]):
            tokens = tokens[:-2]  # a column written as a row
            last = tokens[-1]
        closing = matching(tokens, 0)
        if closing != len(tokens) - 1:
            return None
        inner = tokens[1:-1]
        opening, end = first.text, last.text
        if opening in ("langle", "<"):
            opening, end = "<", ">"
        opening, end = opening.replace("\\", ""), end.replace("\\", "")
        pieces = split_list(inner)[0] if inner else []
        if len(pieces) > _MAX_ITEMS:
            raise Unreadable(f"a list of more than {_MAX_ITEMS} items")
        if opening == "{" and first.text == "\\{" and inner:
            built = self._builder(inner)
            if built is not None:
                return built
        if not inner:
            return Named("empty") if opening == "{" else Bracketed(opening, end, ())
        if len(pieces) == 1 and (opening == "(" or first.text == "{"):
            return self._item(inner) if is_composed(inner) else None  # brackets around an expression
        if len(pieces) == 1 and opening == "[" and not is_composed(inner):
            return Bracketed(opening, end, (self._item(pieces[0]),))
        return Bracketed(opening, end, tuple(self._item(piece) for piece in pieces))

    def _builder(self, inner: list[Token]) -> Value | None:
        """Read {x | condition} and {x : condition}."""
        depth = 0
        for place, token in enumerate(inner):
            depth += (token.text in OPEN) - (token.text in CLOSE)
            if depth == 0 and token.text in ("|", ":") and 0 < place < len(inner) - 1 and not is_bars(inner, place):
                condition = self.answer(inner[place + 1 :])
                if not isinstance(condition, (Relation, Several)):
                    return None
                return Builder(self._item(inner[:place]), condition)
        return None

    def _multiple(self, tokens: list[Token]) -> Value | None:
        """Read a matrix, perhaps with a factor in front."""
        start = next((place for place, token in enumerate(tokens) if token.text == "begin"), 0)
        if start == 0 or tokens[start - 1].text == "\\{":
            return self._matrix(tokens)
        matrix = self._matrix(tokens[start:])
        if not isinstance(matrix, Matrix):
            return None
        front = tokens[:start]
        factor: Expression = Number(fmpq(-1)) if [token.text for token in front] == ["-"] else _whole_expression(front)
        if not all(isinstance(cell, EXPRESSIONS) for row in matrix.rows for cell in row):
            raise Unreadable("a factor before something that is no matrix of numbers")
        return Matrix(tuple(tuple(product(factor, cell) for cell in row) for row in matrix.rows))  # type: ignore[arg-type]

    def _matrix(self, tokens: list[Token]) -> Value | None:
        if tokens[0].text == "\\{" and len(tokens) > 1 and tokens[1].text == "begin":
            tokens = tokens[1:]  # a system: its brace is closed by nothing
        if tokens[0].text != "begin" or len(tokens) < 8:
            return None
        name, start = environment(tokens, 0)
        if name not in (
            "pmatrix",
            "bmatrix",
            "matrix",
            "Bmatrix",
            "array",
            "smallmatrix",
            "cases",
            "psmallmatrix",
        ):
            raise Unreadable(f"an environment {name}")
        if name == "array" and tokens[start].text == "{":
            start = matching(tokens, start) + 1
        ends = [place for place in range(start, len(tokens)) if tokens[place].text == "end"]
        if not ends:
            raise Unreadable("\\end is missing")
        closing, after = environment(tokens, ends[-1])
        if closing != name or after != len(tokens):
            raise Unreadable("something follows a matrix")
        rows: list[list[list[Token]]] = [[[]]]
        depth = 0
        for token in tokens[start : ends[-1]]:
            depth += (token.text in OPEN) - (token.text in CLOSE)
            if token.text == "\\\\" and depth <= 0:
                rows.append([[]])
            elif token.text == "&" and depth <= 0:
                rows[-1].append([])
            elif token.text not in ("hline",):
                rows[-1][-1].append(token)
        rows = [row for row in rows if any(row)]
        if not rows or len({len(row) for row in rows}) != 1 or sum(map(len, rows)) > _MAX_ITEMS:
            raise Unreadable("a matrix with rows of different lengths" if rows else "an empty matrix")
        cells = tuple(tuple(self._item(without_remarks(cell)) for cell in row) for row in rows)
        if name == "cases" and len(cells[0]) == 2:  # a function by cases: a set of (value, condition)
            return Bracketed("{", "}", tuple(Bracketed("(", ")", row) for row in cells))
        if all(len(row) == 1 and isinstance(row[0], Relation) for row in cells):
            return Several(tuple(row[0] for row in cells), "and")
        return Matrix(cells)

    def _ratio(self, tokens: list[Token]) -> Value | None:
        parts: list[list[Token]] = [[]]
        depth = 0
        for place, token in enumerate(tokens):
            depth += (token.text in OPEN or token.text == "begin") - (token.text in CLOSE or token.text == "end")
            is_colon = (
                token.text == ":"
                or (
                    token.text == "to"
                    and token.kind == "word"
                    and place + 1 < len(tokens)
                    and tokens[place + 1].kind == "number"
                )
                or (token.kind == "cjk" and token.text == "比")
            )
            if depth == 0 and is_colon:
                parts.append([])
            else:
                parts[-1].append(token)
        if len(parts) == 1:
            return None
        is_named = len(parts) == 2 and any(token.text == ":" for token in tokens)
        if is_named and parts[0] and all(token.kind in ("word", "cjk") for token in parts[0]) and parts[1]:
            return Relation((Text(words_of(parts[0]).casefold()), self._item(parts[1])), ("=",))  # "Total: 18"
        if not all(parts):
            raise Unreadable("a part of a ratio is missing")
        return Ratio(tuple(_whole_expression(part) for part in parts))

    def _quantity(self, tokens: list[Token]) -> Value:
        """Read [currency] expression [scale] [unit | % | label]."""
        if is_words(tokens):
            words = words_of(tokens)
            counted = words_number(words) or _counted(tokens, words)
            if counted is not None:
                return counted
            return as_words(words) or Text(" ".join(ARTICLES.sub(" ", words.casefold()).split()))
        based = _based_number(tokens)
        if based is not None:
            return based
        start = next(
            (
                n
                for n, t in enumerate(tokens)
                if t.text == "(" and n + 1 < len(tokens) and tokens[n + 1].text in ("mod", "bmod")
            ),
            0,
        )
        if start and tokens[-1].text == ")":
            return modular(_whole_expression(tokens[:start]), tokens[start:])
        money, rest = money_in_front(tokens)
        if not money:
            money, rest = money_in_front(without_lead(rest))
            noun, rest = numbered(rest) if not money else ("", rest)
            if noun:  # "row 3"
                found = self._quantity(rest)
                if not isinstance(found, Number):
                    raise Unreadable(f"{noun!r} before something that is no number")
                return Quantity(found, "#", noun)
        grammar = Grammar(rest)
        value = grammar.sum()
        after = grammar.tokens[grammar.place :]
        if (after and after[0].kind == "command" and after[0].text in ("pmod", "bmod", "mod")) or (
            len(after) > 2 and after[0].text == "(" and after[1].text == "mod"
        ):
            return modular(value, after)
        value, after = scaled(value, after)
        if money:
            words = words_of(after)
            if after and not (unit_named(words) == unit_named(money) or is_label(after)):
                raise Unreadable(f"{words!r} is left over")
            return Quantity(value, money, words)
        if not after:
            return in_degrees(value)
        words = words_of(after)
        if _PERCENT.match(words):
            return Quantity(value, "%")
        if after[0].text == "%" and (is_label(after[1:]) or after[1:] == []):
            return Quantity(value, "%", words_of(after[1:]))
        if after[0].text in ("permille",) and len(after) == 1:
            return Quantity(value, "permille")
        unit = composed_unit(value, after)
        if unit is not None:
            return unit
        if after[0].kind == "money" and len(after) == 1:
            return Quantity(value, after[0].text)
        if is_label_behind(after):
            return Quantity(value, "", words)
        raise Unreadable(f"{words[:40]!r} is left over")

    def _compound(self, tokens: list[Token]) -> Value | None:
        """Read 1 h 30 min, 5 feet 3 inches, 5元3角: parts of one dimension, falling."""
        pieces: list[list[Token]] = []
        for token in tokens:
            if token.kind == "number":
                pieces.append([])
            if not pieces:
                return None
            if token.text != "and":
                pieces[-1].append(token)
        if len(pieces) < 2:
            return None
        total = fmpq(0)
        last = None
        first = ""
        for piece in pieces:
            unit = unit_named(words_of(piece[1:]))
            assert piece[0].number is not None
            if (
                unit is None
                or unit.offset
                or (last is not None and (unit.dimension != last.dimension or unit.factor >= last.factor))
            ):
                return None
            first = first or words_of(piece[1:])
            head = unit_named(first)
            assert head is not None
            total += piece[0].number.value * unit.factor / head.factor
            last = unit
        return Quantity(Number(total), first)


def _based_number(tokens: list[Token]) -> Value | None:
    """Read 3032_5 among tokens."""
    if not any(token.text == "_" for token in tokens) or tokens[0].kind != "number":
        return None
    plain = all(token.kind in ("number", "letter", "word") or token.text in ("_", "{", "}") for token in tokens)
    return base_number("".join(token.text for token in tokens)) if plain else None


def _without_note(tokens: list[Token]) -> list[Token]:
    """Drop a note in brackets at the end: "12 (apples)"."""
    if len(tokens) < 4 or tokens[-1].text != ")":
        return tokens
    start = next((place for place in range(len(tokens) - 2, 0, -1) if tokens[place].text == "("), 0)
    note = tokens[start + 1 : -1]
    if start == 0 or not note or not is_label(note) or is_domain_note(note):
        return tokens
    if all(token.kind == "cjk" for token in note):
        return [*tokens[:start], *note]  # 120(厘米)
    only_words = all(token.kind == "word" for token in note) and any(len(token.text) > 3 for token in note)
    return tokens[:start] if tokens[start].spaced and only_words else tokens


def _function_of(tokens: list[Token]) -> Value | None:
    """Read P(X > 2), Var(X), \\mathbb{E}[X] in front of an equals sign as a name."""
    start = next((place for place, token in enumerate(tokens) if token.text in ("(", "[")), 0)
    head = [token for token in tokens[:start] if token.text not in ("mathbb", "{", "}")]
    if len(head) != 1 or head[0].kind not in ("letter", "word") or matching(tokens, start) != len(tokens) - 1:
        return None
    if head[0].kind == "letter" and not head[0].text.isupper():
        return None
    return Text(words_of(tokens).replace(" ", ""))


def _counted(tokens: list[Token], words: str) -> Value | None:
    """Read "five apples" and 五个."""
    for end in range(min(len(tokens) - 1, 5), 0, -1):
        number = words_number(words_of(tokens[:end]))
        if number is not None and is_label(tokens[end:]):
            return Quantity(number, "", words_of(tokens[end:]))
    measured = _MEASURED.fullmatch(words)
    number = words_number(measured[1]) if measured else None
    return None if number is None or measured is None else Quantity(number, "", measured[2])


_MEASURED = re.compile(r"([零一二两三四五六七八九十百千万亿]+)([个只本条人元次天年种支张块棵辆位头朵件]\w{0,4})")


def _whole_expression(tokens: list[Token]) -> Expression:
    grammar = Grammar(tokens)
    value = grammar.sum()
    after = grammar.tokens[grammar.place :]
    value, after = scaled(value, after)
    if after and not (unit_named(words_of(after)) or is_label(after)):
        raise Unreadable(f"{words_of(after)[:40]!r} is left over")
    return value
