"""Find what the speaker of a text claims of itself: a name, a maker, a knowledge cut-off.

In: a text. Out: claims with their places, each from within one sentence, whoever the name belongs to. What is denied is
no claim; one that is supposed, asked or quoted is told by `is_of_others`. Which claims are false is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from verifiers.identity_names import AMBIGUOUS_MODELS, MAKERS, MODELS


class Claim(NamedTuple):
    """One claim of the speaker."""

    about: Literal["name", "maker", "cutoff"]
    """What is claimed."""
    value: str
    """The name or the date, as it stands there."""
    start: int
    """Where the claim starts in the text."""
    end: int
    """Where it ends."""
    is_known: bool
    """Whether the name is that of a known model or maker."""


def claims(text: str) -> Iterator[Claim]:
    """Yield what the speaker claims of itself, sentence by sentence; what a loop repeats is read once."""
    read: set[str] = set()
    for sentence in _SENTENCE.finditer(text):
        if sentence.group() not in read and _TRIGGER.search(text, *sentence.span()):
            read.add(sentence.group())
            yield from _claims_of_sentence(text, *sentence.span())


def is_of_others(text: str, claim: Claim) -> bool:
    """Tell whether a claim is supposed, asked or quoted, so that it is not the speaker's own."""
    line = text.rfind("\n", max(0, claim.start - _LOOK_BACK), claim.start) + 1
    before = text[max(line, claim.start - _LOOK_BACK) : claim.start]
    if _SUPPOSED.search(before):
        return True
    opened = sum(before.count(mark) for mark in "“「『") - sum(before.count(mark) for mark in "”」』")
    if opened > 0 or before.count('"') % 2:
        return True
    stop = _STOP.search(text, claim.end, claim.end + 120)
    return stop is not None and stop.group() in "?？"


_LOOK_BACK = 400
_STOP = re.compile(r"[.!?。！？\n,，;；]")
_SENTENCE = re.compile(r"(?:[^.!?。！？\n]|\.(?=\w)){1,2000}[.!?。！？]?")
_TRIGGER = re.compile(
    r"(?<!\w)(?:I['’]?m\b|I am|I was|I have been|I['’]ve|I go by|me\b|my\b|myself|as\b|this is|knowledge cut)"
    r"|polic(?:y|ies)\b|guidelines|我|作为|这里是|本人|知识截|训练数据",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"(?:\b(?:if|imagine|suppose|pretend\w{0,3}|assum(?:e|ing)|whether|claim(?:s|ed|ing)?|not that|play(?:s|ing)?)\b"
    r"[^.!?,]{0,30}"
    r"|\b(?:says?|saying|said|asks?|asked|thinks?|wrote|called|titled|named)[ :,][^.!?]{0,14}"
    r"|(?:如果|假如|假设|假装|扮演|想象|以为|说|问)[^。！？]{0,12})\Z",
    re.IGNORECASE,
)

_KIND = (
    r"(?:(?:large |helpful |conversational |virtual |advanced |artificial |powerful |multimodal |generative "
    r"|pre-?trained |friendly |language |AI[- ](?:powered )?|LLM[- ]?(?:based )?){0,6}"
    r"(?:AI|A\.I\.|artificial intelligence|assistant|chatbot|chat bot|bot|language model|LLM|model|program|system))"
)
_I_AM = (
    r"(?:(?<![\w'’])I(?:['’]?m| am)(?: (?:actually|just|really|indeed|in fact|simply|only|called|named|known as)){0,3}"
    r"|(?<!\w)my (?:real )?name(?: is|['’]s)|(?<!\w)(?:call|refer to) me(?: as)?"
    r"|(?<!\w)I (?:go by|was named|am called|am known as)(?: the name)?|(?<!\w)this is)"
)
_AN_AI = rf"(?:(?:an?|the|your) {_KIND},? (?:called |named |known as |based on |powered by )?)?[\"'“*]{{0,2}}"
_DONE = (
    r"(?:developed|created|trained|made|built|designed|released|powered|produced|launched|programmed|fine-?tuned"
    r"|maintained|owned|provided|engineered|introduced)"
)
_MADE = rf"{_DONE}(?:,? (?:and|or|&) (?:\w+ )?{_DONE})?"
_PROPER = r"[A-Z\u4e00-\u9fff][\w.-]{0,30}\w(?: [A-Z][\w.-]{0,30}\w){0,2}"
_CHINESE_KIND = r"(?:AI|人工智能|智能|大型?|语言|对话|聊天|虚拟|助手|模型|机器人|助理|的|预训练|超大规模)"
_CHINESE_MADE = r"(?:所|独立|自主)?(?:开发|训练|创建|研发|打造|创造|设计|推出|发布|制作|发明|研制|提供|构建|研究)"
_CHINESE_I_AM = r"(?:我(?:的名字)?(?:就?是|叫做?|名?为)|作为|这里是|我名叫|我名为|本人是|叫我|称呼我为)[「“\" ]{0,2}"
_CHINESE_NAMES = r"[^\s，。！？,、「」“”的是一由]{2,20}?(?: [^\s，。！？,、「」“”的是一由]{2,20}?)?"

