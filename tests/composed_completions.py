"""Ordinary completions that repeat themselves as much as ordinary text does.

`compose(seed)` writes one: reasoning and an answer, out of blocks in which nothing is wrong though much is equal:
tables, zero matrices, long numbers, rules, refrains. No test of loops may take one for a loop. How far each block goes
is what people and models write: six equal rows, forty equal terms, a hundred digits, rules of a page's width (of a
line's where a mark may be three tokens).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

Block = Callable[[random.Random], str]


def compose(seed: int) -> str:
    """Write the completion of a seed: three to seven blocks, joined by sentences."""
    rng = random.Random(f"completion {seed}")
    parts = []
    for block in rng.sample(BLOCKS, rng.randint(3, 7)):
        parts.append(_lead(rng) + block(rng))
        if rng.random() < 0.5:
            parts.append(_aside(rng))
    answer = rng.choice(["So the answer is", "Therefore, we get", "因此答案是"])
    return "<think>\n" + "\n\n".join(parts) + f"\n</think>\n\n{answer} $\\boxed{{{rng.randint(-99, 999)}}}$."


def _lead(rng: random.Random) -> str:
    leads = ["", "Let me write it down:\n\n", "Here it is.\n", "We have\n", "First, ", "接下来，", "Now I list them:\n"]
    return rng.choice(leads)


def _aside(rng: random.Random) -> str:
    number, other = rng.randint(2, 99), rng.randint(2, 99)
    return rng.choice(
        [
            f"Wait, let me check: {number} + {other} = {number + other}. Yes.",
            f"Wait, let me check again. {number} times {other} is {number * other}, as before.",
            f"Let me verify: {number}^2 = {number**2}. Good.",
            f"Hmm, wait. If x = {number}, then 2x = {2 * number}. OK.",
            f"让我再检查一遍：{number} × {other} = {number * other}。没问题。",
            "Wait, no. Wait. Let me think again.",
            "Wait, let me check. Wait, let me check that once more.",
        ]
    )


def _name(rng: random.Random) -> str:
    return rng.choice(["Anna", "Ben", "Chen", "Dora", "Emil", "小明", "小红"])


# Tables and matrices.


def markdown_table(rng: random.Random) -> str:
    """Write a table with a column of keys, in which all other cells may be equal."""
    columns, rows = rng.randint(1, 7), rng.randint(2, 14)
    cell = rng.choice(["0", "-", "✓", " ", "1", "N/A", "x", "0.0", "yes"])
    rule = rng.choice(["---", ":---:", "-----", "----------"])
    lines = ["| n |" + "".join(f" c{i} |" for i in range(columns)), "|---|" + f"{rule}|" * columns]
    for row in range(rows):
        cells = [cell if rng.random() < 0.95 else str(rng.randint(0, 9)) for _ in range(columns)]
        lines.append(f"| {row + 1} |" + "".join(f" {c} |" for c in cells))
    return "\n".join(lines)


def equal_rows(rng: random.Random) -> str:
    """Write a table of up to six rows that are all equal, without keys."""
    cell, columns = rng.choice(["0", "-", "", "1", "?", "empty"]), rng.randint(2, 6)
    row = "|" + f" {cell} |" * columns
    return "\n".join(["|" + " a |" * columns, "|" + "---|" * columns, *[row] * rng.randint(2, 6)])


def zero_matrix(rng: random.Random) -> str:
    """Write a matrix in which all entries are equal."""
    size, entry = rng.randint(2, 6), rng.choice(["0", "0", "1", "-1", "a", "x_1"])
    row = " & ".join([entry] * rng.choice([size, size, rng.randint(1, 6)]))
    kind = rng.choice(["pmatrix", "bmatrix", "vmatrix"])
    return f"\\[\n\\begin{{{kind}}}\n" + " \\\\\n".join([row] * size) + f"\n\\end{{{kind}}}\n\\]"


def identity_matrix(rng: random.Random) -> str:
    """Write an identity, scaled or shifted, up to 10 by 10."""
    size, one, shift = rng.randint(2, 10), rng.choice(["1", "1", "-1", "\\lambda", "2"]), rng.choice([0, 0, 1])
    rows = [" & ".join(one if j == i + shift else "0" for j in range(size)) for i in range(size)]
    return "$$I = \\begin{bmatrix} " + " \\\\ ".join(rows) + " \\end{bmatrix}$$"


def board(rng: random.Random) -> str:
    """Draw an empty board with perhaps a piece or two."""
    size, empty = rng.randint(3, 10), rng.choice([".", "0", "_", "#"])
    rows = [[empty] * size for _ in range(size)]
    for _ in range(rng.randint(0, 2)):
        rows[rng.randrange(size)][rng.randrange(size)] = rng.choice("QX1")
    return "```\n" + "\n".join(rng.choice([" ", " ", ""]).join(row) for row in rows) + "\n```"


def drawn_grid(rng: random.Random) -> str:
    """Draw a grid of lines."""
    columns, rows = rng.randint(2, 8), rng.randint(1, 6)
    rule, line = "+---" * columns + "+", "|   " * columns + "|"
    return "\n".join([rule, *[line, rule] * rows])


def truth_table(rng: random.Random) -> str:
    """Write out a truth table of up to four variables."""
    size = rng.randint(2, 4)
    false, true = rng.choice([("F", "T"), ("0", "1"), ("False", "True")])
    rows = [[true if i >> k & 1 else false for k in range(size)] for i in range(2**size)]
    return "\n".join("| " + " | ".join([*row, true if any(v == true for v in row) else false]) + " |" for row in rows)


def json_rows(rng: random.Random) -> str:
    """Write JSON: lists of zeros, objects that differ in their ids, up to six that do not differ."""
    if rng.random() < 0.4:
        return json.dumps({"dp": [rng.choice([0, 0, -1])] * rng.randint(5, 40)})
    if rng.random() < 0.5:
        return json.dumps([{"x": 0, "y": 0, "ok": True}] * rng.randint(2, 6), indent=rng.choice([None, 2]))
    return json.dumps(
        [{"id": i, "value": 0, "tags": []} for i in range(rng.randint(3, 20))], indent=rng.choice([None, 2])
    )


def rows_of_values(rng: random.Random) -> str:
    """Write comma-separated rows of zeros with keys."""
    columns = rng.randint(2, 10)
    return "\n".join(f"2024-01-{i + 1:02d}" + ",0" * columns for i in range(rng.randint(4, 20)))


def hex_dump(rng: random.Random) -> str:
    """Dump a few lines of zero bytes, with their addresses."""
    return "\n".join(f"{i * 16:08x}: " + "00 " * 15 + f"0{rng.randint(0, 3)}" for i in range(rng.randint(1, 8)))


# Numbers.


def long_number(rng: random.Random) -> str:
    """Write a power, a factorial, a googol or a repunit in full."""
    n = rng.randint(10, 100)
    kind = rng.randrange(6)
    if kind == 0:
        return f"$2^{{{n}}} = {2**n}$"
    if kind == 1:
        product = 1
        for i in range(2, n // 2 + 1):
            product *= i
        return f"{n // 2}! = {product}"
    if kind == 2:
        return f"$10^{{{n}}}$ is 1" + "0" * n
    if kind == 3:
        return f"10^{n} in groups is 1" + ",000" * (n // 3)
    if kind == 4:
        return f"the number {rng.choice('123456789') * n}, with {n} digits"
    return f"11^{n} = {11**n}"


def decimal_expansion(rng: random.Random) -> str:
    """Write a recurring decimal to up to a hundred digits."""
    above, below = rng.choice(
        [(1, 3), (2, 3), (1, 7), (1, 9), (1, 11), (5, 37), (1, 13), (1, 6), (22, 7), (1, 99), (3, 101)]
    )
    digits = rng.randint(6, 100)
    whole = str(above * 10**digits // below)
    return f"{above}/{below} = {whole[:-digits] or '0'}.{whole[-digits:].zfill(digits)}..."


def binary_expansion(rng: random.Random) -> str:
    """Write a binary number of up to 64 digits, whole or in groups."""
    length = rng.randint(8, 64)
    digits = rng.choice(["1" * length, "10" * (length // 2), "1" + "0" * (length - 1), f"{rng.getrandbits(length):b}"])
    if rng.random() < 0.5:
        digits = " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))
    return f"In binary this is {digits}."


def equal_terms(rng: random.Random) -> str:
    """Write out a sum or product of equal terms."""
    term = rng.choice(["1", "2", "x", "1/2", "0.5", "5"])
    if rng.random() < 0.4:
        return "$" + " \\times ".join([term] * rng.randint(3, 16)) + "$"
    return (
        rng.choice([" + ", " * ", "*", "+", " × "]).join([term] * rng.randint(3, 28 if len(term) > 1 else 40)) + " = ?"
    )


def cycle(rng: random.Random) -> str:
    """Write the first terms of a sequence that repeats."""
    terms = rng.choice([["1", "-1"], ["2", "4", "8", "6"], ["3", "2", "6", "4", "5", "1"], ["0", "1", "1"], ["a", "b"]])
    return "The sequence is " + ", ".join(terms[i % len(terms)] for i in range(rng.randint(8, 40))) + ", ..."


def flips(rng: random.Random) -> str:
    """Write outcomes of coins or letters of a strand."""
    return rng.choice(["HT", "TTH", "H", "ACGT", "AB", "LR", "ha"]) * rng.randint(3, 20)


def multiplication_table(rng: random.Random) -> str:
    """Write the multiplication table of a number, or all of it."""
    n = rng.randint(2, 12)
    if rng.random() < 0.7:
        sign = rng.choice(["×", "*", "\\times", "times"])
        return "\n".join(f"{n} {sign} {i} = {n * i}" for i in range(1, rng.randint(8, 20)))
    return "\n".join("  ".join(f"{i * j:3d}" for j in range(1, n + 1)) for i in range(1, n + 1))


def counting(rng: random.Random) -> str:
    """Count up, in figures, in binary or with tallies."""
    kind = rng.randrange(4)
    if kind == 0:
        return ", ".join(str(i) for i in range(1, rng.randint(20, 150)))
    if kind == 1:
        return "\n".join(f"{i:04b}" for i in range(16))
    if kind == 2:
        return "Tally: " + " ".join(["|||||"] * rng.randint(2, 20)) + " ||"
    return "\n".join(f"({i}, {j})" for i in range(rng.randint(2, 7)) for j in range(rng.randint(2, 7)))


def collatz(rng: random.Random) -> str:
    """Follow a sequence step by step."""
    n, lines = rng.randint(5, 60), []
    while n != 1 and len(lines) < 40:
        after = n // 2 if n % 2 == 0 else 3 * n + 1
        lines.append(f"{n} is {'even' if n % 2 == 0 else 'odd'}, so next we get {after}.")
        n = after
    return "\n".join(lines)


# LaTeX.


def aligned(rng: random.Random) -> str:
    """Solve an equation line by line."""
    a, x = rng.randint(2, 9), rng.randint(2, 9)
    lines = [f"{a}x + {b} &= {a * x + b} \\\\" for b in range(1, rng.randint(3, 12))]
    return "\\begin{align*}\n" + "\n".join(lines) + f"\nx &= {x}\n\\end{{align*}}"


def spaced(rng: random.Random) -> str:
    """Use many spaces of LaTeX."""
    space = rng.choice(["\\quad ", "\\quad", "\\qquad ", "~", "\\,", "\\; ", "&"])
    return f"$a {space * rng.randint(2, 12)} b$ and $x = 1 {space * 2} y = 2 {space * 2} z = 3$"


def nested(rng: random.Random) -> str:
    """Nest fractions, roots, parentheses or exponents."""
    depth = rng.randint(3, 10)
    start, end = rng.choice(
        [("1+\\cfrac{1}{", "}"), ("\\sqrt{2+", "}"), ("(", ")"), ("f(", ")"), ("2^{", "}"), ("\\left(", "\\right)")]
    )
    return f"$x = {start * depth}1{end * depth}$"


def array_rules(rng: random.Random) -> str:
    """Write an array with rules between its rows."""
    columns = rng.randint(2, 8)
    rows = [f"{i} & " + " & ".join(str(i * j % 3) for j in range(1, columns)) for i in range(rng.randint(2, 8))]
    return (
        f"\\begin{{array}}{{{'|c' * columns}|}}\n\\hline\n"
        + " \\\\ \\hline\n".join(rows)
        + " \\\\ \\hline\n\\end{array}"
    )


def dots(rng: random.Random) -> str:
    """Use dots: an ellipsis, a gap to fill in, a table of contents."""
    if rng.random() < 0.5:
        return "Hmm" + "." * rng.randint(3, 40) + " " + "_" * rng.randint(5, 40) + " (fill in)"
    return "\n".join(f"Chapter {i} " + "." * (60 - i) + f" {i * 7}" for i in range(1, rng.randint(3, 9)))


def rules(rng: random.Random) -> str:
    """Draw rules of dashes, equal signs or stars."""
    mark, longest = rng.choice(
        [*zip(["-", "=", "*", "~", "#", "- ", "* * "], [120] * 7, strict=True), ("—", 50), ("─", 50)]
    )
    length = rng.randint(3, longest)
    return f"{(mark * length)[:length]}\nResult\n{(mark * length)[:length]}"


def blank_lines(rng: random.Random) -> str:
    """Leave lines empty and indent deeply."""
    return (
        "first" + "\n" * rng.randint(2, 25) + " " * rng.randint(4, 60) + "second" + "\t" * rng.randint(1, 12) + "third"
    )


# Code.


def repeated_lines(rng: random.Random) -> str:
    """Write code in which up to six lines in a row are equal."""
    line = rng.choice(["print()", "x = x * 2", "count += 1", "stack.pop()", "next(it)", "    [0, 0, 0, 0, 0],", "pass"])
    indent = " " * (4 * rng.randint(0, 4))
    return "```python\ndef f(x):\n" + "\n".join([indent + line] * rng.randint(2, 6)) + "\n    return x\n```"


def similar_lines(rng: random.Random) -> str:
    """Write code whose lines differ little."""
    kind = rng.randrange(3)
    if kind == 0:
        lines = [f"assert f({i}) == {i * i}" for i in range(rng.randint(4, 20))]
    elif kind == 1:
        lines = [f"    elif x == {i}:\n        return {i % 3}" for i in range(rng.randint(4, 12))]
    else:
        lines = [f"    grid[{i}][{j}] = 0" for i in range(rng.randint(2, 6)) for j in range(rng.randint(2, 6))]
    return "```python\n" + "\n".join(lines) + "\n```"


def closing_brackets(rng: random.Random) -> str:
    """Nest blocks and close them again."""
    depth = rng.randint(3, 10)
    opened = [" " * (4 * i) + f"for (int i{i} = 0; i{i} < n; i{i}++) {{" for i in range(depth)]
    return "```c\n" + "\n".join(opened + [" " * (4 * i) + "}" for i in reversed(range(depth))]) + "\n```"


def initialised(rng: random.Random) -> str:
    """Initialise a grid of zeros in code."""
    columns = rng.randint(2, 10)
    row = "    [" + ", ".join([rng.choice(["0", "0", "None", "1"])] * columns) + "],"
    return "```python\ngrid = [\n" + "\n".join([row] * rng.randint(2, 6)) + "\n]\n```"


def log_lines(rng: random.Random) -> str:
    """Trace a program's steps."""
    return "\n".join(f"i={i}: total = {3 * i}, rest = {100 - 3 * i}, found = False" for i in range(rng.randint(5, 25)))


