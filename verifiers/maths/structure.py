"""Find the structure of a list of tokens: brackets, items of a list, sides of a relation.

In: tokens. Out: places and parts of them. What the parts mean is `reader.py`'s business.
"""

from __future__ import annotations

from verifiers.maths.tokens import Token, Unreadable

OPEN = {"(": ")", "[": "]", "\\{": "\\}", "{": "}", "langle": "rangle"}
CLOSE = frozenset(OPEN.values())
RELATIONS = {
    sign: meaning
    for meaning, signs in {
        "=": "=", "<": "<", ">": ">", "<=": "le", ">=": "ge", "!=": "ne", "in": "in", "notin": "notin",
        "~": "approx sim simeq doteq", "==": "equiv cong",
        "->": "to mapsto", "subset": "subset", "subseteq": "subseteq",
        "=>": "Rightarrow implies iff Leftrightarrow leftrightarrow", "propto": "propto",
    }.items()
    for sign in signs.split()
}  # fmt: skip
"""How relations are written, and what they mean."""
JOINTS = {
    word: joint
    for joint, words in {"and": "and 和 与 及 以及 且 并且 land", "or": "or 或 或者 lor"}.items()
    for word in words.split()
}
"""What joins the items of a list."""


def split_list(tokens: list[Token]) -> tuple[list[list[Token]], list[str]]:
    """Split at commas, semicolons, "and" and "or" outside of brackets."""
    pieces: list[list[Token]] = [[]]
    joints: list[str] = []
    depth = environments = 0
    states = any(token.text in RELATIONS for token in tokens)  # else p and q are propositions
    for place, token in enumerate(tokens):
        if token.kind == "command" and token.text in ("begin", "end"):
            environments += 1 if token.text == "begin" else -1
        depth += (token.text in OPEN) - (token.text in CLOSE)
        joint = None
        if depth <= 0 and environments == 0:
            if token.kind == "sign" and token.text in (",", ";"):
                joint = ","
            elif (
                token.text in JOINTS
                and token.kind in ("word", "cjk", "command")
                and (token.kind != "command" or states)
            ):
                joint = JOINTS[token.text]
            elif token.kind == "word" and token.text.lower() in ("and", "or"):
                joint = token.text.lower()
            if joint == "and" and _joins_words(pieces[-1], tokens[place + 1 :]):
                joint = None  # 7 apples and pears
        if joint is None:
            pieces[-1].append(token)
        elif not pieces[-1] and joints and joint in ("and", "or"):
            joints[-1] = joint  # ", and"
        elif not pieces[-1] and not joints and joint in ("and", "or"):
            raise Unreadable(f"it begins with {token.text!r}")
        else:
            joints.append(joint)
            pieces.append([])
    if not pieces[-1] and len(pieces) > 1 and joints[-1] == ",":
        pieces.pop()
        joints.pop()
    return pieces, joints


def depth_of(tokens: list[Token]) -> int:
    """Return how deep brackets are nested."""
    depth = deepest = 0
    for token in tokens:
        depth += (token.text in OPEN) - (token.text in CLOSE)
        deepest = max(deepest, depth)
    return deepest


_ASIDES = frozenset(("where", "for", "with", "when", "provided", "if", "其中", "当"))


def without_aside(tokens: list[Token]) -> list[Token]:
    """Drop the word in front of a condition: "where x > 0"."""
    while len(tokens) > 3 and tokens[0].kind in ("word", "cjk") and tokens[0].text.lower() in _ASIDES:
        tokens = tokens[1:]
    return tokens


def with_remark(tokens: list[Token]) -> list[Token]:
    """Turn "formula (k in Z)" into "formula, k in Z"."""
    if len(tokens) < 5 or tokens[-1].text != ")":
        return tokens
    start = next((place for place in range(len(tokens) - 2, 0, -1) if tokens[place].text == "("), 0)
    inner = tokens[start + 1 : -1]
    if start == 0 or matching(tokens, start) != len(tokens) - 1 or not any(token.text in RELATIONS for token in inner):
        return tokens
    return [*tokens[:start], Token("sign", ","), *inner]


def _joins_words(before: list[Token], after: list[Token]) -> bool:
    """Tell an "and" between the words of one label: a number stands before it, and only words on both sides."""
    if not before or not after or before[0].kind != "number" or len(before) < 2:
        return False
    return all(token.kind in ("word", "letter") and len(token.text) > 1 for token in (*before[1:], *after))