_About = Literal["name", "maker"]
_PATTERNS: list[tuple[_About, bool, re.Pattern[str]]] = []


def _add(about: _About, *patterns: str, known: bool = True, flags: int = re.IGNORECASE) -> None:
    _PATTERNS.extend((about, known, re.compile(pattern, flags)) for pattern in patterns)


_add(
    "name",
    # I am (an AI model called) NAME; as NAME, I; as an AI model like NAME
    rf"{_I_AM}[ ,:]{{1,2}}{_AN_AI}(?P<value>{MODELS})(?![\w'’])",
    rf"(?<!\w)as [\"'“*]{{0,2}}(?P<value>{MODELS})[\"'”*]{{0,2}}(?:,|(?= I\b| an? ))(?= (?:I\b|my\b|me\b|an? |your ))",
    rf"(?<!\w)as an? {_KIND},? (?:called |named |known as |like )?(?P<value>{MODELS})(?![\w'’])",
    rf"{_CHINESE_I_AM}(?:一[个款种名])?(?:(?:由|来自)?(?:{MAKERS})[^，。！？\n]{{0,16}}?的)?{_CHINESE_KIND}{{0,8}}"
    rf"[，,「“\" ]{{0,2}}(?:名叫|叫做?|名为)?\s?(?P<value>{MODELS}|{AMBIGUOUS_MODELS})(?![A-Za-z])",
)
_add(
    "name",
    # the same with a name that people have too: nothing may follow that makes it another's
    rf"(?i:{_I_AM})[ ,:]{{1,2}}(?i:{_AN_AI})(?P<value>{AMBIGUOUS_MODELS})(?=[.,!;:\"”*\n]|['’](?!\w)|\Z"
    r"| (?:an?|the|your|and|by|from|made|created|developed|trained|built|here|—|-|\())",
    rf"(?<!\w)[Aa]s (?P<value>{AMBIGUOUS_MODELS}),? (?=(?:I|my|an? (?:AI|language|large))\b)",
    flags=0,
)
_add(
    "maker",
    # I was trained by MAKER; I am a model from MAKER; MAKER made me; my creators at MAKER
    rf"(?<![\w'’])(?:I|me|myself)(?:['’](?:m|ve been)| (?:am|was|have been|were|being))? "
    rf"(?:(?!not\b|never\b)[\w'’,-]+ ){{0,12}}?{_MADE} (?:by|at|from) (?:the )?"
    rf"(?:\w+ (?:team|engineers|researchers) (?:at|of|from) )?[\"'“*]{{0,2}}(?P<value>{MAKERS})(?!\w)",
    rf"(?<!\w)(?:as|i am|i['’]m) an? (?:[\w'’-]+ ){{0,6}}?{_KIND}(?: (?:that|which) (?:was|is))?,? "
    rf"(?:{_MADE} (?:by|at)|from|of) (?P<value>{MAKERS})(?!\w)",
    rf"(?<!\w)(?P<value>{MAKERS})(?:['’]s (?:team|engineers|researchers))? (?:has |have )?{_DONE} me(?!\w)",
    rf"(?<!\w)my (?:creators?|developers?|makers?|parent company|company|trainers?|designers?|owners?)"
    rf"(?:,| is| are| at)(?: the)?(?: company)? (?P<value>{MAKERS})(?!\w)",
    rf"(?<!\w)(?:I|my|me)(?: [\w'’-]+,?){{0,12}}? (?:violat\w{{1,3}}|against|comply with|adhere to|follow|under|per)"
    rf" (?:the )?(?P<value>{MAKERS})['’]s? (?:content |usage |use[- ]case |use |safety |ethical )?(?:polic|guideline)",
    rf"(?:我|作为)(?:[^不没。！？\n]|不(?=仅|断)){{0,24}}?(?:是|由|被|来自)[ 「“]{{0,2}}(?P<value>{MAKERS})"
    rf"(?:公司|团队|集团|旗下)?[^，。！？\n]{{0,10}}?(?:{_CHINESE_MADE}|的{_CHINESE_KIND})",
    rf"(?P<value>{MAKERS})(?:公司|团队)?[^，。！？\n没不]{{0,6}}?{_CHINESE_MADE}了?我(?![们的])",
    r"我的(?:开发者|创造者|创建者|母公司|公司|开发公司|开发团队|研发团队|设计者|制作者)(?:是|为|来自) ?"
    rf"(?P<value>{MAKERS})",
)
_add(
    "name",
    # NAME whatever it is, said of an assistant
    rf"(?i:{_I_AM}) (?P<value>{_PROPER}),? (?:an?|your) (?i:{_KIND})(?!\w)",
    rf"(?i:\byou (?:can|may) (?:call|refer to) me(?: as)?) (?P<value>{_PROPER})",
    rf"[您你]可以(?:叫我|称呼我为)[「“\" ]{{0,2}}(?P<value>{_CHINESE_NAMES})(?=[，。！”」\"])",
    rf"(?:我(?:的名字)?(?:是|叫|名?为)|我名叫)[「“\" ]{{0,2}}(?P<value>{_CHINESE_NAMES})"
    r"[」”\" ]{0,2}，(?:是?一[个款名]|由|你的|您的)[^，。！？\n]{0,30}?(?:助手|模型|机器人)",
    known=False,
    flags=0,
)
_add(
    "maker",
    rf"(?i:(?<![\w'’])(?:I am|I['’]m|As|I am [\w.-]+,) (?:[\w'’-]+,? ){{0,6}}?{_KIND},? {_MADE} by) (?:the )?"
    rf"(?P<value>{_PROPER})",
    rf"我(?:是|叫|名)[^不没。！？\n]{{0,24}}?(?:由|是)[ 「“]{{0,2}}(?P<value>{_CHINESE_NAMES})"
    rf"[ 」”]{{0,2}}{_CHINESE_MADE}",
    known=False,
    flags=0,
)

