"""Every judge: its table of cases, hostile text, the digest that guards its version, and its use as a reward."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from code_cases import SUM
from judge_cases import CASES, CHAIN_SUM, CHINESE, ENGLISH, FAIL, PASS, Case
from pydantic import TypeAdapter, ValidationError

from verifiers import (
    JUDGES,
    AnyJudge,
    Choice,
    Format,
    JudgePool,
    JudgeUnusable,
    LanguageConsistency,
    MathAnswer,
    Puzzle,
    Repetition,
    Task,
    parse_reference,
    puzzle,
    verify,
)

DIGESTS = Path(__file__).parent / "judge_digests.json"

N = 300_000
HOSTILE = {
    "empty": "",
    "blank": " \n\t",
    "braces": "{" * 1_000_000,
    "boxes": "\\boxed{" * (N // 7),
    "closed boxes": "\\boxed{" * 3000 + "}" * 3000,
    "many boxes": "\\boxed{1}," * (N // 10),
    "tower": "\\boxed{9^9^9}",
    "hidden tower": "\\boxed{(9^{99999})^{99999}}",
    "factorials": "\\boxed{((((9!)!)!)!)!}",
    "python tower": "The answer is 9**9**9**9",
    "brackets": "\\boxed{" + "(" * 900 + "1" + ")" * 900 + "}",
    "fractions": "\\boxed{" + "\\frac{1}{" * 200 + "2" + "}" * 200 + "}",
    "sines": "\\boxed{" + "\\sin(" * 100 + "1" + ")" * 100 + "}",
    "terms": "\\boxed{" + "+".join(f"x_{{{n}}}" for n in range(100)) + "}",
    "digits": "\\boxed{" + "9" * 100_000 + "}",
    "digits over digits": "\\boxed{\\frac{" + "9" * 900 + "}{" + "7" * 900 + "}}",
    "exponent": "\\boxed{1e999}",
    "division by zero": "\\boxed{1/0}",
    "nan": "\\boxed{\\text{nan}}",
    "null bytes": "\x00\x00 answer is \x00 5\x00",
    "lone surrogates": "<think>\ud800</think> \\boxed{\udfff5\ud800}",
    "bidi": "\\boxed{\u202e81\u202c}",
    "combining": "a" + "\u0301" * 10_000,
    "emoji": "\\boxed{" + "👩‍👩‍👧‍👦" * 100 + "}",
    "tags": "<think>" * 1000 + "</think>" * 1000,
    "backslashes": "\\" * N,
    "dollars": "$" * N,
    "openers": "\\[" * (N // 2),
    "inline openers": "\\(a" * (N // 3),
    "environments": "\\begin{a}" * (N // 9),
    "addresses": "https://" * (N // 8),
    "annotations": "<<1" * (N // 3),
    "one line": "it is 5 or \\(" * (N // 14),
    "backticks": "`" * N,
    "newlines": "\n" * N,
    "phrases": "answer is " * (N // 10),
    "words": "word " * (N // 5),
    "ideographs": "漢字" * (N // 2),
    "code": "\\boxed{__import__('os').system('touch /tmp/owned')}",
    "sympy": "\\boxed{Integer.__class__.__mro__}",
    "matrix": "\\boxed{\\begin{pmatrix}" + "1&" * 400 + "1\\end{pmatrix}}",
    "choices": "A B C D " * 1000,
}
FOLLOWED_BY_NONE = [
    {"id": "keywords:existence", "keywords": ["zebra"]},
    {"id": "language:response_language", "language": "fr"},
    {"id": "length_constraints:number_sentences", "num_sentences": 3, "relation": "at least"},
    {"id": "detectable_content:postscript", "postscript_marker": "P.S."},
    {"id": "detectable_format:json_format"},
    {"id": "detectable_format:title"},
    {"id": "change_case:english_capital"},
]
REFERENCES = {
    "math_answer": "x+1",
    "code_tests": SUM,
    "choice": {"kind": "choice", "value": "B"},
    "puzzle": CHAIN_SUM,
    "instructions": {"kind": "instructions", "instructions": FOLLOWED_BY_NONE},
}


def judge_of(kind):
    return JUDGES[kind].model_validate({"kind": kind})


def task_of(kind, case):
    return Task(
        judge=judge_of(kind),
        completion=case.completion,
        reference=None if case.reference is None else parse_reference(case.reference),
        prompt=None if case.prompt is None else [{"role": "user", "content": case.prompt}],
    )


@pytest.fixture(scope="module")
def pool():
    with JudgePool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def verdicts(pool):
    """The verdicts of all tables of cases, judged in a pool."""
    kinds = [kind for kind in CASES for _ in CASES[kind]]
    found = pool.map(task_of(kind, case) for kind in CASES for case in CASES[kind])
    by_kind = {kind: [] for kind in CASES}
    for kind, verdict in zip(kinds, found, strict=True):
        by_kind[kind].append(verdict)
    return by_kind


@pytest.mark.parametrize("kind", CASES)
def test_cases(kind, verdicts):
    wrong = []
    for case, verdict in zip(CASES[kind], verdicts[kind], strict=True):
        right = verdict.outcome == case.outcome and verdict.cause != "transient"
        if case.score is not None:
            right = right and verdict.score == pytest.approx(case.score)
        if verdict.span is not None:
            there = case.completion[slice(*verdict.span)]
            right = right and (there == verdict.extracted or "\\boxed" in there)  # boxes that are joined to a list
        if not right:
            wrong.append((case, verdict))
    assert not wrong
    assert all((v.by, v.version) == (kind, JUDGES[kind].version) for v in verdicts[kind])


@pytest.mark.parametrize("kind", CASES)
def test_outcomes_change_only_with_the_version(kind, verdicts):
    rows = [[v.outcome, v.score, v.extracted, v.span] for v in verdicts[kind]]
    text = json.dumps(rows, ensure_ascii=True)
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    found = {"version": JUDGES[kind].version, "cases": len(rows), "digest": digest}
    stored = json.loads(DIGESTS.read_text())[kind]
    assert found == stored, (
        f"the outcomes of {kind} on its case table changed. If only cases were added, store the new digest; if the "
        f"judge says something else about an old case, raise its version first. Now it is {json.dumps(found)}"
    )


@pytest.mark.parametrize("kind", CASES)
def test_hostile_text_always_gets_a_verdict(kind, pool):
    reference = parse_reference(REFERENCES[kind]) if kind in REFERENCES else None
    prompt = [{"role": "user", "content": ENGLISH}]
    names = [name for name in HOSTILE if kind == "math_answer" or name != "hidden tower"]
    started = time.process_time()
    found = list(
        pool.map(
            Task(judge=judge_of(kind), completion=HOSTILE[name], reference=reference, prompt=prompt) for name in names
        )
    )
    assert time.process_time() - started < 20
    for name, verdict in zip(names, found, strict=True):
        if kind in REFERENCES:
            assert verdict.outcome in (FAIL, "unknown"), name
        if name != "hidden tower":
            assert verdict.cause != "transient", (name, verdict)
        assert verdict.seconds < 60, name
    assert not Path("/tmp/owned").exists()


def test_each_judge_passes_its_own_reference_only():
    own = {
        "42": "<think>so</think> \\boxed{42}",
        "x+1": "<think>so</think> \\boxed{x+1}",
        "\\frac{3}{4}": "<think>so</think> The answer is $\\frac{3}{4}$.",
    }
    for reference in own:
        for about, completion in own.items():
            assert (verify(completion, reference).outcome == PASS) == (about == reference)
        assert verify("", reference).outcome == FAIL
    assert verify("选 C", {"kind": "choice", "value": "C"}).outcome == PASS
    assert verify("\\boxed{42}", CHAIN_SUM).outcome == PASS
    with pytest.raises(JudgeUnusable, match="bound"):
        verify("x", {"kind": "rubric", "criteria": ["is kind"]})


def test_checkers_of_many_families_pass_their_own_answers(pool):
    gym = pytest.importorskip("reasoning_gym")
    families = ["ab", "base_conversion", "basic_arithmetic", "binary_matrix", "calendar_arithmetic", "caesar_cipher"]
    families += ["chain_sum", "count_primes", "decimal_arithmetic", "fraction_simplification", "gcd", "leg_counting"]
    families += [
        "letter_counting",
        "mini_sudoku",
        "n_queens",
        "number_sorting",
        "polynomial_multiplication",
        "puzzle24",
    ]
    families += ["rearc", "rotate_matrix", "simple_equations", "simple_integration", "spell_backward", "word_sorting"]
    asked = []
    for family in families:
        entry = json.loads(json.dumps(gym.create_dataset(family, size=1, seed=3)[0], default=str))
        reference = parse_reference({"kind": "puzzle", "family": family, "entry": entry})
        for form in ("<think>so</think>\n<answer>{}</answer>", "\\boxed{{{}}}", "<think>so</think>\n{}"):
            asked.append(Task(judge=Puzzle(), completion=form.format(entry["answer"]), reference=reference))
        asked.append(Task(judge=Puzzle(), completion="<answer>no idea</answer>", reference=reference))
    found = list(pool.map(asked))
    outcomes = [v.outcome == PASS for v in found]
    assert [
        (t.reference.family, v)
        for t, v, n in zip(asked, found, range(len(asked)), strict=True)
        if (n % 4 < 3) != outcomes[n]
    ] == []


def test_configured_judges():
    boxed, tagged = Format(require_boxed=True), Format(require_answer_tags=True)
    assert boxed.judge("<think>a</think> \\boxed{4}").outcome == PASS
    assert boxed.judge("<think>a</think> \\boxed{4").outcome == FAIL
    assert boxed.judge("<think>\\boxed{4}</think> 4").outcome == FAIL
    assert tagged.judge("<think>a</think>\n<answer>4</answer>").outcome == PASS
    assert tagged.judge("<think>a</think> so <answer>4</answer>").outcome == FAIL
    assert tagged.judge("<think>a</think> <answer> </answer>").outcome == FAIL
    assert LanguageConsistency(language="zh-Hans").judge("<think>首先相加</think>").score == 1.0
    assert LanguageConsistency(language="en").judge("<think>首先相加</think>").score == 0.0
    quoted = [{"role": "user", "content": 'Translate "我们今天去公园玩" into English, please.'}]
    assert LanguageConsistency().judge("<think>We go to the park today</think>", None, quoted).score == 1.0


def test_judges_are_rewards_of_a_grpo_trainer():
    chats = [
        [{"role": "assistant", "content": "\\boxed{4}"}],
        [{"role": "assistant", "content": "\\boxed{5}"}],
        "\\boxed{4}",
    ]
    references = ["4", "4", {"kind": "choice", "value": "A"}]
    assert MathAnswer()(chats, reference=references, prompts=["?"] * 3, completion_ids=[[1]] * 3) == [1.0, 0.0, None]
    assert MathAnswer()(["4"], reference=[True]) == [None]
    assert MathAnswer().__name__ == "math_answer"
    assert MathAnswer.__name__ == "MathAnswer"
    assert Format()(["<think>a</think>b", "b"]) == [1.0, 0.0]
    assert LanguageConsistency()(["<think>首先</think>"] * 2, prompts=[CHINESE, ENGLISH]) == [1.0, 0.0]
    assert Repetition()(["fine", "no no no no"]) == [1.0, 0.25]
    assert Choice()([""], reference=[{"kind": "choice", "value": "A"}]) == [0.0]


def test_judges_are_frozen_configurations_of_one_union():
    adapter = TypeAdapter(AnyJudge)
    for kind, judge in JUDGES.items():
        assert type(adapter.validate_python({"kind": kind})) is judge
        with pytest.raises(ValidationError):
            adapter.validate_python({"kind": kind, "no_such_field": 1})
    with pytest.raises(ValidationError):
        Format().require_boxed = True


def test_a_missing_reasoning_gym_is_told_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setattr("verifiers.puzzle.inside_worker", lambda: True)
    puzzle._families.cache_clear()
    verdict = Puzzle().judge("\\boxed{42}", parse_reference(CHAIN_SUM))
    assert (verdict.outcome, verdict.cause) == ("unknown", "permanent")
    assert "pip install" in verdict.reason


def test_importing_the_package_is_light():
    heavy = "('sympy', 'flint', 'math_verify', 'reasoning_gym', 'torch', 'pycld2', 'langdetect', 'factory', 'numpy')"
    script = f"import sys, verifiers; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_case_tables_hold_what_every_judge_must_show():
    for kind, cases in CASES.items():
        assert any(case.completion == "" for case in cases), kind
        assert all(isinstance(case, Case) for case in cases)
