"""Taking completions apart: parts, final answers and their places."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.extract import final_answer, narrowed_answers, split_reasoning

# completion: reasoning, answer
PARTS = [
    ("no tags", None, "no tags"),
    ("", None, ""),
    ("<think>a</think>b", "a", "b"),
    ("Sure! <think>a</think>b", "a", "b"),
    ("a</think>b", "a", "b"),
    ("<think>a", "a", None),
    ("<think>a</think><think>b</think>c", "a</think><think>b", "c"),
    ("<think>a</think>b</think>c", "a</think>b", "c"),
    ("<think>a</think>b<think>c", "a</think>b<think>c", None),
    ("<think>a</think>", "a", ""),
]

# completion: final answer, how
ANSWERS = [
    ("so \\boxed{5}.", "5", "box"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", "box"),
    ("\\fbox{3} then \\framebox{4}", "4", "box"),
    ("\\boxed{1} is half of \\boxed{2}", "2", "box"),
    ("\\boxed{\\boxed{3}+1}", "\\boxed{3}+1", "box"),
    ("\\boxed{3} but \\boxed{4", "3", "box"),
    ("\\boxed 7", "7", "box"),
    ("\\boxed5", "5", "box"),
    ("\\\\boxed{5}", "5", "box"),
    ("\\boxed {\n5\n}", "5", "box"),
    ("$\\boxed{5}$\n\n$\\boxed{5}$", "5", "box"),
    ("\\boxed{}", None, None),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}", "box"),
    ("<answer> 4 </answer> or so", "4", "tag"),
    ("\\boxed{3} <answer>4</answer>", "4", "tag"),
    ("so <answer>4", "4", "tag"),
    ("why\n#### 12\n", "12", "hashes"),
    ("Tried 3, 4. #### 3", "3", "hashes"),
    ("#### Step 1: add\n1 + 1\nThe answer is 2.", "2", "phrase"),
    ("#### Final Answer\n2", "2", "phrase"),
    ("The answer is 3.5. Good.", "3.5", "phrase"),
    ("The answer is 5. The answer is not 6.", "5", "phrase"),
    ("The answer is 5. I doubt that the answer is 6.", "5", "phrase"),
    ("The answer is 3? Or 4?", "3? Or 4?", "phrase"),
    ("The answer is 3. Or 4.", "3. Or 4.", "phrase"),
    ("The answer is 3. Wait, 4.", "3. Wait, 4.", "phrase"),
    ("The answer is 3 p.m. on Monday", "3 p.m. on Monday", "phrase"),
    ("The answer is 3; 4.", "3; 4", "phrase"),
    ("The answer is:\n\n$$\n42\n$$\nGood.", "42", "phrase"),
    ("The answer is\n```\n42\n```", "42", "phrase"),
    ("### Answer\n\n**42**\n", "**42**", "phrase"),
    ("### Answer\nWe add them all up and get this.\nSo 42", "So 42", "last line"),
    ("**Answer: 42**", "42", "phrase"),
    ("Answer:\n- 1\n- 2", "- 1\n- 2", "phrase"),
    ('{"answer": "42", "sure": true}', "42", "phrase"),
    ("```text\n42\n```", "42", "fence"),
    ("so\n\\[\nx = 42\n\\]", "x = 42", "last line"),
    ("1\nor\n2", "1\nor\n2", "last line"),
    ("So 42.\n\n| a | b |\n|---|---|", "So 42.", "last line"),
    ("So 42.\n\n---\nI hope this helps!", "So 42.", "last line"),
    ("Die Antwort lautet: 5.", "5", "phrase"),
    ("La réponse finale est 5.", "5", "phrase"),
    ("La respuesta correcta es 5.", "5", "phrase"),
    ("Ответ: 5", "5", "phrase"),
    ("答えは 5 です。", "5 です", "phrase"),
    ("정답: 5", "5", "phrase"),
    ("The final answer is $\\frac{1}{2}$. I hope it is right.", "$\\frac{1}{2}$", "phrase"),
    ("Final Answer: 12", "12", "phrase"),
    ("1 + 1 = <<1+1=2>>2\nA: 2", "2", "phrase"),
    ("答案是：12。", "12", "phrase"),
    ("所以答案为 12", "12", "phrase"),
    ("答：12个。", "12个", "phrase"),
    ("first\n\n12\n", "12", "last line"),
    ("<think>\\boxed{1}</think>2", "2", "last line"),
    ("<think>\\boxed{1}</think>", None, None),
    ("<think>\\boxed{1}", None, None),
    ("", None, None),
    (" \n ", None, None),
]

# completion: what several boxes say, what they span
JOINED = [
    ("so \\boxed{1} and \\boxed{2}.", "1 and 2", "\\boxed{1} and \\boxed{2}"),
    ("$\\boxed{1}$, $\\boxed{2}$", "1, 2", "\\boxed{1}$, $\\boxed{2}"),
    ("\\boxed{1}\\boxed{2}", "1, 2", "\\boxed{1}\\boxed{2}"),
    ("$x=\\boxed{1}, y=\\boxed{2}$", "x=1, y=2", "x=\\boxed{1}, y=\\boxed{2}"),
    ("\\boxed{3}, or else \\boxed{4}", "3 or 4", "\\boxed{3}, or else \\boxed{4}"),
    ("\\boxed{1}和\\boxed{2}", "1 和 2", "\\boxed{1}和\\boxed{2}"),
]

# completion: readings of its final statement
READINGS = [
    ("So the area is $5$ cm.", ["$5$ cm.", "So the area is $5$ cm."]),
    ("There are 5 ducks. So she has 18 eggs.", ["18 eggs.", "So she has 18 eggs."]),
    ("The answer is 5, since 2 + 3 = 5", ["5", "5, since 2 + 3 = 5"]),
    ("Final answer: $x$ (approximately 3.2)", ["$x$", "$x$ (approximately 3.2)"]),
    ("The answer is **18** eggs.", ["18", "**18** eggs"]),
    ("The answer is **18** cm.", ["**18** cm"]),
    ("The area is $\\pi r^2 = 9$.", ["9", "$\\pi r^2 = 9$.", "The area is $\\pi r^2 = 9$."]),
    ("The equation is $x^2 - 4 = 0$.", ["$x^2 - 4 = 0$.", "The equation is $x^2 - 4 = 0$."]),
    ("<answer>The answer is 8.</answer>", ["8", "The answer is 8."]),
    ("\\boxed{5 or 6}", ["5 or 6"]),
    # several candidates, doubts and negations stay whole
    ("The answer is $5$ or $6$.", ["$5$ or $6$"]),
    ("It is $5$, maybe.", ["It is $5$, maybe."]),
    ("It is 5. Or 6.", ["It is 5. Or 6."]),
    ("It is less than $5$.", ["It is less than $5$."]),
    ("The answer is 5, as well as 6.", ["5, as well as 6"]),
    ("x is $5$ and y is $6$.", ["x is $5$ and y is $6$."]),
    ("<answer>5\n6</answer>", ["5\n6"]),
    # denied
    ("I doubt that the answer is 5.", []),
    ("Suppose the answer is 5.", []),
    ("<think>5</think>", []),
]

HOSTILE_UNITS = [
    "{",
    "}",
    "\\",
    "\\boxed{",
    "\\boxed{1},",
    "\\boxed   ",
    "answer is ",
    "answer",
    "答案",
    "\n#### ",
    "\nA:",
    " ",
    "\n",
]
HOSTILE_UNITS += [
    "<answer>",
    "</answer>",
    "<think>",
    "</think>",
    "$",
    "final ",
    "a.",
    "*",
    "`",
    "```\n",
    "\\[",
    "\\(",
    ". ",
]
HOSTILE_UNITS += ["\\boxed{1} or ", '"answer":"', "or ", "=", "| ", "is $a$ ", "answer is 5. or", "answer:\n\n", "\nor"]


@pytest.mark.parametrize(("completion", "reasoning", "answer"), PARTS)
def test_parts(completion, reasoning, answer):
    parts = split_reasoning(completion)
    assert (parts.reasoning, parts.answer) == (reasoning, answer)
    if answer is not None:
        assert completion[parts.answer_start :] == answer
    if reasoning is not None:
        assert completion[parts.reasoning_start :].startswith(reasoning)


@pytest.mark.parametrize(("completion", "text", "how"), ANSWERS)
def test_final_answers(completion, text, how):
    found = final_answer(completion)
    if text is None:
        assert found is None
    else:
        assert (found.text, found.how) == (text, how)
        assert completion[slice(*found.span)] == text


@pytest.mark.parametrize(("completion", "text", "spanned"), JOINED)
def test_several_boxes_are_one_answer(completion, text, spanned):
    found = final_answer(completion)
    assert found.text == text
    assert completion[slice(*found.span)] == spanned
    assert narrowed_answers(completion) == [found]


@pytest.mark.parametrize(("completion", "texts"), READINGS)
def test_readings_of_one_statement(completion, texts):
    found = narrowed_answers(completion)
    assert [reading.text for reading in found] == texts
    assert all(completion[slice(*reading.span)] == reading.text for reading in found)


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
def test_time_is_linear(unit):
    text = unit * (1_000_000 // len(unit))
    for completion in (text, f"The answer is {text}", f"\\boxed{{{text}}}", f"{text}\n```"):
        started = time.process_time()
        narrowed_answers(completion)
        assert time.process_time() - started < 1


PIECES = [
    "\\boxed{1} or ",
    "**",
    "$5$",
    "is ",
    "not ",
    "```\n",
    "since ",
    "x = ",
    "<think>",
    "</think>",
    "\\boxed{",
    "{",
    "}",
    "answer is ",
    "答案是",
    "<answer>",
    "</answer>",
    "####",
    "\n",
    " ",
    "4",
    "。",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60))
def test_what_is_found_stands_in_the_answer_part(completion):
    parts = split_reasoning(completion)
    found = final_answer(completion)
    if parts.answer is None:
        assert found is None
    elif found is not None:
        assert found.start >= parts.answer_start
        assert found.text == found.text.strip() != ""
        spanned = completion[slice(*found.span)]
        assert spanned == found.text or spanned.count("\\boxed") > 1
        for reading in narrowed_answers(completion):
            assert found.start <= reading.start < reading.end <= found.end
            assert reading == found or completion[slice(*reading.span)] == reading.text
