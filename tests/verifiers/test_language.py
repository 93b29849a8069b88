"""The judge `language`: masks, scripts, sentences of one script, terms, evidence; planted sentences and clean text."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

import langdetect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers import LanguageConsistency, language_detect
from verifiers.language import language_of
from verifiers.language_masks import mask
from verifiers.language_scripts import count, primary, script_of
from verifiers.language_sentences import places

CASES = Path(__file__).parent / "language_cases"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LANGUAGES = ("ar", "de", "en", "es", "fa", "fr", "it", "ja", "ko", "pt", "ru", "uk", "zh")
SETS = ("tuned", "held_out")
MATH_FORMULA = " $x^2 + \\frac{1}{2} = 5$ "


def sentences(name, language):
    return (CASES / name / f"{language}.txt").read_text(encoding="utf-8").splitlines()


def judged(text, language, prompt=None):
    return LanguageConsistency(language=language).judge(text, None, prompt)


MASKED = [
    # text, what is left of it
    ("a `code here` b", "a b"),
    ("a\n```python\nx = 1\n```\nb", "a b"),
    ("a ```x``` b ```y", "a b ```y"),
    ("so $x$ and $$y$$ and \\(z\\) and \\[w\\] end", "so and and and end"),
    ("\\begin{cases} a & b \\end{cases} then", "then"),
    ("we \\boxed{\\text{red}} get \\frac{a}{b} of \\alpha", "we { } get of"),
    ("see https://a.org/b?c=d now", "see now"),
    ("I am {{name}} of {author}", "I am of"),
    ("2 + 3 = <<2+3=5>>5", "2 + 3 = 5"),
    ("a <think> b </think> c", "a b c"),
    ("draw [asy] draw((0,0)--(1,1)); label[a]; [/asy] it", "draw it"),
    ("so:\nfor i in range(n):\n    total += i\nprint(total)\ndone", "so: done"),
    ("so:\n#include <vector>\nint main() {\n    return 0;\n}\ndone", "so: done"),
    ("so:\nresult = [a for a in b if a > 1]\ndone", "so: done"),
    ("const f = (a, b) => a + b", ""),
    # prose stays
    ("If x is even, we stop:\nFor the rest, we go on.", "If x is even, we stop: For the rest, we go on."),
    ("Sum = the first number and the second one", "Sum = the first number and the second one"),
    ("it costs $5 and he pays $7 for it", "it costs $5 and he pays $7 for it"),
    ("$\\text{only if the sum is even}$", "$ {only if the sum is even}$"),
    ("return the book to her", "return the book to her"),
]


@pytest.mark.parametrize(("text", "left"), MASKED)
def test_masks(text, left):
    masked = mask(text)
    assert len(masked) == len(text)
    assert " ".join(masked.split()) == left


WORDS = [
    # text, language, words
    ("It's a well-known fact", "en", 4),
    ("l'équation à résoudre", "fr", 3),
    ("我们先算", "zh", 2),
    ("我们先算，好", "zh", 3),
    ("りんごが三個", "ja", 3),
    ("두 수를 더한다", "ko", 3),
    ("п'ять яблук і сім", "uk", 4),
    ("می‌کنیم و می‌رود", "fa", 3),
    ("สวัสดีครับ", "th", 3),
    ("संख्याओं को जोड़ते हैं", "hi", 4),
    ("x + y = 12 α", "en", 0),
    ("𝑥 ℝ ² ½", "en", 0),
]


@pytest.mark.parametrize(("text", "language", "words"), WORDS)
def test_words(text, language, words):
    assert count(text, script_of(language)) == words


SCRIPTS = {
    "en": "then we divide both numbers", "zh": "然后我们把它们相除", "ko": "그다음 두 수를 나눈다",
    "ru": "затем мы разделим оба числа", "el": "μετά διαιρούμε τους αριθμούς", "ar": "ثم نقسم كلا العددين",
    "he": "אחר כך נחלק את המספרים", "hi": "फिर हम दोनों संख्याओं को बाँटते हैं", "bn": "তারপর আমরা ভাগ করি",
    "th": "จากนั้นเราหารทั้งสองจำนวน", "ta": "பிறகு இரண்டையும் வகுக்கிறோம்", "te": "తరువాత రెండింటినీ భాగిస్తాము",
    "ka": "შემდეგ ორივე რიცხვს ვყოფთ", "hy": "ապա բաժանում ենք թվերը", "am": "ከዚያ ሁለቱን እናካፍላለን",
    "km": "បន្ទាប់មកយើងចែក", "lo": "ຈາກນັ້ນພວກເຮົາຫານ", "my": "ထို့နောက်ကျွန်ုပ်တို့စားသည်", "gu": "પછી આપણે ભાગીએ છીએ",
    "pa": "ਫਿਰ ਅਸੀਂ ਵੰਡਦੇ ਹਾਂ", "kn": "ನಂತರ ನಾವು ಭಾಗಿಸುತ್ತೇವೆ", "ml": "പിന്നെ നമ്മൾ ഹരിക്കുന്നു",
}  # fmt: skip


@pytest.mark.parametrize("target", SCRIPTS)
def test_every_script_is_told_from_every_other(target):
    for other, foreign in SCRIPTS.items():
        verdict = judged(f"{SCRIPTS[target]}. {foreign}.", target)
        if other == target:
            assert verdict.score == 1.0, (target, verdict)
        else:
            assert verdict.extracted == foreign, (target, other, verdict)
            assert 0 < verdict.score < 1


@pytest.mark.parametrize("name", SETS)
def test_planted_sentences_are_found(name):
    missed = {"separable": [], "same script": []}
    planted = dict.fromkeys(missed, 0)
    for target, other in permutations(LANGUAGES, 2):
        kind = "same script" if script_of(other) == script_of(target) else "separable"
        own = sentences(name, target)
        for number, sentence in enumerate(sentences(name, other)[: 24 if kind == "same script" else 6]):
            around = [own[(number + place) % len(own)] for place in range(6)]
            before = " ".join(around[:3]) + MATH_FORMULA
            verdict = judged(f"{before}{sentence} {' '.join(around[3:])}", target)
            span = verdict.span or (0, 0)
            inside = min(span[1], len(before) + len(sentence)) - max(span[0], len(before))
            planted[kind] += 1
            if 2 * inside < len(sentence) or span[1] - span[0] > inside:
                missed[kind].append((target, other, sentence, verdict.extracted))
    assert len(missed["separable"]) <= 0.01 * planted["separable"], missed["separable"]
    assert len(missed["same script"]) <= 0.1 * planted["same script"], missed["same script"]
    assert planted == {"separable": 720, "same script": 864}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_clean_sentences_raise_no_alarm(name, language):
    for number, sentence in enumerate(sentences(name, language)):
        alone, more = (
            judged(sentence, language),
            judged(sentence + MATH_FORMULA + sentences(name, language)[0], language),
        )
        assert alone.score in (1.0, None), alone
        assert more.score == 1.0, (number, more)


REAL = [
    ("gsm8k/completions.jsonl", "completion", "en", 0.005),
    ("math/problems.jsonl", "solution", "en", 0.02),
    ("cmath/problems.jsonl", "question", "zh", 0.005),
]


@pytest.mark.parametrize(("file", "column", "language", "unknown"), REAL)
def test_real_reasoning_raises_no_alarm(file, column, language, unknown):
    if not (DATA / file).is_file():
        pytest.skip(f"{DATA / file} is not there")
    rows = (DATA / file).read_text(encoding="utf-8").splitlines()
    verdicts = [judged(json.loads(row)[column], language) for row in rows]
    below = [verdict for verdict in verdicts if verdict.score is not None and verdict.score < 0.95]
    assert len(below) <= 0.005 * len(verdicts), below[:5]
    assert sum(verdict.outcome == "unknown" for verdict in verdicts) <= unknown * len(verdicts)


def test_code_without_a_fence_is_no_foreign_language():
    if not (DATA / "mbpp/problems.jsonl").is_file():
        pytest.skip(f"{DATA / 'mbpp/problems.jsonl'} is not there")
    for row in (DATA / "mbpp/problems.jsonl").read_text(encoding="utf-8").splitlines():
        code = json.loads(row)["code"]
        assert judged(code, "en").outcome == "unknown"
        assert judged(f"我们这样写：\n{code}\n就得到答案。", "zh").score == 1.0, code


PROMPTS = [
    ("Solve $x + 1 = 2$.", "en"),
    ("Combien font douze plus trente ?", "fr"),
    ("Wie viele Äpfel hat sie noch?", "de"),
    ("¿Cuántas manzanas le quedan?", "es"),
    ("小明有几个苹果？", "zh"),
    ("りんごは全部で何個ですか。", "ja"),
    ("Скільки яблук у неї залишилося?", "uk"),
    ("Сколько яблок у неё осталось?", "ru"),
    ("چند سیب برای او باقی می‌ماند؟", "fa"),
    ("كم تفاحة بقيت لديها؟", "ar"),
    ("Translate “我们今天去公园玩” into English, please.", "en"),
    ("def f(x):\n    # Return the sum of all even numbers in the list\n", "en"),
    ("Hvor mange æbler har hun tilbage, når hun giver to af dem væk?", "da"),
    ("Hvor mange epler har hun igjen når hun gir bort to av dem?", "no"),
    ("hi", "en"),
    ("2 + 3 =", None),
    ("", None),
]


@pytest.mark.parametrize(("prompt", "language"), PROMPTS)
def test_the_language_of_a_prompt(prompt, language):
    assert language_of([{"role": "user", "content": prompt}]) == language


def test_codes_of_languages():
    codes = {"zh-Hans": "zh", "EN_us": "en", "iw": "he", "nb-NO": "no", "da": "no", "sr-Latn": "hr", "sr-Cyrl": "sr"}
    assert {code: primary(code) for code in codes} == codes


def test_evidence_points_at_the_text_and_is_bounded():
    text = "<think>We add them. " + "".join(f"然后得到第{n}个。 So we go on with it. " for n in range(9)) + "</think>"
    verdict = judged(text, "en")
    assert verdict.extracted == text[slice(*verdict.span)] == "然后得到第0个"
    assert f"8 more: '然后得到第1个' (zh, at {text.index('然后得到第1个')})" in verdict.reason
    assert verdict.reason.endswith("; …")
    assert len(verdict.reason) < 500
    odd = judged("We add them. 好\ud800 and so on. \u202eпривет всем\u202c and we are done.", "en")
    odd.reason.encode()
    assert len(judged("We add them. " + "好" * 5000, "en").extracted) == 200


def test_scripts_that_decide_ask_no_detector(monkeypatch):
    def never(*_, **__):
        raise AssertionError("asked")

    monkeypatch.setattr(language_detect, "cld2", never)
    monkeypatch.setattr(language_detect, "langdetect", never)
    assert judged("먼저 두 수를 더합니다. Then we divide. 나머지는 없습니다.", "ko").score == 6 / 9
    assert judged("We add the numbers first. 然后得到答案。 Then we are done.", "en").score == 9 / 12


def test_second_opinions_are_bounded(monkeypatch):
    asked = []
    monkeypatch.setattr(language_detect, "langdetect", asked.append)
    doubtful = "".join(f"brelka{n} mundo tavre sintela porcun velida dorsane. " for n in range(400))
    judged(doubtful, "uz")
    assert len(asked) <= 50


def test_verdicts_are_the_same_in_threads_and_processes():
    texts = [
        f"{sentences('tuned', a)[n]} {sentences('held_out', b)[n]} {sentences('tuned', a)[n + 1]}"
        for a, b in (("es", "pt"), ("fr", "it"), ("ru", "uk"), ("en", "fr"), ("ja", "zh"))
        for n in range(12)
    ]
    targets = [a for a in ("es", "fr", "ru", "en", "ja") for _ in range(12)]
    alone = [judged(text, target).reason for text, target in zip(texts, targets, strict=True)]
    with ThreadPoolExecutor(4) as threads:
        together = [verdict.reason for verdict in threads.map(judged, texts * 2, targets * 2)]
    assert together == alone * 2
    script = (
        "import json, sys; from verifiers import LanguageConsistency as L; "
        "print(json.dumps([L(language=b).judge(a).reason for a, b in json.load(sys.stdin)]))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps(list(zip(texts, targets, strict=True))),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert json.loads(done.stdout) == alone
    assert langdetect.DetectorFactory.seed is None  # other users of the library keep their own


HOSTILE = {
    "doubtful sentences": "Xorba tunli mevra kostindel. " * 20_000,
    "no blanks": "日" * 300_000 + "a" * 300_000,
    "one word each": "的a" * 150_000,
    "code starts": "\nfor a in b" * 30_000,
    "assignments": "\na = " * 60_000,
    "spaces in code": ("\nint " + " " * 200) * 1500,
    "fences": "``` a `` b " * 30_000,
    "quotes of the prompt": "un deux trois " * 25_000,
    "clauses": "the, que, la, les, de, des, du, we, are, " * 8000,
    "names": "我 Alice 和 Bob " * 15_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("language", ["en", "zh", "ja", "ru"])
def test_hostile_text_gets_a_verdict(name, language):
    prompt = [{"role": "user", "content": "un deux " * 20_000}]
    verdict = judged(HOSTILE[name], language, prompt)
    assert verdict.cause != "transient"
    assert "raised" not in verdict.reason


PIECES = st.sampled_from([
    "我们", "the ", "と", "привет ", "\n", "```", "$", "\\text{", "}", "def f(", ". ", "“", "”", "Alice ",
    "\ud800", "١",
    "x_1", " = ",
    "le ", "der ", "。", "\u202e", "ß", "ﬀ", "İ", "´",
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join), st.sampled_from(["en", "tr", "zh", "ja", "ru", "ar", "hi", "sw"]))
def test_any_text_gets_a_share_or_unknown(text, language):
    verdict = judged(text, language)
    assert "raised" not in verdict.reason
    assert verdict.score is None or 0 <= verdict.score <= 1
    if verdict.span is not None:
        assert verdict.extracted == text[slice(*verdict.span)]
        assert verdict.extracted
    assert all(start <= end for start, end in places(text))