_DATE = (
    r"(?:20[12]\d ?年(?: ?\d{1,2} ?月)?"
    r"|(?:(?:early|late|mid|the end of|around|approximately|about|up to|until)[- ]?){0,3}"
    r"(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?,? )?20[12]\d(?:[-/.]\d{1,2})?)"
)
_CUTOFF = re.compile(
    r"(?<!\w)(?:my|our) (?:knowledge|training|information|data(?:base)?|learning)(?: (?:base|data|cut[- ]?off|corpus"
    r"|knowledge|set|date|is|was|has|only|goes|extends|ends|stops|of|a|in|at|up|to|until|cuts?|off|current|limited|as"
    rf"|last|updated|includes|information|events|latest|update)){{0,10}}:? (?P<a>{_DATE})"
    r"|(?<!\w)(?:as of|since|up to|until|at the time of) my (?:last |latest |most recent )?"
    r"(?:knowledge |training |data |information )?(?:update|training|cut[- ]?off)(?: date)?"
    rf"(?:,| is| was| in| of| at| on|\s?\(){{0,3}} ?(?P<b>{_DATE})"
    r"|(?<!\w)I (?:was|am|have been)(?: last| only)? (?:trained|updated)(?: [\w'’-]+){0,6}? (?:up to|until|through"
    rf"|before|as of|in|ending in) (?P<c>{_DATE})"
    rf"|(?<!\w)knowledge cut[- ]?off(?: date)?(?:\s?[:=]| is| was| of| in){{1,2}} ?(?P<d>{_DATE})"
    r"|我的?(?:知识|训练|信息|数据|训练数据|知识库|数据库)[^，。！？\n]{0,12}?(?:截[止至]|更新|停留|到|至)"
    rf"[^，。！？\d\n]{{0,6}}?(?P<e>{_DATE})"
    rf"|(?:知识|训练数据)(?:截[止至])(?:日期|时间)?(?:为|是|到|至|于|：|:){{1,2}} ?(?P<f>{_DATE})",
    re.IGNORECASE,
)


def _claims_of_sentence(text: str, start: int, end: int) -> Iterator[Claim]:
    for about, is_known, pattern in _PATTERNS:
        match = pattern.search(text, start, end)
        if match:
            yield Claim(about, match["value"].strip(" \"'*"), match.start(), match.end(), is_known)
    match = _CUTOFF.search(text, start, end)
    if match:
        yield Claim("cutoff", match[match.lastgroup or 0], match.start(), match.end(), is_known=True)
