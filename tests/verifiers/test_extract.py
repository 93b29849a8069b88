"""Taking completions apart: parts, final answers and their places."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.extract import final_answer, split_reasoning

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
    ("\\boxed{1} and \\boxed{2}", "\\boxed{1} and \\boxed{2}", "box"),
    ("\\boxed{1} is half of \\boxed{2}", "2", "box"),
    ("\\boxed{\\boxed{3}+1}", "\\boxed{3}+1", "box"),
    ("\\boxed{3} but \\boxed{4", "3", "box"),
    ("\\boxed 7", "7", "box"),
    ("\\boxed{}", None, None),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}", "box"),
    ("<answer> 4 </answer> or so", "4", "tag"),
    ("\\boxed{3} <answer>4</answer>", "4", "tag"),
    ("why\n#### 12\n", "12", "hashes"),
    ("The answer is 3.5. Good.", "3.5", "phrase"),
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
HOSTILE_UNITS += ["<answer>", "</answer>", "<think>", "</think>", "$", "final ", "a."]


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


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
def test_time_is_linear(unit):
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    final_answer(text)
    assert time.process_time() - started < 3


PIECES = [
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
        assert completion[slice(*found.span)] == found.text
        assert found.text == found.text.strip() != ""
