"""Random mathematical text: trees of expressions, the ways to spell one, mutations, and junk.

Everything is a function of a `random.Random`. Expressions are defined (no division by zero, no root of what is
negative) at the point `AT`, where their value is known.
"""

import math
from random import Random

AT = {"x": 1.37, "y": 0.71, "n": 3.19, "\\theta": 0.43}

TOKENS = (
    *"0123456789", *"+-*/=<>()[]{}|,.;:!?'\"^_&%$#~`\\@", *"xyznabekitfABCNQR", *" \n\t",
    *"½²³⁴π√∞±≤≥≠∅∪×÷·°−–，。：（）１２３",
    "\\frac", "\\dfrac", "\\frac{1}{2}", "\\frac12", "\\sqrt", "\\sqrt{2}", "\\sqrt[3]", "\\left(", "\\right)",
    "\\left[", "\\right]", "\\left\\{", "\\right\\}", "\\{", "\\}", "\\pi", "\\infty", "\\cdot", "\\times",
    "\\div", "\\pm", "\\mp", "\\cup", "\\cap", "\\in", "\\le", "\\ge", "\\leq", "\\neq", "\\approx", "\\to",
    "\\sin", "\\cos", "\\tan", "\\log", "\\ln", "\\log_2", "\\arctan", "\\exp", "\\binom{5}{2}",
    "\\sum_{k=1}^{3}", "\\int_0^1", "\\prod", "\\lim", "\\text{", "\\text{ cm}", "\\mathrm{", "\\mathbb{R}",
    "\\overline{3}", "\\circ", "^\\circ", "^2", "^{-1}", "_4", "_{10}", "\\%", "\\$", "\\,", "\\!", "\\;",
    "\\quad", "\\\\", "\\begin{pmatrix}", "\\end{pmatrix}", "\\begin{cases}", "\\end{cases}", "\\boxed{",
    "\\boxed", "</think>", "<think>", "<answer>", "</answer>", "####", "A: ", "The answer is ", "答案是", "**",
    "```", "$$", "\\(", "\\)", "\\[", "\\]", " or ", " and ", "或", " km", " hours", "AM", "p.m.", "12:30",
    "1,000", "1e9", "0x1F", "9^{9^{9}}", "100!", "10^{100}", "e^{i\\pi}", "x_1", "f(x)", "f'(x)", "None",
    "nan", "true", "__import__('os')", "lambda", "\x00", "\u200b", "\u202e", "\ud800", "\U0001f600", "１", "千",
    "Ⅳ", "½",
)  # fmt: skip


def tree(random: Random, depth: int = 3, *, letters: bool = True):
    """Return a random expression as nested tuples."""
    while True:
        made = _tree(random, random.randint(1, depth), letters)
        value = evaluate(made)
        if value is not None and abs(value) < 1e9:
            return made


def evaluate(node):
    """Return the value at `AT`, None where it is not defined or nearly so."""
    kind, *parts = node
    if kind == "int":
        return float(parts[0])
    if kind == "name":
        return math.pi if parts[0] == "\\pi" else AT[parts[0]]
    values = [evaluate(part) if isinstance(part, tuple) else part for part in parts]
    if any(value is None or abs(value) > 1e12 for value in values):
        return None
    return _RULES[kind](*values)


def spell(node, random: Random) -> str:
    """Write an expression in one of the ways that all mean the same."""
    kind, *parts = node
    if kind == "int":
        return str(parts[0])
    if kind == "name":
        return parts[0]
    gap = random.choice(["", " ", " ", "\\,", "  "])
    if kind in ("add", "sub"):
        right = spell(parts[1], random)
        if parts[1][0] in ("add", "sub", "neg") or right.startswith("-"):
            right = _bracketed(right, random)
        return f"{spell(parts[0], random)}{gap}{'+' if kind == 'add' else '-'}{gap}{right}"
    if kind == "mul":
        left, right = (_factor(part, random) for part in parts)
        is_close = right[0] in "(xyn" and parts[0][0] in ("int", "name", "frac") and parts[0] != ("name", "\\theta")
        sign = random.choice([" ", "\\cdot ", "\\times "] if is_close else ["\\cdot ", " \\cdot ", "\\times "])
        return f"{left}{sign}{right}"
    if kind == "frac":
        above, below = (spell(part, random) for part in parts)
        if random.random() < 0.15:
            return f"(({above})/({below}))"
        command = random.choice(["\\frac", "\\dfrac", "\\tfrac"])
        return f"{command}{{{above}}}{random.choice(['', ' '])}{{{below}}}"
    if kind == "pow":
        base = parts[0] if parts[0][0] == "name" or (parts[0][0] == "int" and parts[0][1] >= 0) else None
        written = spell(base, random) if base else _bracketed(spell(parts[0], random), random)
        return f"{written}^{{{parts[1]}}}" if parts[1] > 9 or random.random() < 0.6 else f"{written}^{parts[1]}"
    if kind == "neg":
        return f"-{_bracketed(spell(parts[0], random), random)}"
    inner = spell(parts[0], random)
    if kind == "abs":
        return f"\\left|{inner}\\right|" if "|" in inner or random.random() < 0.5 else f"|{inner}|"
    if kind in ("sqrt", "cbrt"):
        root = "\\sqrt[3]" if kind == "cbrt" else "\\sqrt"
        return f"{root}{{{gap}{inner}}}"
    return f"\\{kind}{_bracketed(inner, random)}"


