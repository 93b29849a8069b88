"""Form: prompts that open the reasoning, and what an empty part is."""

import pytest

from verifiers import Format


@pytest.mark.parametrize("empty", ["", " ", "\n\n", "\t", "...", "…", "---", "。", "!?", "\u200b", "\u00a0", "()"])
def test_reasoning_that_says_nothing_is_empty(empty):
    assert Format().judge(f"<think>{empty}</think> 4").reason == "the reasoning is empty"
    assert Format(prefilled=True).judge(f"{empty}</think> 4").reason == "the reasoning is empty"


def test_a_prompt_that_opens_the_reasoning_counts_as_prefilled():
    opened = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "<think>\n"}]
    closed = [{"role": "user", "content": "What does <think> mean?"}]
    assert Format().judge("2 + 2</think> 4", None, opened).outcome == "pass"
    assert Format().judge("2 + 2</think> 4", None, closed).outcome == "fail"
    assert Format().judge("<think>2 + 2</think> 4", None, closed).outcome == "pass"
    verdict = Format().judge("<think>2 + 2</think> 4", None, opened)
    assert (
        verdict.reason == "1 <think> and 1 </think>, where <think> stands in the prompt and </think> is asked for once"
    )


def test_as_a_reward_of_a_trainer_that_prefills():
    prompts = ["2+2?\n<think>\n", "2+2?"]
    assert Format()(["so</think>4", "so</think>4"], prompts=prompts) == [1.0, 0.0]
    assert Format(prefilled=True)(["so</think>4", "4"]) == [1.0, 0.0]
