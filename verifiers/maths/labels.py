"""Tell words that mean nothing to the value ("18 eggs", "the area is 5") from words that change it.

In: tokens or text. Out: whether they are a label, and the words of a text that is nothing else.
"""

from __future__ import annotations

import re

from verifiers.maths.spelling import plain_words
from verifiers.maths.terms import Text, Value
from verifiers.maths.tokens import Token

HEDGES = frozenset(
    (
        "or not no maybe perhaps possibly either neither nor except between least most than minus negative "
        "unknown cannot can't impossible unsure guess likely probably could might versus approximately about "
        "around unless if but double twice triple dozen half never without excluding wrong incorrect isn't "
        "false true less more greater fewer above below almost nearly exceed exceeds exceeding lack lacks beyond "
        "under over past given suppose assume squared cubed times opposite reciprocal inverse modulo "
        "或 不 可能 也许 负 半 以上 以下 至少 至多 超过 大约 约"
    ).split()
)
"""Words that change what is said: text that holds one is never a label."""
_LEADS_ELSEWHERE = frozenset(
    (
        "root square cube log sine cosine tangent sum product power factorial two three four five six seven eight nine "
        "ten third quarter first second problem problems question questions step steps case cases option options "
        "choice choices example examples theorem lemma equation equations section chapter part parts page line figure "
        "table exercise item note version grade level year day month 第"
    ).split()
)
"""Words in front of a number that make it the number of something else, or part of an expression in words."""
ARTICLES = re.compile(
    r"\b(?:the|an?|is|are|was|were|it|its|so|thus|hence|therefore|answer|final)\b|[\"'.,:;!?()\[\]{}$`*_-]|\\"
)
_WEEKDAYS = {
    f"{week}{day}": name
    for week in ("星期", "周", "礼拜")
    for day, name in zip(
        "一二三四五六日天",
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Sunday"),
        strict=True,
    )
}
_LABEL_CHARS = re.compile(r"[^\W\d_]+")


def as_words(text: str) -> Text | None:
    """Return a text as words if it is nothing else: no digits, no signs of mathematics."""
    bare = plain_words(text)
    if re.search(r"[\d=<>+*/^|&%#@~?\\]|(?<![\w])-|-(?!\w)", bare.replace("\\'", "'")):
        return None
    words = ARTICLES.sub(" ", _WEEKDAYS.get(bare.strip(" ."), bare).casefold())
    words = " ".join(words.split())
    return Text(words) if words and _LABEL_CHARS.search(words) else None


def without_lead(tokens: list[Token]) -> list[Token]:
    """Drop words in front of a number that say nothing: "a total of 18", "She has 18 eggs"."""
    place = 0
    while place < len(tokens) and (
        tokens[place].kind in ("word", "cjk")
        or (tokens[place].kind == "letter" and tokens[place].text in "aAI" and _before_word(tokens, place))
    ):
        place += 1
    lead = [token.text.lower() for token in tokens[:place]]
    if any(word in _LEADS_ELSEWHERE for word in lead) or (lead and lead[-1].endswith("第")):
        return tokens
    if 0 < place < len(tokens) and tokens[place].kind in ("number", "money") and is_label(tokens[:place]):
        if len(tokens[:place]) == 1 and not tokens[0].upright and len(tokens[0].text) < 3 and tokens[0].kind == "word":
            return tokens
        return tokens[place:]
    return tokens


def _before_word(tokens: list[Token], place: int) -> bool:
    return place + 1 < len(tokens) and tokens[place + 1].kind == "word" and tokens[place + 1].spaced


def words_of(tokens: list[Token]) -> str:
    """Return how tokens are written."""
    return "".join(
        (" " if token.spaced or (n and token.kind == tokens[n - 1].kind == "word") else "") + token.text
        for n, token in enumerate(tokens)
    ).strip()


def is_label(tokens: list[Token]) -> bool:
    """Tell whether tokens are words that may stand beside a number without changing it."""
    if not tokens or len(tokens) > 40:
        return False
    for place, token in enumerate(tokens):
        if token.kind in ("word", "cjk") or (token.kind == "command" and token.text in ("min", "sec", "to", "in")):
            continue
        if token.kind == "letter" and (token.upright or token.text in "aA"):
            continue
        if token.text in ("/", ".", "'", "-", "(", ")", ",", '"') and place < len(tokens):
            continue
        return False
    return is_label_words(words_of(tokens))


def is_label_words(words: str) -> bool:
    """Tell whether words may stand beside a number without changing it."""
    lowered = words.lower()
    if any(word in HEDGES for word in re.findall(r"[a-z']+", lowered)):
        return False
    if any(
        mark in words
        for mark in ("或", "不", "可能", "也许", "负", "以上", "以下", "至少", "至多", "超过", "大约", "半", "或者")
    ):
        return False
    return (
        bool(_LABEL_CHARS.search(words))
        and not re.search(r"\d", words)
        and not any(name in lowered.split() for name in ("sin", "cos", "sqrt", "pi", "log"))
    )


def is_words(tokens: list[Token]) -> bool:
    """Tell whether tokens are words only, and not letters side by side that may be variables."""
    if not all(token.kind in ("word", "cjk", "letter") or token.text in ("'", "-", ".", '"') for token in tokens):
        return False
    words = [token for token in tokens if token.kind in ("word", "cjk")]
    if not words or any(token.text.lower() in HEDGES for token in words):
        return False
    return any(
        token.upright or token.kind == "cjk" or len(token.text) > 3 or re.fullmatch(r"[A-Z][a-z]{2}", token.text)
        for token in words
    )


def name_of(tokens: list[Token]) -> Value | None:
    """Read the left side of a relation as a name: words, or P(A), f'(x) and the like stay expressions."""
    if all(token.kind in ("word", "cjk") or (token.kind == "letter" and token.upright) for token in tokens):
        if len(tokens) == 1 and tokens[0].kind == "word" and len(tokens[0].text) <= 3 and not tokens[0].upright:
            return None
        return Text(words_of(tokens).casefold())
    words = [token for token in tokens if token.kind in ("word", "cjk")]
    letters = [token for token in tokens if token.kind == "letter"]
    if (
        words
        and len(words) + len(letters) == len(tokens)
        and any(len(token.text) > 3 or token.kind == "cjk" for token in words)
    ):
        return Text(words_of(tokens).casefold())
    return None
