"""What stands around the letters of options in the statements of models, English and Chinese, as patterns.

Out: compiled patterns, each with a bounded look ahead, so that no text takes more than linear time. What follows from a
match is the business of `mentions.py`.
"""

from __future__ import annotations

import re

CHECKING = re.compile(r"\b(?:check|verify|consider|look|think|see|test)\b|检查|验证|看看", re.IGNORECASE)
STOP = re.compile(r"[.!?。！？](?=\s|$)|\n")
RETRACTION = re.compile(
    r"\b(?:wait|actually|no(?=\s?[,.:;!—-])|correction|sorry|oops|scratch that|i mean(?:t)?|or rather|hmm+"
    r"|on second thought|let me (?:correct|change|revise|reconsider)|i was wrong|i (?:made|was) (?:an? )?"
    r"(?:mistaken?|error)|change my (?:answer|mind))\b|不对|等等|等一下|更正|改选|改为|我错了|错了",
    re.IGNORECASE,
)

_OPENING = r"[(\[\"'“‘]{0,2}"
_SAID = (
    r"(?:\s?(?:(?:is|are|was|would be|must be|should be|will be|being|has to be|can only be|[:=])|to be)"
    r"(?: (?:therefore|thus|clearly|then|definitely|most likely|likely|simply|just|option|choice|answer|letter"
    r"|statement|the))*){0,3}:?"
)
# what makes the letter behind it the answer, and what makes it an option
_NOUN = r"(?:answer|option|choice|alternative|solution)"
ANSWER_LEAD = re.compile(
    rf"(?:\b(?:correct|right|best|final|true|most likely|my|the) (?:{_NOUN}|one|statement)s?{_SAID}"
    rf"|\banswers?{_SAID}"
    r"|\b(?:choos(?:e|ing)|chose|pick(?:ed|ing)?|select(?:ed|ing)?|go(?:ing)? (?:with|for)|settle (?:on|for)|mark)"
    r"(?: (?:the|option|choice|answer|letter))*"
    r"|\b(?:points? (?:us )?to|leaves?(?: us)?(?: only)?(?: with)?|matches|corresponds to|leads (?:us )?to)"
    r"(?: (?:the|option|choice|answer|letter|only))*"
    r"|(?:正确|最终|最佳|标准)?(?:答案|选项)(?:应该|应当|应|就|只能|显然)?(?:是|为|选|:)+(?:选项)?"
    r"|正确的?(?:一?[项个])?(?:应该|应)?(?:是|为)(?:选项|第)?|(?:故|应|应该|所以|因此|可|我|只能|当|须)?选择?(?:的是|:|了|项"
    r"(?=\s?[(:])|选项|答案)?)\s{0,3}:?\s{0,3}\Z",
    re.IGNORECASE,
)
OPTION_LEAD = re.compile(rf"(?:\b{_NOUN}s?|\bletter|选项|选择项)\s{{0,2}}:?\s{{0,2}}\Z", re.IGNORECASE)
CONCLUSION_LEAD = re.compile(
    r"(?:\b(?:it(?: is|['’]s)|must be|has to be|should be|would be|i(?: would)? (?:say|think|believe))"
    r"(?: (?:it is|it['’]s|that|therefore|option|choice))*"
    r"|(?:应该|应当|就|还)是|认为是?|所以是?|因此是?)\s{0,3}:?\s{0,3}\Z",
    re.IGNORECASE,
)
RIGHT = re.compile(
    r"[)\]\"'”’]{0,2}\s{0,3}(?:(?:is|are|was|must be|should be|would be|seems?|looks|remains|fits|holds)\s"
    r"(?:therefore |thus |clearly |indeed |definitely |obviously |actually |probably )?"
    r"(?:(?:the|our|my|a) )?(?:only |most |more |final )?"
    rf"(?:correct|right|true|best|better|likely|{_NOUN}|one that)|(?:is|are) (?:it|left)\b"
    r"|(?:fits|matches|holds)\b"
    r"|(?:选?项|选择)?\s?(?:才|均|都|最)?(?:是|为)?(?:正确|对的?|符合|成立|合适|最佳|答案))",
    re.IGNORECASE,
)
WRONG = re.compile(
    r"[)\]\"'”’]{0,2}\s{0,3}(?:(?:is|are|was|were|would be|seems?|looks|can|could|does|do|has|have)?\s?"
    r"(?:both |all |also |clearly |therefore |then |be )?"
    r"(?:not\b|n['’]t\b|never\b|incorrect|wrong|false|invalid|impossible|ruled out|eliminated|excluded|out\b|fails?\b"
    r"|too (?!be)\w+|unlikely|cannot|can['’]t)|(?:isn|aren|wasn|doesn|don|won|can|couldn|wouldn)['’]t\b"
    r"|(?:选?项|选择)?\s?(?:都|均|也|则|显然|是)?(?:错误?|不对|不正确|不符|不成立|不是|不能|不选|可以?排除|被?排除|排除))",
    re.IGNORECASE,
)
DENIAL = re.compile(
    r"(?:\b(?:not|isn['’]t|aren['’]t|wasn['’]t|never|nor|neither|except|excluding|excludes?|exclude|eliminat\w{1,4}"
    r"|rul(?:e[sd]?|ing) out|reject\w{0,3}|discard\w{0,3}|instead of|rather than|other than|unlike|than"
    r"|can['’]t be|cannot be)"
    r"(?: (?:the|an?|options?|choices?|answers?|be|either|correct|right|to|is|both|just|only|it|was|simply))*"
    r"|(?:不是|不选|并非|而非|排除|除了?|而不是|不应选|不能选|不可能是|非)(?:选?项|答案|了|是|选)*)[\s(\[:,]{0,4}\Z",
    re.IGNORECASE,
)
JOINT = re.compile(
    r"[)\]\"'”’]{0,2}\s{0,3}(?:选?项)?\s?(?P<joint>(?:[,;、/&+|]|\b(?:and|or|nor|and/or|maybe|perhaps|possibly|also"
    r"|as well as|both)\b|和|或者?|与|及|以及|可能|也许|也|是|可)?(?:[\s,]|\b(?:or|and|maybe|perhaps|possibly|also"
    r"|even|else|either|option|choice|answer|的?选项)\b){0,6})"
    rf"{_OPENING}\s?\Z",
    re.IGNORECASE,
)
EXPLANATION = re.compile(
    r"\b(?:because|since|as|for|due to|given|while|whereas|which|where|when|if|but)\b|因为|由于|理由|解析|而(?!是|非)"
    r"|[;；]|[.。](?=\s|[\u4e00-\u9fff])|\n",
    re.IGNORECASE,
)
QUESTION = re.compile(r"[^.!?。！？\n]{0,400}[?？]")

