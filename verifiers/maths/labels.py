"""Tell words that mean nothing to the value ("18 eggs", "the area is 5") from words that change it.

In: tokens or text. Out: whether they are a label, and the words of a text that is nothing else.
"""

from __future__ import annotations

import re

from verifiers.maths.spelling import plain_words
from verifiers.maths.terms import Text, Value
from verifiers.maths.tokens import Token
from verifiers.maths.written import NUMBER_WORDS

HEDGES = frozenset(
    (
        "or not no maybe perhaps possibly either neither nor except between least most than minus negative "
        "unknown cannot can't impossible unsure guess likely probably could might versus approximately about "
        "around unless if but double twice triple half never without excluding excluded wrong incorrect isn't isnt "
        "ain't aint aren't false true less more greater fewer above below almost nearly exceed exceeds exceeding lack "
        "lacks beyond under over past up given suppose assume squared cubed opposite reciprocal inverse modulo divided "
        "multiplied point remainder besides apart out reject rejected extraneous invalid exclude excludes "
        "contradiction guess bound bounds doubt doubtful fails fail failed trap"
    ).split()
)
"""Words that change what is said: text that holds one is never a label."""
_CJK_HEDGES = re.compile(
    "或|不|可能|也许|负|半|以[上下外]|至[少多]|超过|大?约|减|乘|除|倍|折|成$|分之|平方|立方|次方|非|没|无|第|又"
)
_OPPOSITES = tuple(
    frozenset(group.split())
    for group in (
        "increase decrease", "increased decreased", "profit loss", "gain loss", "north south east west", "up down",
        "left right", "row column", "rows columns", "clockwise counterclockwise anticlockwise", "before after",
        "older younger", "taller shorter", "win lose", "wins losses", "credit debit", "deposit withdrawal",
    )
)  # fmt: skip
_LEADS = frozenset(
    (
        "is are was were has have had equals equal makes make made gets get got earns earned needs need costs cost "
        "gives give leaves left remain remains total altogether there contains holds sold sells bought buys spends "
        "spent pays paid saves takes took answer result sum find obtain exactly only just have scored weighs "
        "value be becomes therefore so thus hence"
    ).split()
)
"""Words one of which stands in front of a number in a sentence that gives it: "She has 18 eggs"."""
_LEADS_ELSEWHERE = frozenset(
    (
        "root square cube log sine cosine tangent sum product power factorial first second problem problems question "
        "questions step steps case cases option options choice choices example examples theorem lemma equation "
        "equations section chapter part parts page line figure table exercise item note version grade level year day "
        "month 第"
    ).split()
)
"""Words in front of a number that make it the number of something else, or part of an expression in words."""
_CJK_LEADS = re.compile("[是为有共得需剩买卖花用达到要给了]")
ARTICLES = re.compile(
    r"\b(?:the|is|are|was|were|it|its|so|thus|hence|therefore|answer|final)\b|[\"'.,:;!?()\[\]{}$`*_-]|\\"
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
    bare = plain_words(text).strip(' .!"')
    if _NO_WORDS.search(bare):
        return None
    words = _WEEKDAYS.get(bare, bare)
    words = re.sub(r"\b(?:a|an|A|An)\s+(?=[a-zA-Z][a-z])", "", words)
    words = ARTICLES.sub(" ", words.casefold())
    words = " ".join(words.split())
    return Text(words) if words and _LABEL_CHARS.search(words) else None


_NO_WORDS = re.compile(
    r"[\d=<>+*/^|&%#@~?\\_:()\[\]{}!$]|(?<!\w)[-']|[-'](?!\w)"
    r"|(?<![a-zA-Z]{2})-(?=\w)|(?<=\w)-(?![a-zA-Z]{2})|(?<![a-zA-Z])'|'(?![a-zA-Z])"
)


def without_lead(tokens: list[Token]) -> list[Token]:
    """Drop words in front of a number that say nothing: "a total of 18", "She has 18 eggs"."""
    place = 0
    while place < len(tokens) and (
        tokens[place].kind in ("word", "cjk")
        or (tokens[place].kind == "letter" and tokens[place].text in "aAI" and _before_word(tokens, place))
    ):
        place += 1
    if not (0 < place < len(tokens) and tokens[place].kind in ("number", "money") and is_label(tokens[:place])):
        return tokens
    lead = [token.text.lower() for token in tokens[:place]]
    if any(word in _LEADS_ELSEWHERE for word in lead):
        return tokens
    says = (
        all(token.kind == "cjk" for token in tokens[:place])
        or any(word in _LEADS for word in lead)
        or any(_CJK_LEADS.search(word) for word in lead)
    )
    return tokens[place:] if says else tokens


def numbered(tokens: list[Token]) -> tuple[str, list[Token]]:
    """Return the noun in front of a number ("row 3", "Day 5") and what follows it; an empty one if there is none."""
    place = next((place for place, token in enumerate(tokens) if token.kind == "number"), 0)
    lead = tokens[:place]
    if not 0 < place <= 2 or not all(token.kind in ("word", "cjk") for token in lead) or not is_label(lead):
        return "", tokens
    if not any(len(token.text) > 2 or token.upright or token.kind == "cjk" for token in lead):
        return "", tokens
    return words_of(lead), tokens[place:]


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
    for token in tokens:
        if token.kind in ("word", "cjk") or (token.kind == "command" and token.text in ("min", "sec", "to", "in")):
            continue
        if token.kind == "letter" and (token.upright or token.text in "aA"):
            continue
        if token.text in ("/", ".", "'", "-", "(", ")", ",", '"'):
            continue
        return False
    return is_label_words(words_of(tokens))


_VERBS = frozenset("is are was were has have had lies lie does do did can will would should".split())
_ARE_ANSWERS = frozenset(("the", "correct", "right", "our", "my", "what"))
_DOMAINS = frozenset("integer integers natural rational whole prime positive negative only".split())


def is_label_behind(tokens: list[Token]) -> bool:
    """Tell whether words behind a number are a label, and not a sentence about it: "5 is too big"."""
    if not tokens:
        return False
    says = tokens[0].text.lower() in _VERBS and not (len(tokens) > 1 and tokens[1].text.lower() in _ARE_ANSWERS)
    return is_label(tokens) and not says


def is_domain_note(tokens: list[Token]) -> bool:
    """Tell a note that restricts the answer, "(integers only)", from one that says nothing."""
    return any(token.text.lower() in _DOMAINS for token in tokens)


def is_label_words(words: str) -> bool:
    """Tell whether words may stand beside a number without changing it."""
    lowered = re.findall(r"[a-z']+", words.lower())
    harmless = re.sub(r"不同|没有?[^有]{1,8}$|可能性", "", words)
    if any(word in HEDGES or word in NUMBER_WORDS for word in lowered) or _CJK_HEDGES.search(harmless):
        return False
    return (
        bool(_LABEL_CHARS.search(words))
        and not re.search(r"\d", words)
        and not any(name in lowered for name in ("sin", "cos", "sqrt", "pi", "log"))
    )


def are_opposite(label: str, other: str) -> bool:
    """Tell whether two labels say contrary things: profit and loss, north and south."""
    words, others = set(re.findall(r"[a-z]+", label.lower())), set(re.findall(r"[a-z]+", other.lower()))
    return any(words & group and others & group and not words & others & group for group in _OPPOSITES)


def share_a_word(label: str, other: str) -> bool:
    """Tell whether two labels have a word in common."""
    found = [set(re.findall(r"[a-z]{2,}|[\u4e00-\u9fff]", text.lower())) for text in (label, other)]
    return bool({word.rstrip("s") for word in found[0]} & {word.rstrip("s") for word in found[1]})


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
