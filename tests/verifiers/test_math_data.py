"""The math judge on real problems and real completions. Skips where the data folder is not there."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from verifiers import JudgePool, MathAnswer, Task, parse_reference
from verifiers.extract import find_answer

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def rows(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no data at {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def judged(pairs):
    tasks = [Task(judge=MathAnswer(), completion=text, reference=parse_reference(ref)) for text, ref in pairs]
    with JudgePool(1) as pool:
        return list(pool.map(tasks))


def boxed(solution):
    found = find_answer(solution)
    assert found is not None
    assert found.how == "box", solution
    return found.text


def test_agreement_with_the_labels_of_recorded_completions():
    answers = {row["id"]: row["answer"] for row in rows("gsm8k/problems.jsonl")}
    completions = rows("gsm8k/completions.jsonl")
    verdicts = judged([(row["completion"], answers[row["problem_id"]]) for row in completions])
    agreed = sum((v.outcome == "pass") == row["is_correct"] for row, v in zip(completions, verdicts, strict=True))
    assert agreed / len(completions) >= 0.999
    assert Counter(v.outcome for v in verdicts)["unknown"] <= 3


def changed(text, random):
    """Change one digit of an expression; None if it has none."""
    places = [place for place, mark in enumerate(text) if mark in "0123456789"]
    if not places:
        return None
    place = random.choice(places)
    return text[:place] + random.choice("0123456789".replace(text[place], "")) + text[place + 1 :]


def test_math_references_against_themselves_and_others():
    problems = rows("math/problems.jsonl")[::8][:300]
    answers = [boxed(row["solution"]) for row in problems]
    own = judged([(row["solution"], answer) for row, answer in zip(problems, answers, strict=True)])
    assert [v.reason for v in own if v.outcome != "pass"] == []
    others = [(f"\\boxed{{{answers[n - 1]}}}", answer) for n, answer in enumerate(answers) if answers[n - 1] != answer]
    random = Random(7)
    digits = [(changed(answer, random), answer) for answer in answers]
    others += [(f"\\boxed{{{other}}}", answer) for other, answer in digits if other is not None]
    assert len(others) > 500
    wrong = [v.reason for v in judged(others) if v.outcome == "pass"]
    assert wrong == []


def test_chinese_answers():
    problems = rows("cmath/problems.jsonl")[::3]
    wide = str.maketrans("0123456789.", "０１２３４５６７８９．")
    sentences = [
        "<think>先算一下。</think>答案是：{}。",
        "所以，答案为 {}",
        "答：一共{}个。",
        "因此最终答案是 $\\boxed{{{}}}$。",
    ]
    for sentence in sentences:
        right = [(sentence.format(row["answer"]), row["answer"]) for row in problems]
        full_width = [(sentence.format(row["answer"].translate(wide)), row["answer"]) for row in problems]
        wrong = [(sentence.format("1" + row["answer"]), row["answer"]) for row in problems]
        verdicts = judged(right + full_width + wrong)
        outcomes = [v.outcome for v in verdicts]
        assert outcomes == ["pass"] * (2 * len(problems)) + ["fail"] * len(problems), sentence
