"""Blank out what is in no language: code, formulas, tags, addresses. Every other character keeps its place.

In: text. Out: the text with blanks instead, of the same length. Fenced and inline code, lines of code without a fence
(Python, C, C++, Java, JavaScript) and what is indented under them, LaTeX in all delimiters, bare commands and
environments, holes of templates (`{name}`), Asymptote drawings, calculator annotations, tags, addresses. Takes time
linear in the text.

What only looks like one stays: a fence whose letters are mostly of another script than code is written in, a fence that
never closes, a formula that is prose ("costs $5 and sells for $7", more than three words in `\\text{}`). Prose in Latin
letters inside a closed fence or in a comment of code is not found: it counts as code.
"""

from __future__ import annotations

import re
from itertools import pairwise

_MARKED = re.compile(
    r"```(?P<fence>[^`]*(?:`{1,2}[^`]+)*)```"
    r"|`[^`\n]{1,400}`"
    r"|\$\$[^$]{1,4000}\$\$"
    r"|\$[^$\n]{1,400}\$"
    # no formula holds the start of another one: so no text makes this look far ahead again and again
    r"|\\\[(?:[^\\]|\\(?![\[\]])){1,4000}\\\]"
    r"|\\\((?:[^\\]|\\(?![()])){1,1000}\\\)"
    r"|\\begin\{(?P<env>[a-z]{1,20}\*?)\}(?:[^\\]|\\(?!begin|end)){0,8000}\\end\{(?P=env)\}"
    r"|\\(?:begin|end)\{[^{}\n]{0,40}\}(?:\{[lcr|]{1,20}\})?"
    r"|\\(?:boxed|fbox|text|textbf|textit|mbox|mathrm|mathbf|d?frac|tfrac|sqrt|operatorname)(?:\{[^{}\n]{0,80}\}){1,2}"
    r"|\\[a-zA-Z]{1,30}"
    r"|\{\{?[A-Za-z_]\w{0,30}\}\}?"
    r"|<<[^<>\n]{0,400}>>"
    r"|</?[a-zA-Z]{1,30}(?:\s[^<>\n]{0,200})?>"
    r"|\[asy\][^\[]*(?:\[(?!/?asy\])[^\[]*)*\[/asy\]",
    re.DOTALL,
)
_ADDRESS = re.compile(r"[A-Za-z]{2,10}://[!-~]{1,2000}|www\.[!-~]{1,2000}")
_PROSE = re.compile(r"(?<![\\\w{])[^\W\d_]{2,}[ ,]+[^\W\d_]{2,}[ ,]+[^\W\d_]{2,}|[\u3041-\u30fa\u3400-\u9fff]{8}")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_LABEL = 12
"""Characters of a formula that hold no prose yet."""
_NOT_ASCII = re.compile(r"[^\W\d_\x00-\x7f]")
_ASCII_LETTER = re.compile(r"[A-Za-z]")

_CODE_HINT = re.compile(
    r"\n[ \t>]*(?:def |class |import |from \w|for |while |if |elif |else:|try:|return|print|#include|using |int |long |"
    r"public |static |const |let |var |function |void |cout|cin|std::|vector<|@|assert |\w+(?:\[\w+\])? ?[-+*/|&]?= ?\S"
    r"|[\w.]+\()"
)
_NO_PROSE = r"(?![^\n]*?[^\W\d_]{2,} [^\W\d_]{2,} [^\W\d_]{2,} [^\W\d_]{2,})"
_CODE_LINE = re.compile(
    r"[ \t>]*(?:"
    r"(?:async +)?def +\w+ *\(|class +\w+ *[(:{]|(?:from +[\w.]+ +)?import +[\w.*{}, ]+(?: as \w+)?;?[ \t]*(?:#|//|$)"
    r"|(?:for|while|if|elif|with|switch|catch|except|else if) *\(.*[{;)]?$"
    r"|(?:for +\w+(?: *, *\w+)* +in|while|if|elif|with|except|lambda) .*: *"
    r"(?:#.*|[\w.]+\(.*|return.*|break|continue|pass)?$"
    r"|(?:else|try|finally|do|default) *[:{] *(?:#.*|//.*)?$"
    rf"|return\b *(?:$|[\w.\[\]'\"]+;?$|{_NO_PROSE}.*[-()\[\]=<>+*/%;])"
    r"|(?:break|continue|pass|yield)\b *;?$|(?:raise|throw|del|global|nonlocal|yield|await) +\w+"
    r"|(?:print|printf|scanf|assert|cout|cin|std::\w+|puts|console\.log|System\.out)\b *(?:[(<>]|\w+ *[=(\[]|not )"
    r"|# *(?:include|define|pragma)\b|using +namespace|template *<|@\w+|>>> |\.\.\. "
    r"|(?:public|private|protected|static|const|constexpr|unsigned|virtual|inline|int|long|double|float|bool|boolean|void|"
    r"char|auto|string|String|let|var|function|(?:vector|map|set|pair) *<[\w:,<> ]{1,60}>)[ &*][\w<>:,&* ]*[=;({\[]"
    r"|[A-Za-z_][\w.]*(?:\[[^\n\]]*\])*(?: *, *[A-Za-z_]\w*)* *(?:[-+*/%|&^]|\*\*|//|<<|>>)?=(?!=) *"
    rf"(?:{_NO_PROSE}|[\w.]*[\[({{])\S?.*$"
    rf"|[A-Za-z_][\w.]*\({_NO_PROSE}[^\n]*\)? *[;:{{]?$"
    r"|[\]})]+ *[;,:]?$|/\*|//|'''|\"\"\""
    r")",
    re.MULTILINE,
)
_LINE = 240
"""Characters of a line that tell whether it is code."""
_UNDER_CODE = re.compile(r"(?:  |\t)|[ \t]*(?:#|//|\*|\"\"\"|'''|[{}\[\]()])")


def mask(text: str, *, lines: bool = True) -> str:
    """Blank out code, formulas, tags and addresses; without `lines` the lines of code that no fence marks stay."""
    if "://" in text or "www." in text:
        text = _ADDRESS.sub(_blank, text)
    text = _MARKED.sub(_masked, text)
    return _without_lines(text) if lines and _CODE_HINT.search("\n" + text) else text


def _masked(found: re.Match[str]) -> str:
    within = found["fence"]
    if within is not None:
        return _blank(found) if _is_code(within) else f"   {within}   "
    said = found.group()
    if said[0] in "$\\" and len(said) > _LABEL and _PROSE.search(said):
        return _COMMAND.sub(_blank, said)
    return _blank(found)


def _is_code(text: str) -> bool:
    """Tell whether the letters of a fenced text are mostly those that code is written in."""
    return text.isascii() or len(_NOT_ASCII.findall(text)) <= len(_ASCII_LETTER.findall(text))


def _without_lines(text: str) -> str:
    """Blank out the lines that are code by themselves, and what is indented or commented under them."""
    ends = [-1, *(match.start() for match in re.finditer("\n", text)), len(text)]
    kept: list[str] = []
    is_code = False
    for before, end in pairwise(ends):
        line = text[before + 1 : end]
        if line.strip():
            is_code = bool(
                _CODE_LINE.match(line[:_LINE].rstrip()) or (is_code and _UNDER_CODE.match(line))
            ) and _is_code(line)
        kept.append(" " * len(line) if is_code else line)
    return "\n".join(kept)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group())