# Prose.


def steps(rng: random.Random) -> str:
    """Enumerate steps."""
    mark = rng.choice(["Step {}:", "{}.", "({})", "**Step {}.**", "第{}步："])
    return "\n".join(f"{mark.format(i)} Add {i} to the sum and continue." for i in range(1, rng.randint(4, 25)))


def checks(rng: random.Random) -> str:
    """Verify one number after the other in the same words."""
    words = rng.choice(
        [
            "Let me verify {0}: {0} mod 7 is {1}, so it does not work.",
            "Let me check n = {0}. Then {0} squared is {2}. Not a solution.",
            "Wait, let me check {0} again. It gives {2}.",
            "验证 n = {0}：{0} 的平方是 {2}，不满足条件。",
        ]
    )
    lines = [words.format(i, i % 7, i * i) for i in range(rng.randint(1, 40), rng.randint(44, 60))]
    return rng.choice(["\n", " ", "\n\n"]).join(lines)


def cases(rng: random.Random) -> str:
    """Prove by cases."""
    n = rng.randint(3, 12)
    return "\n\n".join(
        f"**Case {i}:** $n \\equiv {i} \\pmod{{{n}}}$. Then $n^2 \\equiv {i * i % n} \\pmod{{{n}}}$, and we are done."
        for i in range(n)
    )