def split_relations(tokens: list[Token]) -> tuple[list[list[Token]], list[str]]:
    """Split at signs of relation outside of brackets; return the sides and the signs."""
    sides: list[list[Token]] = [[]]
    signs: list[str] = []
    depth = 0
    for place, token in enumerate(tokens):
        if (
            place == 1
            and len(tokens) > 2
            and token.kind == "word"
            and token.text == "in"
            and tokens[0].kind == "letter"
        ):
            signs.append("in")
            sides.append([])
            continue
        opens = token.text in OPEN or token.text == "begin" or (token.text == "<" and is_angle_bracket(tokens, place))
        closes = (
            token.text in CLOSE
            or token.text == "end"
            or (token.text == ">" and place == len(tokens) - 1 and place > 0 and is_angle_bracket(tokens, 0))
        )
        depth += opens - closes
        if depth == 0 and not closes and token.kind in ("sign", "command") and token.text in RELATIONS:
            sign = RELATIONS[token.text]
            if signs and not sides[-1] and sign == "=" and signs[-1] in ("<", ">"):
                signs[-1] += "="
                continue
            signs.append(sign)
            sides.append([])
        else:
            sides[-1].append(token)
    return sides, signs


def is_angle_bracket(tokens: list[Token], place: int) -> bool:
    """Tell <1, 2> from a relation: it opens the item and closes it, with a comma inside."""
    return (
        place == 0 and tokens[0].text == "<" and tokens[-1].text == ">" and any(token.text == "," for token in tokens)
    )


def joins_sets(tokens: list[Token], place: int) -> bool:
    """Tell whether a sign joins two sets: \\cup, U between brackets, a minus before braces."""
    token, before, after = tokens[place], tokens[place - 1], tokens[place + 1] if place + 1 < len(tokens) else None
    if after is None:
        return False
    if token.text == "U":
        return before.text in (")", "]", "\\}") and after.text in ("(", "[", "\\{")
    if token.text == "-":
        is_set = after.text == "\\{" or (after.text == "{" and before.text in ("}", "R"))
        return is_set and (before.text in (")", "]", "\\}", "}", "R"))
    return token.kind == "command" or token.text == "\\\\"


def matching(tokens: list[Token], start: int) -> int:
    """Return the place of the bracket that closes the one at `start`, of whatever kind; -1 if none does."""
    depth = 0
    if tokens[start].text == "<":
        return len(tokens) - 1 if is_angle_bracket(tokens, start) else -1
    if tokens[start].text == "]":  # ]a, b[
        return len(tokens) - 1 if tokens[-1].text in ("[", "]") and len(tokens) > 3 else -1
    for place in range(start, len(tokens)):
        text = tokens[place].text
        depth += (text in OPEN) - (text in CLOSE)
        if depth == 0:
            return place
        if text == "[" and place == len(tokens) - 1 and start == 0:  # [a, b[
            return place
    return -1


def is_composed(tokens: list[Token]) -> bool:
    """Tell whether what stands in brackets is more than an expression: a relation, a set."""
    depth = 0
    for token in tokens:
        depth += (token.text in OPEN) - (token.text in CLOSE)
        if (
            depth == 0
            and token.kind in ("sign", "command")
            and (token.text in RELATIONS or token.text in ("cup", "cap", "setminus"))
        ):
            return True
    return tokens[0].text in ("begin", "mathbb") or (
        tokens[0].text in ("\\{", "(", "[") and matching(tokens, 0) == len(tokens) - 1
    )


def is_bars(inner: list[Token], place: int) -> bool:
    """Tell a bar of an absolute value from the bar of a set-builder: the former come in pairs."""
    bars = [at for at, token in enumerate(inner) if token.text == "|"]
    if inner[place].text != "|":
        return False
    return len(bars) % 2 == 0 or (inner[0].text == "|" and bars.index(place) < 2)


def environment(tokens: list[Token], place: int) -> tuple[str, int]:
    """Return the name in \\begin{name} and the place behind it."""
    name, at = "", place + 2
    while at < len(tokens) and tokens[at].text != "}":
        name += tokens[at].text
        at += 1
    return name, at + 1


def without_remarks(cell: list[Token]) -> list[Token]:
    """Drop the comma behind a case and the word in front of its condition."""
    if cell and cell[-1].text in (",", ";", "."):
        cell = cell[:-1]
    while (
        len(cell) > 1
        and cell[0].kind in ("word", "cjk")
        and cell[0].text.lower() in ("if", "when", "for", "where", "当", "若")
    ):
        cell = cell[1:]
    return cell
