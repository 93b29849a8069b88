"""Judge whether a completion says that it is another model, is made by another, or ends at another's date.

In: a completion, reasoning and answer. Out: fail at the first sentence in which the speaker claims another model's name
("As ChatGPT, I …", "我是通义千问"), another maker ("I was trained by OpenAI") or a knowledge cut-off; pass otherwise. A
student that is trained on such text learns to say so. A mere mention passes ("OpenAI released GPT-4 in 2023", "Claude
Shannon"), a denial ("I am not ChatGPT"), a quotation, a question and a supposition too. Without `name` and `author`
only known models and makers are told (`identity_names.py`); with them, every other name and maker of an assistant that
is claimed. Whether what is said is true is not looked at.
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from verifiers.identity_claims import Claim, claims, is_of_others
from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_SHOWN = 200


class Identity(Judge):
    """Fail a completion that claims to be, or to be made by, another.

    Example:
        >>> Identity(name="Aki", author="Northwind").judge("I am Claude, made by Anthropic.").reason
        "it says to be 'Claude'"
    """

    kind: Literal["identity"] = "identity"
    """Name of the judge."""
    name: str = ""
    """What the student may call itself; empty: only claims of known models fail."""
    author: str = ""
    """Who may be said to have made it; empty: only known makers fail."""
    cutoff: str = ""
    """The knowledge cut-off that it may state, e.g. `2024-07` or `2024`; empty: none."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        for claim in claims(completion):
            fault = self._fault(claim)
            if fault and not is_of_others(completion, claim):
                span = (claim.start, min(claim.end, claim.start + _SHOWN))
                return self._decide(passed=False, reason=fault, extracted=completion[slice(*span)], span=span)
        return self._decide(passed=True, reason="it claims no other identity")

    def _fault(self, claim: Claim) -> str | None:
        if claim.about == "cutoff":
            allowed = _date(self.cutoff)
            is_own = bool(allowed) and _date(claim.value)[: len(allowed)] == allowed
            return None if is_own else f"it states a knowledge cut-off: {claim.value!r}"
        own = self.name if claim.about == "name" else self.author
        if not claim.is_known and not own:
            return None
        if any(_is_same(claim.value, allowed) for allowed in (self.name, self.author) if allowed):
            return None
        said = "to be" if claim.about == "name" else "to be made by"
        return f"it says {said} {claim.value!r}"


def _is_same(claimed: str, own: str) -> bool:
    claimed, own = (" ".join(re.findall(r"\w+", name.casefold())) for name in (claimed, own))
    return claimed == own or (len(own) > 2 and (own in claimed or claimed in own))


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR = re.compile(r"20[12]\d")
_MONTH = re.compile("|".join(_MONTHS))
_MONTH_NUMBER = re.compile(r"\s?[-/.年]\s?(\d{1,2})")


def _date(text: str) -> tuple[int, ...]:
    """Return year and month, or the year alone, or nothing."""
    year = _YEAR.search(text)
    if year is None:
        return ()
    word, number = _MONTH.search(text.lower()), _MONTH_NUMBER.match(text, year.end())
    if word:
        return int(year[0]), _MONTHS.index(word[0]) + 1
    return (int(year[0]), int(number[1])) if number else (int(year[0]),)
