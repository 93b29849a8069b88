"""One table of cases per judge: what it must say. A line is added per bug, forever.

A row: reference (JSON form), prompt (of the user), completion, outcome, score (None: not looked at). Most cases of
math_answer stand in math_cases/, a file per category, one case per line with the reason why.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from code_cases import ROWS as CODE_ROWS

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
HALTING = {
    "kind": "puzzle",
    "family": "game_of_life_halting",
    "entry": {"question": "Does it halt?", "answer": "True", "metadata": {}},
}
FACTORS = {
    "kind": "puzzle",
    "family": "prime_factorization",
    "entry": {"question": "Factors of 245?", "answer": "5 × 7 × 7", "metadata": {"number": 245}},
}
TWENTY_FOUR = {
    "kind": "puzzle",
    "family": "puzzle24",
    "entry": {"question": "Make 24.", "answer": "4*8 - 6 - 2", "metadata": {"numbers": [4, 8, 6, 2]}},
}
GRID = {
    "kind": "puzzle",
    "family": "rotate_matrix",
    "entry": {"question": "Rotate it.", "answer": "1 2\n3 4", "metadata": {"solution": [[1, 2], [3, 4]]}},
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


def table_rows(name: str) -> list[list[str]]:
    """Read a table beside this file: cells between tabs, a line feed is written as ⏎."""
    text = (Path(__file__).parent / f"{name}.tsv").read_text(encoding="utf-8")
    return [line.replace("⏎", "\n").split("\t") for line in text.split("\n") if line.strip() and line[0] != "#"]


def _choice_table() -> list[Case]:
    """Outcome, the right option and the options with | between, completion, why."""
    rows = [(outcome, *given.split("|"), completion) for outcome, given, completion, *_ in table_rows("choice_cases")]
    return [Case(completion, outcome, _choice(right, options)) for outcome, right, *options, completion in rows]


def instructions(text: str) -> dict[str, Any]:
    """Read a reference from a list of pairs of an id and its parameters, in JSON."""
    return {"kind": "instructions", "instructions": [{"id": name, **given} for name, given in json.loads(text)]}


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
    Case("B", UNKNOWN, reference=_choice("B", [f"option {n}" for n in range(27)])),
    *_choice_table(),
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
    # a checker that takes any text for true: the answer must be the family's own
    Case("<answer>True</answer>", PASS, reference=HALTING),
    Case("<answer>no idea</answer>", FAIL, reference=HALTING),
    Case("<answer>False</answer>", FAIL, reference=HALTING),
    # a checker that breaks at what it cannot read, and knows one sign
    Case("\\boxed{5 \\times 7 \\times 7}", PASS, reference=FACTORS),
    Case("<answer>7*5*7</answer>", PASS, reference=FACTORS),
    Case("<answer>5 × 49</answer>", FAIL, reference=FACTORS),
    Case("<answer>no idea</answer>", FAIL, reference=FACTORS),
    # a checker that drops what is behind the point: 4*6 + 2/8 = 24.25
    Case("<answer>4*8 - 6 - 2</answer>", PASS, reference=TWENTY_FOUR),
    Case("\\boxed{4 \\times 8 - 6 - 2 = 24}", PASS, reference=TWENTY_FOUR),
    Case("<answer>4*6 + 2/8</answer>", FAIL, reference=TWENTY_FOUR),
    # grids after a mark, and below a sentence
    Case("The answer is 1 2\n3 4", PASS, reference=GRID),
    Case("**Answer:**\n\n1 2\n3 4", PASS, reference=GRID),
    Case("<think>so</think>\nHere it is.\n1 2\n3 4", PASS, reference=GRID),
    Case("The answer is 1 2\n3 5", FAIL, reference=GRID),
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
    # reasoning that says nothing
    Case("<think></think>b", FAIL),
    Case("<think>\n\n</think>\n\nb", FAIL),
    Case("<think>...</think>b", FAIL),
    Case("<think>\n---\n***\n</think>b", FAIL),
    Case("<think>\u200b\u00a0</think>b", FAIL),
    Case("<think>。。。</think>b", FAIL),
    Case("<think>好</think>b", PASS),
    Case("<think>7</think>b", PASS),
    Case("<think>=</think>b", PASS),
    # answers that say nothing; a sign may be one
    Case("<think>a</think>\u200b", FAIL),
    Case("<think>a</think> *", PASS),
    # a prompt that opens the reasoning
    Case("a</think>b", PASS, prompt="2+2?\n<think>\n"),
    Case("<think>a</think>b", FAIL, prompt="2+2?\n<think>\n"),
    Case("\n\n</think>b", FAIL, prompt="2+2?\n<think>\n"),
    Case("a</think>b", FAIL),
    Case("a", FAIL, prompt="2+2?\n<think>"),
]

# What the prompt asks, the reasoning or text, native words of all words (None: unknown).
_LANGUAGE = [
    (ENGLISH, "<think>First we add 12 and 30, which gives 42.</think>42", 7 / 7),
    (ENGLISH, "<think>First we add 12 and 30. 然后得到四十二。</think>42", 4 / 8),
    (CHINESE, "<think>首先我们把12和30相加，得到42。</think>42", 1.0),
    (CHINESE, "<think>首先 Let me add the numbers 得到42。</think>42", 2 / 7),
    # code, formulas, units and abbreviations are no words
    (CHINESE, "<think>设 x 为 12 cm, GCD 是 3, `some code here` $\\text{hello world}$ 得到42。</think>", 1.0),
    (ENGLISH, "<think>```python\nfor i in range(10):\n    print(i)\n```\nDone with it.</think>", 1.0),
    (CHINESE, "<think>写成代码：\ndef total(n):\n    # add them up\n    return sum(range(n))\n就行了。</think>", 1.0),
    (CHINESE, "<think>代码：\nfor (int i = 0; i < n; i++) {\n    cout << total[i] << endl;\n}\n完成。</think>", 1.0),
    (CHINESE, "<think>见 https://example.com/some/long/path 和 <b>粗体</b>。</think>", 1.0),
    (
        FRENCH,
        "\\begin{align*} x &= \\operatorname{lcm}(4, 6) \\\\ &= 12 \\end{align*} Nous avons donc le résultat.",
        1.0,
    ),
    # whole-text detectors call these Norwegian, Afrikaans and Somali
    (ENGLISH, "def f(x):\n    if x > 1:\n        return x * f(x - 1)\n    return 1\n", None),
    (ENGLISH, "\\frac{1}{2} + \\sqrt{3} \\le \\alpha \\cdot \\beta", None),
    (ENGLISH, "So x = 3.", 1.0),
    # and do not see one sentence of another script among many
    (ENGLISH, "We add the numbers. " * 20 + "然后我们把它们除以二得到答案。" + " We are done with it." * 20, 180 / 187),
    (CHINESE, "我们把两个数相加。" * 20 + "Then we divide both of them by two." + "答案是四十二。" * 20, 140 / 148),
    # languages of one script are told apart by the sentence
    (ENGLISH, "<think>Nous allons additionner les deux nombres pour trouver le total.</think>42", 0.0),
    (FRENCH, "<think>Nous allons additionner les deux nombres pour trouver le total.</think>42", 1.0),
    (ENGLISH, "We add both numbers first. Danach teilen wir das Ergebnis durch zwei. So we get the answer.", 10 / 17),
    (ENGLISH, "First we add the numbers, puis nous divisons par deux le résultat, and then we are done.", 10 / 17),
    (RUSSIAN, "Сначала сложим числа. Потім поділимо результат на два. Получаем ответ.", 5 / 10),
    (JAPANESE, "<think>まず十二と三十を足します。</think>42", 1.0),
    (JAPANESE, "<think>首先我们把十二和三十加起来得到四十二。</think>42", 0.0),
    (JAPANESE, "まず足します。我们把两个数加起来，得到四十二。答えです。", 5 / 13),
    (CHINESE, "先相加。次に二で割ります。答案是七。", 5 / 10),
    (CHINESE, "他说“さくら”，意思是樱花，我们继续算下去。", 1.0),
    (RUSSIAN, "<think>Сложим двенадцать и тридцать, then we are done.</think>42", 4 / 8),
    # names, identifiers, short quotations
    (CHINESE, "设 Alice 有三个苹果，Bob Smith 有五个，用 Fibonacci 数列来算。", 1.0),
    (
        CHINESE,
        "我们令变量 count 等于零，然后 total = count + 1，每次把 total 加一，用 dp_table 和 maxLen 记下来。",
        1.0,
    ),
    (CHINESE, "根据勾股定理（Pythagorean theorem），他说“hello world”就对了。", 1.0),
    (CHINESE, "Wait，这里不对。", 2 / 3),
    (CHINESE, "首先 subtract 两边的数。", 3 / 4),
    (CHINESE, "Let me ask Alice about it. 然后继续计算。", 3 / 8),
    (ENGLISH, "Xiao Ming (小明) has twelve apples, and the sign “苹果” means that they are apples.", 1.0),
    (ENGLISH, "Erdős and Poincaré met L'Hôpital at the Café Müller in Zürich.", 1.0),
    # so is what the prompt says
    (
        "Translate “我们今天去公园玩” into English, please.",
        "The words 我们今天去公园玩 say that we go to the park.",
        1.0,
    ),
    ("What does combien font douze plus trente mean?", "Combien font douze plus trente. It asks for a sum.", 1.0),
    # what looks like code or a formula may be prose
    (ENGLISH, "<think>```\n我们先把两个数相加，然后除以二。\n```</think>", 0.0),
    (ENGLISH, "<think>```\n我们先把两个数相加，然后除以二。", 0.0),
    (ENGLISH, "We get $先把两个数相加然后除以二$ as the result.", 5 / 11),
    (CHINESE, "得到 $\\text{so we can see the result}$ 了。", 2 / 8),
    (ENGLISH, "The pens cost $5 each and the books cost $7 each, so he pays more.", 1.0),
    (ENGLISH, "There are 12 sandwiches. Trevor ate 12 / 4 = 3 sandwiches.\n12 - 3 = 9 are left.", 1.0),
    (ENGLISH, "Only 3 个 apples", 2 / 3),
    (ENGLISH, "<think>12 + 30 = 42</think>42", None),
    ("12 + 30 = ?", "<think>only words</think>", None),
    (ENGLISH, "Dear Alice", None),
    (ENGLISH, "", None),
    (None, "words", None),
]
LANGUAGE = [
    Case(completion, UNKNOWN if share is None else PASS, prompt=prompt, score=share)
    for prompt, completion, share in _LANGUAGE
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
    # ... and of more sentences than a unit of sentences has
    Case(("".join(f"Sentence {n} says it. " for n in range(70)) + "\n\n") * 3, PASS, score=3.0),
    Case((("".join(f"Sentence {n} says\nit. " for n in range(70)) + "\n \n") * 3), PASS, score=3.0),
    Case("The end.\n\nThe end.\n\nThe end.", PASS, score=3.0),
    # formulas repeat their commands
    Case("$\\sqrt{x} + \\sqrt{x} + \\sqrt{x} + \\sqrt{x} = 4\\sqrt{x}$", PASS, score=1.0),
    Case("$2\\cdot2\\cdot2\\cdot2\\cdot2$", PASS, score=1.0),
    Case("\\sqrt{x} + " * 40, PASS, score=40.0),
    # a counter that rises is no loop
    Case("".join(f"Step {n}: check it again.\n" for n in range(1, 9)), PASS, score=1.0),
    Case("1 + 1 = 2\n1 + 2 = 3\n1 + 3 = 4", PASS, score=1.0),
]


def _blocks(count: int, reasoning: str) -> Case:
    return Case(reasoning, PASS, score=count)


LONGEST_PARAGRAPH = [
    Case("", PASS, score=0.0),
    Case(" \n\n ", PASS, score=0.0),
    Case("one two three", PASS, score=3.0),
    Case("one\ntwo\n\nthree", PASS, score=2.0),
    Case("one two\n \t\nthree", PASS, score=2.0),
    Case("<think>one two</think>three", PASS, score=2.0),
    Case("<think>one</think>two three four", PASS, score=3.0),
    Case("我们走吧", PASS, score=4.0),
    Case("我们 go 吧，OK。", PASS, score=5.0),
    Case("don't stop, 3.5 and 1,000", PASS, score=5.0),
    Case("one\n```\na b c d e f\n```\ntwo", PASS, score=1.0),
    Case("one\n```\na b c d e f", PASS, score=1.0),
]

CODE_BLOCKS = [
    _blocks(0, ""),
    _blocks(0, "<think>Let x = 3; then y = 4.</think>```\ncode\n```"),
    _blocks(1, "<think>So\n```python\nprint(1)\n```\nDone.</think>ok"),
    _blocks(1, "<think>So\n```python\nprint(1)</think>ok"),
    _blocks(2, "<think>```\na\n```\n~~~\nb\n~~~</think>ok"),
    _blocks(1, "```\na\n```"),
    _blocks(1, "<think>So\n\n    def f(x):\n        return x + 1\n\nDone.</think>ok"),
    _blocks(1, "<think>So\ndef f(x):\n    y = x + 1\n    return y\nDone.</think>ok"),
    _blocks(1, "<think>So\nfor (int i = 0; i < n; i++) {\n  s += i;\n}\nDone.</think>ok"),
    _blocks(1, "<think>[asy]\npair A;\ndraw(A);\n[/asy]</think>ok"),
    # no code: lists, formulas, a line said in passing
    _blocks(0, "<think>So\n    x = 5\n    y = 6\nDone.</think>ok"),
    _blocks(0, "<think>- one\n    - two\n    - three\nif n is even, go on</think>ok"),
    _blocks(0, "<think>We could call print(x) here.\nprint(x)\nDone.</think>ok"),
    _blocks(0, "<think>$$\n    a &= b \\\\\n    c &= d\n$$</think>ok"),
]

INSTRUCTIONS = [
    *(
        Case(completion, outcome, instructions(given))
        for outcome, given, completion, *_ in table_rows("instruction_cases")
    ),
    Case("four words are here", UNKNOWN),
    Case("four words are here", UNKNOWN, reference="4"),
]

IDENTITY = [Case(completion, outcome) for outcome, completion, *_ in table_rows("identity_cases")]

CODE_TESTS = [Case(completion, outcome, reference) for outcome, reference, completion in CODE_ROWS]

CASES = {
    "math_answer": MATH_ANSWER,
    "code_tests": CODE_TESTS,
    "choice": CHOICE,
    "puzzle": PUZZLE,
    "format": FORMAT,
    "language": LANGUAGE,
    "repetition": REPETITION,
    "longest_paragraph": LONGEST_PARAGRAPH,
    "code_blocks": CODE_BLOCKS,
    "instructions": INSTRUCTIONS,
    "identity": IDENTITY,
}