def hesitation(rng: random.Random) -> str:
    """Hesitate, with a few equal words in a row."""
    word = rng.choice(["No. ", "Wait. ", "Hmm, ", "Yes, yes, ", "Wait, wait, ", "不对，", "等等，", "ha ", "very "])
    return word * rng.randint(2, 6) + f"it must be {rng.randint(2, 99)}."


def poem(rng: random.Random) -> str:
    """Write verses with a refrain, whose lines may be equal."""
    refrain = rng.choice(
        [
            "Row, row, row your boat,\n",
            "La la la la la la la la,\n",
            "Never, never, never,\n",
            "Hallelujah, hallelujah,\n",
        ]
    )
    things = ["the river", "the mountain", "the winter", "the morning", "the garden", "the harbour"]
    verses = [f"I walked along {thing} and heard it say:\n{refrain * rng.randint(2, 4)}" for thing in things]
    return "\n".join(verses[: rng.randint(2, 6)])


def bottles(rng: random.Random) -> str:
    """Sing a counting song."""
    first = rng.randint(5, 99)
    verse = "{0} bottles of milk on the wall, {0} bottles of milk. Take one down, pass it around, {1} bottles of milk."
    return "\n".join(verse.format(i, i - 1) for i in range(first, first - rng.randint(2, 5), -1))


