"""Wrong programs made from right ones: mutants that still are programs, and damaged text that mostly is none.

`mutants(source)` changes one place of the syntax tree at a time: an operator, a comparison, a constant, a condition, a
statement, what is returned. Whether the change matters is for the tests of the program to say. `damaged(sources, ...)`
breaks the text itself. Both are deterministic.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed program."""

    kind: str
    """What was done: compare, operator, constant, negate, drop, return, boolean, argument, or off by one."""
    line: int
    """Line of the original where it was done."""
    source: str
    """The changed program."""


_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

Change = tuple[str, Callable[[ast.AST], None]]
"""Its kind, and what changes the node, in place or in its parent's field."""


def mutants(source: str) -> Iterator[Mutant]:
    """Yield each mutant of a program whose text differs from it, in the order of its nodes.

    Raises SyntaxError if the source is no program.
    """
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for place, node in enumerate(ast.walk(tree)):
        for number, (kind, _) in enumerate(_changes(node)):
            changed = copy.deepcopy(tree)
            twin = _nth(changed, place)
            _changes(twin)[number][1](twin)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text not in seen:
                seen.add(text)
                yield Mutant(kind=kind, line=getattr(node, "lineno", 0), source=text)


def sampled(source: str, most: int, seed: str) -> list[Mutant]:
    """Return at most so many mutants of a program, of as many kinds as there are."""
    found = list(mutants(source))
    Random(seed).shuffle(found)
    turn: dict[str, int] = {}
    ranked = []
    for mutant in found:
        turn[mutant.kind] = turn.get(mutant.kind, -1) + 1
        ranked.append((turn[mutant.kind], mutant))
    return [mutant for _, mutant in sorted(ranked, key=lambda pair: pair[0])][:most]


def damaged(sources: Sequence[str], count: int, seed: int = 0) -> Iterator[str]:
    """Yield so many texts, each a program with one to four damages."""
    random = Random(f"damaged {seed}")
    for _ in range(count):
        text = random.choice(sources)
        for _ in range(random.randint(1, 4)):
            text = random.choice(_DAMAGES)(text, random)
        yield text


def _nth(tree: ast.AST, place: int) -> ast.AST:
    return next(node for number, node in enumerate(ast.walk(tree)) if number == place)


def _changes(node: ast.AST) -> list[Change]:
    """Return the changes of one node, in an order that depends on nothing but the node."""
    changes: list[Change] = []
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _SWAPPED:
        changes.append(("operator", _swap_operator))
    if isinstance(node, ast.BoolOp):
        changes.append(("boolean", _swap_operator))
    if isinstance(node, ast.Compare):
        changes.append(("compare", _swap_comparison))
        changes.append(("off by one", _shift_comparison))
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        changes += [("constant", lambda n: _replace_constant(n, 1)), ("constant", lambda n: _replace_constant(n, -1))]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        changes.append(("constant", lambda n: setattr(n, "value", n.value[:-1])))
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        changes.append(("negate", _negate))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        changes.append(("negate", lambda n: setattr(n, "op", ast.UAdd() if isinstance(n.op, ast.USub) else ast.Not())))
    if isinstance(node, ast.Return) and node.value is not None:
        changes.append(("return", lambda n: setattr(n, "value", ast.Constant(None))))
        changes.append(("return", _wrap_return))
    if isinstance(node, ast.Call) and len(node.args) >= 2:
        changes.append(("argument", lambda n: setattr(n, "args", [n.args[1], n.args[0], *n.args[2:]])))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        changes.append(("off by one", _shorten_range))
    body = getattr(node, "body", None)
    if isinstance(body, list) and not isinstance(node, ast.ClassDef):
        changes += [("drop", lambda n, i=i: _drop(n, i)) for i in range(len(body)) if _may_go(body[i])]
    return changes


def _swap_operator(node: ast.AST) -> None:
    node.op = _SWAPPED[type(node.op)]()  # type: ignore[attr-defined]


def _swap_comparison(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops[0] = _SWAPPED[type(node.ops[0])]()  # type: ignore[assignment]


def _shift_comparison(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    if isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
        node.comparators[0] = ast.BinOp(node.comparators[0], ast.Add(), ast.Constant(1))


def _replace_constant(node: ast.AST, step: int) -> None:
    assert isinstance(node, ast.Constant)
    node.value = not node.value if isinstance(node.value, bool) else node.value + step  # type: ignore[operator]


def _negate(node: ast.AST) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)  # type: ignore[attr-defined]


def _wrap_return(node: ast.AST) -> None:
    node.value = ast.List([node.value], ast.Load())  # type: ignore[attr-defined]


def _shorten_range(node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    if node.args:
        stop = min(1, len(node.args) - 1)
        node.args[stop] = ast.BinOp(node.args[stop], ast.Sub(), ast.Constant(1))


def _may_go(statement: ast.stmt) -> bool:
    """Return whether a statement does something that can be left out; without imports nothing else is tried."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Pass)
    return not is_text and not isinstance(statement, kept)


def _drop(node: ast.AST, place: int) -> None:
    node.body[place] = ast.Pass()  # type: ignore[attr-defined]


_JUNK = (
    "\0",
    "\ud800",
    "\u202e",
    "é",
    "👩‍👩‍👧",
    "\x1b[2J",
    "\r",
    "\t",
    "\ufeff",
    "𝟙",
    "１",
    "```",
    "```python\n",
    "</think>",
    "\x0c",
)
_TOKENS = (
    *"()[]{}:,.;@=+-*/%&|^~<>\\\"'`#!?$",
    *("def ", "return ", "lambda ", "while True: ", "import ", "yield ", "await ", "del ", "raise ", "class "),
    *("not ", "async ", "match ", "f'{", "**", "->", ":=", "...", "None", "0x", "1e999", "9" * 400, "print(", "exit()"),
)


def _flip(text: str, random: Random) -> str:
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return data.decode("utf-8", "surrogateescape")


def _cut(text: str, random: Random) -> str:
    return text[: random.randint(0, len(text))]


def _repeat_line(text: str, random: Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    place = random.randrange(len(lines))
    return "".join([*lines[:place], lines[place] * random.randint(2, 5), *lines[place + 1 :]])


def _swap_lines(text: str, random: Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return "".join(lines)


def _remove(text: str, random: Random) -> str:
    start = random.randint(0, len(text))
    return text[:start] + text[start + random.randint(1, 20) :]


def _insert(pieces: Sequence[str]) -> Callable[[str, Random], str]:
    def insert(text: str, random: Random) -> str:
        place = random.randint(0, len(text))
        return text[:place] + random.choice(pieces) * random.choice((1, 1, 1, 3)) + text[place:]

    return insert


_DAMAGES: tuple[Callable[[str, Random], str], ...] = (
    _flip,
    _cut,
    _repeat_line,
    _swap_lines,
    _remove,
    _insert(_TOKENS),
    _insert(_JUNK),
)