LETTER = re.compile(r"(?<![A-Za-z0-9_'’\\^.])(?P<letter>[A-Za-z])(?![A-Za-z0-9_'’^])")
RUN_OF_LETTERS = re.compile(r"(?<![A-Za-z0-9_'’\\^.])(?P<letters>[A-J]{2,6})(?![A-Za-z0-9_'’^])")
ARTICLE = re.compile(
    r" (?!(?:is|are|was|would|must|should|and|or|nor|because|since|as|which|with|but|not|for|has|does|fits|seems"
    r"|holds|matches|states|says|remains|only|then|too|being|in|at|on|by|due|while|if|to|more|most|rather|instead"
    r"|cannot|can|will|maybe|perhaps)\b)[a-z]"
)
ARTICLE_OF_NAME = re.compile(r" [A-Z][A-Za-z]")
VARIABLE_BEFORE = re.compile(r"(?:[=+*<>^\d\-]|\\[A-Za-z]{1,20}|\bpoint|\bvitamin|\bset|\bmatrix)\s{0,2}\Z")
VARIABLE_AFTER = re.compile(r"\s{0,2}(?:[=+*<>^]|-\s?\d|\()|\s{0,2}\\[a-z]")
ORDINAL_WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
CHINESE_DIGITS = "一二三四五六七八九十"
ORDINAL = re.compile(
    rf"\b(?P<word>{'|'.join(ORDINAL_WORDS)}|last)\s{_NOUN}\b"
    rf"|\b{_NOUN}\s(?:number\s|no\.?\s|#)?(?P<number>\d{{1,2}})(?![\w.,]?\d)"
    r"|第\s?(?P<place>[一二三四五六七八九十]|\d{1,2})\s?(?:个(?:选项|答案)?(?![\u4e00-\u9fff]{2})|项|个?选项)",
    re.IGNORECASE,
)
