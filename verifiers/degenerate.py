"""Answers that say nothing: what naive judging models are known to pass, refused before any model is asked.

In: an answer, and the reference if there is one. Out: what is wrong with it, or None. A lone `{`, a colon or an opener
such as "Thought process:" passes 22 to 67 % of model judges ("One Token to Fool LLM-as-a-Judge", arXiv 2507.08794,
and the README of hkust-nlp/RL-Verifier-Pitfalls). This refuses only what holds no statement at all; whether a statement
is right is the model's business. What the reference itself says is never refused.
"""

from __future__ import annotations

import re

_LONGEST = 400
"""Characters of an answer that may be nothing but openers."""
_MARKUP = re.compile(r"</?[A-Za-z][\w-]{0,20}>|\\[A-Za-z]{1,12}|[^\w]|_")
_GREETINGS = {"sure", "okay", "ok", "certainly", "alright", "of course", "great", "hello", "hi"}
_OPENERS = re.compile(
    r"(?:"
    r"(?:(?:sure|okay|ok|certainly|alright|of course|great) )?"
    r"(?:"
    r"(?:here is |here s |this is )?(?:the |my |a |your )?(?:step by step |detailed |full |complete )?"
    r"(?:thought process|thinking process|thoughts|thought|reasoning process|reasoning|solution process|solution"
    r"|final answer|answer|explanation|analysis|response|conclusion|steps|step 1|step one)(?: is)?(?: below| follows)?"
    r"|(?:let s|let us|let me|i will|i ll|we will|we ll|we need to|we can|i need to|now)? ?"
    r"(?:solve|think about|think|analyze|analyse|work through|go through|break|reason about|answer|tackle|consider"
    r"|start)"
    r"(?: (?:this|the|it|that|through|down|about|with|carefully|problem|question|task|first|together|now|out))*"
    r"(?: (?:step by step|carefully|systematically|in steps))?"
    r"|to (?:solve|answer) (?:this|the) (?:problem|question)(?: we (?:need|have) to)?"
    r"|step by step|therefore|thus|so|hence|the answer is correct"
    r")"
    r"|思考过程|思考過程|思路|解题思路|解題思路|解题过程|解|解答|解析|答案|答|答案是|最终答案|让我们一步一步地?思考|让我们一步步来解决这个问题"
    r"|让我们逐步解决这个问题|分析|首先|所以|因此"
    r"|かいせつ|解説|答え|回答|思考プロセス|풀이|해설|정답|답"
    r"|respuesta|solución|proceso de pensamiento|razonamiento|explicación|vamos a resolver este problema paso a paso"
    r"|réponse|solution|raisonnement|processus de réflexion|résolvons ce problème étape par étape"
    r"|lösung|antwort|gedankengang|begründung|lass uns das schritt für schritt lösen"
    r"|risposta|soluzione|ragionamento|resposta|solução|raciocínio"
    r"|ответ|решение|ход мыслей|рассуждение|объяснение|давайте решим эту задачу шаг за шагом"
    r"|الجواب|الحل|الإجابة|उत्तर|समाधान"
    r")",
    re.IGNORECASE,
)


def says_nothing(answer: str, reference: str = "") -> str | None:
    """Say what is wrong with an answer that holds no statement; None if it may hold one.

    Example:
        >>> says_nothing("**Thought process:**\\n"), says_nothing("{"), says_nothing("{", reference="{")
        ("the answer is nothing but an opener: 'Thought process'", 'the answer has no letter and no digit', None)
    """
    text = answer.strip()
    if not text:
        return "there is no answer"
    if reference.strip() and text.casefold() == reference.strip().casefold():
        return None
    if not any(character.isalnum() for character in text):
        return "the answer has no letter and no digit"
    if len(text) > _LONGEST:
        return None
    words = _words(text)
    if words and words == _words(reference):
        return None
    lines = [words for line in re.split(r"[\r\n.:：。!]+", text) if (words := _words(line))]
    said = [words for words in lines if words not in _GREETINGS]
    if all(map(_OPENERS.fullmatch, said)) and (said or not lines):
        return f"the answer is nothing but an opener: {text.strip('*#:：. ')[:60]!r}"
    return None


def _words(text: str) -> str:
    """Return the words of a text, lower case, one space between them, without markup."""
    return " ".join(_MARKUP.sub(" ", text[:_LONGEST]).casefold().split())
