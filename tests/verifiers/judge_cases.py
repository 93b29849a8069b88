"""One table of cases per judge: what it must say. A line is added per bug, forever.

A row: reference (JSON form), prompt (of the user), completion, outcome, score (None: not looked at). Most cases of
math_answer stand in math_cases/, a file per category, one case per line with the reason why.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"

ENGLISH = "What is 12 + 30? Explain your steps."
CHINESE = "小明有12个苹果，又买了30个，一共有几个？"
JAPANESE = "りんごが十二個あります。全部で何個ですか。"
FRENCH = "Combien font douze plus trente ?"
RUSSIAN = "Сколько будет двенадцать плюс тридцать?"

CHAIN_SUM = {
    "kind": "puzzle",
    "family": "chain_sum",
    "entry": {
        "question": "State the final answer to the following arithmetic problem: 12 + 30 =",
        "answer": "42",
        "metadata": {"source_dataset": "chain_sum", "expression": "12 + 30"},
    },
}
COUNTDOWN = {
    "kind": "puzzle",
    "family": "countdown",
    "entry": {
        "question": "Find a way to make 11 from 3, 4, 7 ...",
        "answer": "4 + 7",
        "metadata": {"source_dataset": "countdown", "numbers": [4, 7], "target": 11, "expression": "4 + 7"},
    },
}
LIST_OF_LETTERS = {
    "kind": "puzzle",
    "family": "string_insertion",
    "entry": {"question": "...", "answer": "ABA", "metadata": {}},
}
METRES = ["1 m", "2 m", "a cat"]


def _choice(value: str, options: list[str] | None = None) -> dict[str, Any]:
    return {"kind": "choice", "value": value} | ({"options": options} if options else {})


@dataclass(frozen=True)
class Case:
    completion: str
    outcome: str
    reference: Any = None
    prompt: str | None = None
    score: float | None = None


def _math(*rows: tuple[str, str, str]) -> list[Case]:
    return [Case(completion, outcome, reference=reference) for reference, completion, outcome in rows]


WHOLE = ("extraction", "reward_hacks")
"""Tables whose answers are whole completions; those of the others stand in a box."""


def math_tables() -> dict[str, list[Case]]:
    """Read math_cases/*.tsv: outcome, reference, answer, why, and perhaps the prompt; a line feed is written as ⏎."""
    found: dict[str, list[Case]] = {}
    for path in sorted((Path(__file__).parent / "math_cases").glob("*.tsv")):
        cases = found[path.stem] = []
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.strip() and not line.startswith("#"):
                outcome, reference, answer, _, *prompt = line.replace("⏎", "\n").split("\t")
                completion = answer if path.stem in WHOLE else f"\\boxed{{{answer}}}"
                cases.append(Case(completion, outcome, reference or None, *prompt))
    return found


MATH_TABLES = math_tables()

MATH_ANSWER = [
    *_math(
        # numbers in their spellings
        ("18", "18", PASS),
        ("18", "16 - 3 = <<16-3=13>>13 eggs left\nA: 18", PASS),
        ("18", "16 - 3 = <<16-3=13>>13 eggs left\nA: 26", FAIL),
        ("18", "So she makes 9 * 2 = $18 per day.", PASS),
        ("18", "She makes $18 every day", PASS),
        ("18", "There are 5 ducks. So she has 18 eggs.", PASS),
        ("5", "There are 5 ducks. So she has 18 eggs.", FAIL),
        ("72", "A: $72.00", PASS),
        ("72", "Half of it.\n#### 72", PASS),
        ("1/2", "\\boxed{0.5}", PASS),
        ("\\frac34", "\\boxed{\\frac{3}{4}}", PASS),
        ("42", "\\boxed{42.}", PASS),
        ("1234567", "\\boxed{1\\,234\\,567}", PASS),
        ("3600", "\\boxed{3{,}600}", PASS),
        ("1000", "\\boxed{1,000}", PASS),
        ("6.02e23", "\\boxed{6.02 \\times 10^{23}}", PASS),
        ("3.5", "\\boxed{3 1/2}", PASS),
        ("3.5", "\\boxed{3\\frac12}", PASS),
        ("-3", "\\boxed{−3}", PASS),
        ("50\\%", "\\boxed{0.5}", PASS),
        ("50", "\\boxed{50\\%}", PASS),
        ("2 million", "\\boxed{2000000}", PASS),
        ("3.1416", "\\boxed{3.14159}", PASS),
        ("3.1416", "\\boxed{\\pi}", PASS),
        ("0.33", "\\boxed{1/3}", FAIL),
        ("1.6e-19", "\\boxed{9.1e-31}", FAIL),
        ("0.0000003", "\\boxed{0.0000004}", FAIL),
        ("181818", "18" * 300, FAIL),
        # units
        ("17", "\\boxed{17\\,\\text{kg}}", PASS),
        ("120", "\\boxed{120^\\circ}", PASS),
        ("8\\pi", "\\boxed{8\\pi \\text{ cm}^2}", PASS),
        ("5\\text{ m}", "\\boxed{5\\text{ cm}}", FAIL),
        ("144 \\mbox{ m}^3", "\\boxed{144 \\mbox{ m}^2}", FAIL),
        ("30^\\circ", "\\boxed{30 \\text{ radians}}", FAIL),
        # other scripts
        ("12", "答案是：12。", PASS),
        ("12", "答案为：１２。", PASS),
        ("12", "答：一共12个苹果。", PASS),
        ("1.5", "所以需要1.5小时", PASS),
        ("12", "答案是：13。", FAIL),
        ("3.5", "答案是3.5千克。", PASS),
        ("35000", "答案是3.5万元。", PASS),
        # where the answer stands
        ("42", "<answer>42</answer>", PASS),
        ("18", "<answer>The result is \\boxed{18}</answer>", PASS),
        ("10", "**Answer:** $10$.", PASS),
        ("7", "First \\boxed{5}, then more: \\boxed{7}", PASS),
        ("5", "First \\boxed{5}, then more: \\boxed{7}", FAIL),
        ("18", "<think>19</think> 18", PASS),
        ("18", "<think>\\boxed{18}</think> 19", FAIL),
        ("18", "<think>\\boxed{18}", FAIL),
        ("18", "<think>18</think>", FAIL),
        ("18", "", FAIL),
        # algebra
        ("2\\sqrt{5}", "\\boxed{\\sqrt{20}}", PASS),
        ("x^2+2x+1", "\\boxed{(x+1)^2}", PASS),
        ("1.5x", "\\boxed{\\frac{3x}{2}}", PASS),
        ("\\{1,2\\}", "\\boxed{2, 1}", PASS),
        ("1,2", "\\boxed{1} and \\boxed{2}", PASS),
        ("(-\\infty,2)\\cup(3,\\infty)", "\\boxed{(-\\infty, 2) \\cup (3, \\infty)}", PASS),
        ("x=5", "\\boxed{5}", PASS),
        ("5", "\\boxed{f(2) = 5}", PASS),
        ("y=2x+1", "\\boxed{y-2x=1}", PASS),
        ("x^4 - 4x^3 + 5x^2 + 2x - 1", "\\boxed{x^4 - 4x^3 + 5x^2 + 2x + 1}", FAIL),
        (
            "\\begin{pmatrix} 2 & -3 \\\\ 0 & 3 \\end{pmatrix}",
            "\\boxed{\\begin{pmatrix} 2 & -7 \\\\ 0 & 3 \\end{pmatrix}}",
            FAIL,
        ),
        ("[0,1]", "\\boxed{(0,1)}", FAIL),
        ("1,1,2", "\\boxed{1,2}", FAIL),
        # words
        ("\\text{Evelyn}", "\\boxed{Evelyn}", PASS),
        ("\\text{Evelyn}", "\\boxed{Bob}", FAIL),
        ("1024", "\\boxed{2^10}", PASS),
        ("8", "\\boxed{2**3}", PASS),
        ("23", "\\boxed{2**3}", FAIL),
        ("20", "\\boxed{2^10}", FAIL),
        # what pays without being an answer
        ("5", "\\boxed{1=2=3=4=5}", FAIL),
        ("6", "\\boxed{5=6}", FAIL),
        ("0", "\\boxed{x^2-4=0}", FAIL),
        ("5", "\\boxed{\\neq 5}", FAIL),
        ("5", "\\boxed{5 \\text{ (or maybe 6)}}", FAIL),
        ("5", "\\boxed{5\\text{ or }6}", FAIL),
        ("1", "\\boxed{1} or \\boxed{2}", FAIL),
        ("7", "The answer is not 7.", FAIL),
        ("\\frac \\pi4", "\\boxed{\\frac \\pi4 + 2 - \\sqrt2}", FAIL),
        ("55", "\\boxed{\\sum_{k=1}^{10} k}", FAIL),
        ("6", "\\boxed{\\gcd(12,18)}", FAIL),
        ("2013_4", "\\boxed{2013_5}", FAIL),
        ("\\frac{1}{2004!}", "\\boxed{\\frac{1}{2005!}}", FAIL),
        ("2^{-99}", "\\boxed{2^{-98}}", FAIL),
        ("3x+4y+14=0", "\\boxed{3*x-1*y+13=0}", FAIL),
        # what cannot be told
        ("9^{9^9}", "\\boxed{9^{9^9}}", PASS),
        ("3", "\\boxed{9^{9^9}}", FAIL),
        ("\\frac{1}{", "\\boxed{x+1}", UNKNOWN),
    ),
    Case("\\boxed{4}", UNKNOWN, reference=_choice("B")),
    Case("\\boxed{4}", UNKNOWN),
    *(case for cases in MATH_TABLES.values() for case in cases),
]

CHOICE = [
    Case("The answer is B.", PASS, reference=_choice("B")),
    Case("\\boxed{\\text{(B)}}", PASS, reference=_choice("B")),
    Case("**B**", PASS, reference=_choice("B")),
    Case("b", PASS, reference=_choice("B")),
    Case("The correct option is B", PASS, reference=_choice("B")),
    Case("Answer: C because I think so", PASS, reference=_choice("C")),
    Case("选B", PASS, reference=_choice("B")),
    Case("故选：Ｂ", PASS, reference=_choice("B")),
    Case("答案选 B。", PASS, reference=_choice("B")),
    Case("答案是：C", FAIL, reference=_choice("B")),
    Case("\\boxed{2\\text{ m}}", PASS, reference=_choice("2 m", METRES)),
    Case("The answer is (B) 2 m", PASS, reference=_choice("B", METRES)),
    Case("B) 1 m", FAIL, reference=_choice("B", METRES)),
    Case("\\boxed{D}", FAIL, reference=_choice("B", METRES)),
    Case("A or B", FAIL, reference=_choice("B")),
    Case("\\boxed{A, B}", FAIL, reference=_choice("A")),
    Case("A cat sat", FAIL, reference=_choice("A")),
    Case("<think>B</think>", FAIL, reference=_choice("B")),
    Case("", FAIL, reference=_choice("B")),
    Case("B", UNKNOWN, reference=_choice("E", METRES)),
    Case("B", UNKNOWN, reference="B"),
]

PUZZLE = [
    Case("<think>12 + 30</think>\n\\boxed{42}", PASS, reference=CHAIN_SUM),
    Case("<answer>42</answer>", PASS, reference=CHAIN_SUM),
    Case("答案是42。", PASS, reference=CHAIN_SUM),
    Case("\\boxed{43}", FAIL, reference=CHAIN_SUM),
    Case("\\boxed{42 or 43}", FAIL, reference=CHAIN_SUM),
    Case("<think>\\boxed{42}", FAIL, reference=CHAIN_SUM),
    Case("", FAIL, reference=CHAIN_SUM),
    Case("\\boxed{" + "4" * 5000 + "}", FAIL, reference=CHAIN_SUM),
    Case("<answer>7 + 4</answer>", PASS, reference=COUNTDOWN),
    Case("<answer>7 * 4</answer>", FAIL, reference=COUNTDOWN),
    Case("<answer>4**1**1 + 7 - 0</answer>", FAIL, reference=COUNTDOWN),
    Case("<answer>__import__('os').getpid()</answer>", FAIL, reference=COUNTDOWN),
    Case("<answer>9**9**9**9</answer>", FAIL, reference=COUNTDOWN),
    Case("<answer>ABA</answer>", PASS, reference=LIST_OF_LETTERS),
    Case("<answer>[open('/etc/passwd').read(1) and 'A','B','A']</answer>", FAIL, reference=LIST_OF_LETTERS),
    Case("\\boxed{42}", UNKNOWN, reference={**CHAIN_SUM, "family": "no_such_family"}),
    Case("\\boxed{42}", UNKNOWN, reference="42"),
]

FORMAT = [
    Case("<think>a</think>b", PASS, score=1.0),
    Case("\n<think>\na\n</think>\n\nb\n", PASS, score=1.0),
    Case("a<think>a</think>b", FAIL, score=0.0),
    Case("<think>a</think>", FAIL),
    Case("<think> </think>b", FAIL),
    Case("<think>a", FAIL),
    Case("b", FAIL),
    Case("", FAIL),
    Case("<think>a</think></think>b", FAIL),
    Case("<think>a<think>b</think>c", FAIL),
    Case("</think>a<think>", FAIL),
]

LANGUAGE = [
    Case("<think>First we add 12 and 30, which gives 42.</think>42", PASS, prompt=ENGLISH, score=1.0),
    Case("<think>First we add 12 and 30. 然后得到四十二。</think>42", PASS, prompt=ENGLISH, score=4 / 11),
    Case("<think>首先我们把12和30相加，得到42。</think>42", PASS, prompt=CHINESE, score=1.0),
    Case("<think>首先 Let me add the numbers 得到42。</think>42", PASS, prompt=CHINESE, score=4 / 9),
    Case(
        "<think>设 x 为 12 cm, GCD 是 3, `some code here` $\\text{hello world}$ 得到42。</think>",
        PASS,
        prompt=CHINESE,
        score=1.0,
    ),
    Case(
        "<think>Nous allons additionner les deux nombres pour trouver le total.</think>42",
        PASS,
        prompt=ENGLISH,
        score=0.0,
    ),
    Case(
        "<think>Nous allons additionner les deux nombres pour trouver le total.</think>42",
        PASS,
        prompt=FRENCH,
        score=1.0,
    ),
    Case("<think>まず十二と三十を足します。</think>42", PASS, prompt=JAPANESE, score=1.0),
    Case("<think>首先我们把十二和三十加起来得到四十二。</think>42", PASS, prompt=JAPANESE, score=0.0),
    Case("<think>Сложим двенадцать и тридцать, then we are done.</think>42", PASS, prompt=RUSSIAN, score=0.5),
    Case(
        "<think>```python\nfor i in range(10):\n    print(i)\n```\nDone with it.</think>",
        PASS,
        prompt=ENGLISH,
        score=1.0,
    ),
    Case(
        "<think>There are 12 sandwiches on the table. Trevor ate 12 / 4 = 3 sandwiches.\n12 - 3 = 9 are left.</think>9",
        PASS,
        prompt=ENGLISH,
        score=1.0,
    ),
    Case("Only 3 个 apples", PASS, prompt=ENGLISH, score=2 / 3),
    Case("<think>12 + 30 = 42</think>42", UNKNOWN, prompt=ENGLISH),
    Case("<think>only words</think>", UNKNOWN, prompt="12 + 30 = ?"),
    Case("", UNKNOWN, prompt=ENGLISH),
    Case("words", UNKNOWN),
]

REPETITION = [
    Case("", PASS, score=0.0),
    Case("hello world", PASS, score=1.0),
    Case("the the the", PASS, score=3.0),
    Case("1. apples\n2. pears\n3. plums", PASS, score=1.0),
    Case("| 1 | 2 |\n|---|---|\n| 3 | 4 |\n| 0 | 0 |", PASS, score=1.0),
    Case("Wait, let me check. " * 5, PASS, score=5.0),
    Case("12+30=42\n" * 4, PASS, score=4.0),
    Case("哈哈哈哈", PASS, score=4.0),
    Case("我们再算一遍。" * 3, PASS, score=3.0),
    Case("x + x + x + x", PASS, score=1.0),
    Case("0 0 0 0 0 0 0 0", PASS, score=1.0),
    Case("18" * 100, PASS, score=100.0),
    Case("one two three. four five six. " * 3, PASS, score=3.0),
    Case("that is very very good", PASS, score=2.0),
    # A paragraph of nine sentences, as models in a loop say it.
    Case(
        "Let us see what we have. " + "".join(f"Step {w} is done with care here. " for w in "abcdefgh") * 3,
        PASS,
        score=3.0,
    ),
]

CASES = {
    "math_answer": MATH_ANSWER,
    "choice": CHOICE,
    "puzzle": PUZZLE,
    "format": FORMAT,
    "language": LANGUAGE,
    "repetition": REPETITION,
}