def thing(random: Random):
    """Return two spellings of one random answer of any type: expression, tuple, set, interval, relation, matrix."""
    kind = random.choice(["expression"] * 4 + ["tuple", "set", "interval", "relation", "matrix"])
    nodes = [tree(random, 2, letters=kind == "expression") for _ in range(random.randint(2, 3))]
    one, two = ([spell(node, random) for node in nodes] for _ in range(2))
    if kind == "expression":
        return spell(nodes[0], random), spell(nodes[0], random)
    if kind == "tuple":
        return f"({', '.join(one)})", f"\\left( {','.join(two)} \\right)"
    if kind == "set":
        return f"\\{{{', '.join(one)}\\}}", f"\\left\\{{ {','.join(reversed(two))} \\right\\}}"
    if kind == "interval":
        low, high = sorted(random.sample(range(-50, 50), 2))
        left, right = random.choice("(["), random.choice(")]")
        return f"{left}{low}, {high}{right}", f"\\left{left} {low},\\,{high} \\right{right}"
    if kind == "relation":
        sign, other = random.choice([("\\le", "\\leq"), ("<", "<"), (">", ">"), ("\\ge", "\\geq")])
        return f"x {sign} {one[0]}", f"x{other} {two[0]}"
    rows = [f"{first} & {second}" for first, second in ((one[0], one[1]), (two[1], two[0]))]
    others = [f"{first}&{second}" for first, second in ((two[0], two[1]), (one[1], one[0]))]
    return _matrix(" \\\\ ".join(rows)), _matrix("\\\\".join(others))


def spell_integer(number: int, random: Random) -> str:
    """Write an integer in one of many ways, exactly."""
    grouped = f"{number:,}"
    factor = random.choice([2, 3, 7, 10])
    shift = random.randint(1, 99)
    ways = [
        str(number), grouped, grouped.replace(",", "{,}"), grouped.replace(",", ",\\!"), f"{number}.0", f"{number}.",
        f"\\frac{{{number * factor}}}{{{factor}}}", f"{number * factor}/{factor}", f"{number + shift} - {shift}",
        f"{number - shift}+{shift}", f"\\left({number}\\right)", f"{{{number}}}", f"\\text{{{number}}}", f"${number}$",
        f"{number}^1", f"{number}\\cdot 1", str(number).translate({48 + d: 0xFF10 + d for d in range(10)}),
    ]  # fmt: skip
    if number >= 0:
        ways += [f"\\sqrt{{{number * number}}}", f"|{-number}|", f"+{number}"]
    return random.choice(ways)


def mutate(text: str, random: Random) -> str:
    """Damage a text in one to three places."""
    for _ in range(random.randint(1, 3)):
        at, size = random.randint(0, len(text)), random.randint(0, 6)
        kind = random.randrange(5)
        if kind == 0:
            text = text[:at] + random.choice(TOKENS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + size :]
        elif kind == 2:
            text = text[:at] + text[at : at + size] * random.randint(2, 4) + text[at + size :]
        elif kind == 3:
            text = text[:at] + text[at : at + size][::-1] + text[at + size :]
        else:
            text = text[:at] + random.choice(TOKENS) + text[at + 1 :]
    return text


def junk(random: Random) -> str:
    """Return a random run of pieces of LaTeX."""
    return "".join(random.choices(TOKENS, k=min(60, int(random.expovariate(0.08)) + 1)))


def wrapped(answer: str, random: Random) -> str:
    """Return a completion with the answer in it."""
    return (
        random.choice(["\\boxed{%s}"] * 6 + ["%s", "The answer is %s.", "A: %s", "$%s$", "</think> **%s**", "#### %s"])
        % answer
    )


def _tree(random: Random, depth: int, letters: bool):
    if depth == 0 or random.random() < 0.12:
        return _leaf(random, letters)
    kind = random.choice(
        ["add", "sub", "mul", "mul", "frac", "frac", "pow", "sqrt", "neg", "sin", "cos", "ln", "abs", "cbrt"]
    )
    if kind in ("add", "sub", "mul", "frac"):
        return (kind, _tree(random, depth - 1, letters), _tree(random, depth - 1, letters))
    if kind == "pow":
        return ("pow", _tree(random, depth - 1, letters), random.choice([1, 2, 2, 3, 3, 4, 5, 10]))
    return (kind, _tree(random, depth - 1, letters))


def _leaf(random: Random, letters: bool):
    kind = random.random()
    if letters and kind < 0.4:
        return ("name", random.choice(list(AT)))
    if kind < 0.5:
        return ("name", "\\pi")
    return ("int", random.choice([random.randint(0, 12), random.randint(0, 12), random.randint(0, 1000), 10**6 + 3]))


def _bracketed(text: str, random: Random) -> str:
    return random.choice([f"({text})", f"\\left({text}\\right)", f"( {text} )"])


def _factor(node, random: Random) -> str:
    text = spell(node, random)
    return _bracketed(text, random) if node[0] in ("add", "sub", "neg") or text.startswith("-") else text


def _matrix(inner: str) -> str:
    return f"\\begin{{pmatrix}} {inner} \\end{{pmatrix}}"


def _power(base: float, exponent: int) -> float | None:
    return base**exponent if abs(base) < 1e3 else None


_RULES = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "frac": lambda a, b: a / b if abs(b) > 1e-6 else None,
    "pow": _power,
    "sqrt": lambda a: math.sqrt(a) if a > 1e-6 else None,
    "cbrt": lambda a: a ** (1 / 3) if a > 1e-6 else None,
    "neg": lambda a: -a,
    "abs": abs,
    "sin": math.sin,
    "cos": math.cos,
    "ln": lambda a: math.log(a) if a > 1e-6 else None,
}
