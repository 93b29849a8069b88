"""Rewrite a mathematical text in one spelling.

In: text of a reference or an answer, plain or LaTeX, in any script. Out: the same with ASCII forms of full-width and
typographic signs, without delimiters, spacing and sizing commands, each LaTeX command in one spelling. Nothing is read
here, and nothing that carries meaning is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

MAX_CHARS = 4096
"""Longer texts are not read."""


def clean(text: str) -> str:
    """Return the text in one spelling. It has at most MAX_CHARS characters."""
    return _clean_again(text) if len(text) <= _MAX_KEPT else _clean(text)


_MAX_KEPT = 200
"""Longer texts are not kept for the next time: a thousand of them would be a gigabyte once they are read."""


@lru_cache(maxsize=2048)
def _clean_again(text: str) -> str:
    return _clean(text)


def _clean(text: str) -> str:
    text = _unified(text.translate(_ASCII))
    text = _LEAD.sub("", text)
    for _ in range(_MAX_LAYERS):
        previous, text = text, _unwrapped(text.strip())
        if previous == text:
            break
    return text


_MAX_LAYERS = 24
_LEAD = re.compile(
    r"^\s*(?:\\(?:therefore|because|Rightarrow|implies|Longrightarrow)(?![a-zA-Z])|(?:so|therefore|thus|hence|ans)\b[.,:]?\s)\s*",
    re.IGNORECASE,
)


def squeezed(text: str) -> str:
    """Return a cleaned text without blanks and text commands: what two spellings of one expression share."""
    return re.sub(r"(?<=[^\w.,])\s+|\s+(?=[^\w.,])", "", _PLAIN_COMMAND.sub(r"\1", text)).strip()


def plain_words(text: str) -> str:
    """Return a cleaned text with the commands around words taken off."""
    for _ in range(3):
        text = _TEXT_COMMAND.sub(r" \1 ", text)
    return " ".join(text.split())


def _unified(text: str) -> str:
    if "\\begin" in text:
        text = _LINES.sub(lambda found: found[2].replace("&", " ").replace("\\\\", " , "), text)
    if not text.isascii():
        text = _SUPERSCRIPTS.sub(lambda found: "^{" + found.group().translate(_RAISED) + "}", text)
        text = _SUBSCRIPTS.sub(lambda found: "_{" + found.group().translate(_LOWERED) + "}", text)
    if "\\" in text:
        text = _replaced(text, _BEFORE)
        text = _COMMAND.sub(_renamed, text)
    return " ".join(_replaced(text, _AFTER).split())


def _replaced(text: str, table: tuple[tuple[str, re.Pattern[str], _Replacement], ...]) -> str:
    """Apply the replacements whose trigger occurs in the text."""
    for trigger, pattern, replacement in table:
        if trigger in text:
            text = pattern.sub(replacement, text)
    return text


def _renamed(found: re.Match[str]) -> str:
    return _RENAMED.get(found[1], found[0])


def _unwrapped(text: str) -> str:
    """Take one layer off: a final stop, delimiters or a box around the whole."""
    if text.endswith("\\\\"):
        return text[:-2]
    if len(text) > 1 and text[-1] in ".;:" and not text.endswith(("...", "..")):
        return text[:-1]
    if (
        len(text) > 1
        and text[-1] in ",!"
        and not text.endswith("\\!")
        and (text[-1] == "," or not _ends_in_factorial(text))
    ):
        return text[:-1]
    for opening, closing in _DELIMITERS:
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            inner = text[len(opening) : len(text) - len(closing)]
            if opening[0] not in inner if len(set(opening)) == 1 else opening not in inner:
                return inner
    for command in _BOXES:
        if text.startswith(command) and text.endswith("}") and _is_one_group(text, len(command) - 1):
            return text[len(command) : -1]
    if text.startswith("{") and text.endswith("}") and _is_one_group(text, 0):
        return text[1:-1]
    return text


def _ends_in_factorial(text: str) -> bool:
    return bool(re.search(r"[\w)}\]]\s*!+$", text)) and not re.search(r"[A-Za-z]{3,}!$", text)


def _is_one_group(text: str, start: int) -> bool:
    depth = 0
    escaped = False
    for place in range(start, len(text)):
        mark = text[place]
        if escaped:
            escaped = False
            continue
        escaped = mark == "\\"
        depth += (mark == "{") - (mark == "}")
        if depth <= 0:
            return place == len(text) - 1
    return False


_ASCII: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "\u3000\u00a0\u2009\u202f\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u200a\t"), " "),
    **dict.fromkeys(map(ord, "−–—‐‑‒﹣"), "-"),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e"), ""),
    **dict.fromkeys(map(ord, "‘’ʼ′"), "'"),
    **dict.fromkeys(map(ord, "“”〝〞"), '"'),
    ord("″"): "''",
    ord("×"): "\\times ",
    ord("✕"): "\\times ",
    ord("∗"): "*",
    ord("⋅"): "\\cdot ",
    ord("·"): "\\cdot ",
    ord("∙"): "\\cdot ",
    ord("•"): "\\cdot ",
    ord("÷"): "\\div ",
    ord("∕"): "/",
    ord("⁄"): "/",
    ord("：") : ":",
    ord("∶"): ":",
    ord("√"): "\\sqrt ",
    ord("∛"): "\\sqrt[3]",
    ord("∞"): "\\infty ",
    ord("±"): "\\pm ",
    ord("∓"): "\\mp ",
    ord("≤"): "\\le ",
    ord("≦"): "\\le ",
    ord("⩽"): "\\le ",
    ord("≥"): "\\ge ",
    ord("≧"): "\\ge ",
    ord("⩾"): "\\ge ",
    ord("≠"): "\\ne ",
    ord("≈"): "\\approx ",
    ord("≅"): "\\cong ",
    ord("≡"): "\\equiv ",
    ord("∼"): "\\sim ",
    ord("∈"): "\\in ",
    ord("∉"): "\\notin ",
    ord("∅"): "\\emptyset ",
    ord("Ø"): "\\emptyset ",
    ord("￥"): "¥",
    ord("￡"): "£",
    ord("∪"): "\\cup ",
    ord("∩"): "\\cap ",
    ord("∖"): "\\setminus ",
    ord("→"): "\\to ",
    ord("↦"): "\\mapsto ",
    ord("⇒"): "\\Rightarrow ",
    ord("∧"): "\\land ",
    ord("∨"): "\\lor ",
    ord("∑"): "\\sum ",
    ord("∏"): "\\prod ",
    ord("∫"): "\\int ",
    ord("∂"): "\\partial ",
    ord("∠"): "\\angle ",
    ord("△"): "\\triangle ",
    ord("°"): "\\degree ",
    ord("º"): "\\degree ",
    ord("˚"): "\\degree ",
    ord("℃"): "\\degree C",
    ord("℉"): "\\degree F",
    ord("‰"): "\\permille ",
    ord("⟨"): "\\langle ",
    ord("⟩"): "\\rangle ",
    ord("〈"): "\\langle ",
    ord("〉"): "\\rangle ",
    ord("【"): "[",
    ord("】"): "]",
    ord("⌊"): "\\lfloor ",
    ord("⌋"): "\\rfloor ",
    ord("⌈"): "\\lceil ",
    ord("⌉"): "\\rceil ",
    ord("…"): "...",
    ord("⋯"): "...",
    ord("、"): ",",
    ord("。"): ".",
    ord("〜"): "~",
    ord("ℝ"): "\\mathbb{R}",
    ord("ℤ"): "\\mathbb{Z}",
    ord("ℕ"): "\\mathbb{N}",
    ord("ℚ"): "\\mathbb{Q}",
    ord("ℂ"): "\\mathbb{C}",
    ord("ⅈ"): "i",
    ord("ℯ"): "e",
    ord("ı"): "i",
    ord("∣"): "|",
    ord("¬"): "\\neg ",
    ord("∀"): "\\forall ",
    ord("∃"): "\\exists ",
    ord("\u0305"): "",
    ord("½"): "\\frac{1}{2}", ord("⅓"): "\\frac{1}{3}", ord("⅔"): "\\frac{2}{3}", ord("¼"): "\\frac{1}{4}",
    ord("¾"): "\\frac{3}{4}", ord("⅕"): "\\frac{1}{5}", ord("⅖"): "\\frac{2}{5}", ord("⅗"): "\\frac{3}{5}",
    ord("⅘"): "\\frac{4}{5}", ord("⅙"): "\\frac{1}{6}", ord("⅚"): "\\frac{5}{6}", ord("⅐"): "\\frac{1}{7}",
    ord("⅛"): "\\frac{1}{8}", ord("⅜"): "\\frac{3}{8}", ord("⅝"): "\\frac{5}{8}", ord("⅞"): "\\frac{7}{8}",
    ord("⅑"): "\\frac{1}{9}", ord("⅒"): "\\frac{1}{10}",
    **{ord(letter): f"\\{name} " for letter, name in zip(
        "αβγδεζηθικλμνξπρστυφχψωϕϵϑΓΔΘΛΞΠΣΦΨΩ",
        (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
    "phi chi psi omega phi epsilon theta Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
).split(), strict=True)},
    ord("µ"): "\\mu ",
}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱˣ⁽⁾", "0123456789+-nix()")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₖᵢₓₐ", "0123456789+-()nkixa")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱˣ⁽⁾]+")
_SUBSCRIPTS = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₖᵢₓₐ]+")
_DELIMITERS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("```", "```"),
    ("`", "`"),
    ("**", "**"),
    ('"', '"'),
)
_BOXES = (
    "\\boxed{",
    "\\fbox{",
    "\\framebox{",
    "\\text{",
    "\\mathbf{",
    "\\boldsymbol{",
    "\\displaystyle{",
    "\\ensuremath{",
)
_LINES = re.compile(
    r"\\begin\s*\{(align\*?|aligned|gather\*?|gathered|split|eqnarray\*?)\}(.*?)\\end\s*\{\1\}", re.DOTALL
)
_COMMAND = re.compile(r"\\([a-zA-Z]+\*?)")
_RENAMED: dict[str, str] = {
    name: new
    for new, names in {
        " ": "left right middle displaystyle textstyle scriptstyle limits nolimits bigl bigr Bigl Bigr biggl biggr "
        "Biggl Biggr big Big bigg Bigg large Large LARGE huge Huge small footnotesize normalsize tiny mathstrut strut "
        "nonumber hfill centering relax bf rm it quad qquad space thinspace medspace thickspace enspace",
        "\\frac": "dfrac tfrac cfrac sfrac",
        "\\binom": "dbinom tbinom",
        "\\text": "mathrm textbf textrm textit textsf texttt mbox hbox emph textnormal mathsf mathtt mathit mathop "
        "operatorname operatorname* underline textup",
        "\\styled": "mathbf boldsymbol mathcal mathfrak mathscr bm pmb",
        "\\overline": "bar",
        "\\hat": "widehat",
        "\\vec": "overrightarrow",
        "\\le": "leq leqslant leqq",
        "\\ge": "geq geqslant geqq",
        "\\ne": "neq",
        "<": "lt",
        ">": "gt",
        "\\emptyset": "varnothing empty",
        "*": "ast star",
        "...": "ldots cdots dots dotsc dotsb hdots vdots ddots",
        ":": "colon",
        "\\{": "lbrace",
        "\\}": "rbrace",
        "[": "lbrack",
        "]": "rbrack",
        "|": "lvert rvert vert mid lVert rVert Vert",
        "\\degree ": "degrees textdegree",
        "\\phi": "varphi",
        "\\epsilon": "varepsilon",
        "\\theta": "vartheta",
        "\\to": "rightarrow longrightarrow",
        "\\mapsto": "longmapsto",
        "\\setminus": "backslash smallsetminus",
        "\\land": "wedge",
        "\\lor": "vee",
        "\\dollar ": "textdollar",
        "i": "imath",
        "j": "jmath",
    }.items()
    for name in names.split()
}
_TEXTUAL = r"\\(?:text|mathrm|textrm)"
_Replacement = str | Callable[[re.Match[str]], str]
_BEFORE: tuple[tuple[str, re.Pattern[str], _Replacement], ...] = tuple(
    (trigger, re.compile(pattern), replacement)
    for trigger, pattern, replacement in (
        ("\\\\", r"\\\\(?:\[\d+(?:\.\d+)?(?:pt|em|ex|mm|cm)\])", r"\\\\ "),
        ("\\$", r"(?<!\\)\\\$", r"\\dollar "),
        ("\\", r"(?<!\\)\\[()\[\]]", "$"),
        ("right", r"\\(?:left|right|middle)(?![a-zA-Z])\s*\.", " "),  # an invisible bracket
        ("*{", r"\\(?:vspace|hspace)\*\s*\{[^{}]*\}", " "),
        ("{", r"\\(?:label|tag|color|vspace|hspace|phantom|hphantom|vphantom)\s*\{[^{}]*\}", " "),
        ("begin", r"\\(?:begin|end)\s*\{(?:equation|math|displaymath|center)\*?\}", " "),
        (
            "\\frac",
            rf"\\frac\s*\{{\s*{_TEXTUAL}\s*\{{([^{{}}]*)\}}([\^\d{{}}]*)\s*\}}\s*"
            rf"\{{\s*{_TEXTUAL}\s*\{{([^{{}}]*)\}}([\^\d{{}}]*)\s*\}}",
            r"\\text{ \1}\2/\\text{\3}\4",
        ),  # a fraction of units
        ("\\not", r"\\not\s*=", r"\\ne "),
        ("\\not", r"\\not\s*\\in(?![a-zA-Z])", r"\\notin "),
        ("\\prime", r"\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![a-zA-Z]))", "'"),
        ("\\circ", r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))|\\circ(?![a-zA-Z])(?=\s*[CF]\b)", r"\\degree "),
        ("\\degree", r"\^\s*(?:\{\s*\\degree\s*\}|\\degree(?![a-zA-Z]))", r"\\degree "),
        ("\\!", r",\\!\s*", ","),
        ("\\!", r"(?<!\\)\\!", ""),
        ("\\", r"(?<=\d)\\[,:; ](?=\d)", " "),  # digits in groups
        ("\\", r"(?<!\\)\\[,;:> ]", " "),
        ("\\", r"(?<!\\)\\([%_])", r"\1"),
        ("\\#", r"(?<!\\)\\#", " "),
        ("\\&", r"(?<!\\)\\&", " and "),
        ("\\|", r"(?<!\\)\\\|", "|"),
    )
)
_AFTER: tuple[tuple[str, re.Pattern[str], _Replacement], ...] = tuple(
    (trigger, re.compile(pattern), replacement)
    for trigger, pattern, replacement in (
        ("&nbsp;", r"&nbsp;", " "),
        ("~", r"~", " "),
        ("+/-", r"\+/-", r"\\pm "),
        ("{,}", r"\{,\}", ","),
        ("{", r"\{\s*([-+])\s*\}", r"\1"),
        ("{ ", r"(?<=\d)\{[ ,]\}(?=\d)", " "),
        ("大于", r"大于或?等于", r"\\ge "),
        ("小于", r"小于或?等于", r"\\le "),
        ("不小于", r"不小于", r"\\ge "),
        ("不大于", r"不大于", r"\\le "),
        ("不等于", r"不等于", r"\\ne "),
        ("大于", r"大于", ">"),
        ("小于", r"小于", "<"),
        ("等于", r"等于", "="),
        ("为", r"(?<=[a-zA-Z])为(?=\s?[-\d])", "="),
        ("<", r"<(b|strong|em|i)>([^<>]*)</\1>", r"\2"),
        ("e ", r"^(?:negative|minus) (?=\d)", "-"),
        ("s ", r"^(?:negative|minus) (?=\d)", "-"),
        ("Matrix(", r"^Matrix\((.*)\)$", r"\1"),
        ("s", r"\b[Rr]s\.?\s*(?=\d)", "₹"),
        ("又", r"(?<=\d)又(?=\d)", " "),
        ("根号", r"根号", r"\\sqrt "),
        ("正负", r"正负", r"\\pm "),
        ("\\text ", r"\\text\s+(?=\{)", r"\\text"),
        ("^", r"\^\s*(?:\{\s*o\s*\}|o(?![a-zA-Z]))", r"\\degree "),
        ("**", r"(?<![\w)}\]])\*\*(?!\s)([^*\n]+)(?<!\s)\*\*", r" \1 "),  # bold
        ("**", r"\*\*(?=\s*[-\w({\\])(?<=[\w)}\]]\*\*)", "^"),
        ("**", r"(?<![\w)}\]])\*\*|\*\*(?![\w({\-\\])", " "),
        ("<<", r"<<[^<>\n]*>>", ""),
        ("<=", r"<=(?!>)", r"\\le "),
        (">=", r">=", r"\\ge "),
        ("!=", r"(?<![\d)}])\s!=(?!=)|(?<=[a-zA-Z])!=(?!=)", r" \\ne "),  # 5!=120 is a factorial
        ("->", r"->", r"\\to "),
        ("=>", r"=>", r"\\Rightarrow "),
    )
)
_PLAIN_COMMAND = re.compile(r"\\text\s*\{([^{}]*)\}")
_TEXT_COMMAND = re.compile(r"\\(?:text|styled)\s*\{([^{}]*)\}")