def dialogue(rng: random.Random) -> str:
    """Let two talk, briefly and alike."""
    one, other = _name(rng), _name(rng)
    lines = []
    for i in range(rng.randint(3, 12)):
        lines += [f"{one}: Is it {i * 3}?", f"{other}: {rng.choice(['No.', 'No.', 'No.', 'Colder.'])}"]
    return "\n".join(lines)


def chinese(rng: random.Random) -> str:
    """Reason in Chinese."""
    name, a = _name(rng), rng.randint(3, 9)
    lines = [f"{name}第{i}天读了{a * i}页，一共读了{a * i * (i + 1) // 2}页。" for i in range(1, rng.randint(4, 15))]
    return "".join(lines) + "哈" * rng.randint(1, 12) + "，其实很简单。"


def options(rng: random.Random) -> str:
    """Go through the options of a question."""
    lines = [
        f"({letter}) is {rng.choice(['wrong', 'wrong', 'possible'])}, because {i + 2} is not prime."
        for i, letter in enumerate("ABCDEFGH")
    ]
    return "\n".join(lines[: rng.randint(4, 8)])


def checklist(rng: random.Random) -> str:
    """Tick off a list."""
    return "\n".join(f"- [{rng.choice(' x')}] item {i}" for i in range(rng.randint(3, 25)))


def answers(rng: random.Random) -> str:
    """Give short answers that are mostly equal."""
    return "\n".join(f"{i}. {rng.choice(['True', 'True', 'True', 'False'])}" for i in range(1, rng.randint(5, 30)))


def shares(rng: random.Random) -> str:
    """Compute the same for several people."""
    price = rng.randint(2, 20)
    people = rng.sample(["Ann", "Bob", "Cem", "Dan", "Eva", "Fay", "Gus", "Hal", "Ida", "Jon"], rng.randint(3, 10))
    return " ".join(f"{who} pays ${price} for the ticket and ${price // 2} for the drink." for who in people)


BLOCKS: tuple[Block, ...] = (
    *(markdown_table, equal_rows, zero_matrix, identity_matrix, board, drawn_grid, truth_table, json_rows),
    *(rows_of_values, hex_dump, long_number, decimal_expansion, binary_expansion, equal_terms, cycle, flips),
    *(multiplication_table, counting, collatz, aligned, spaced, nested, array_rules, dots, rules, blank_lines),
    *(repeated_lines, similar_lines, closing_brackets, initialised, log_lines, steps, checks, cases, hesitation, poem),
    *(bottles, dialogue, chinese, options, checklist, answers, shares),
)
"""All kinds of blocks."""
