"""Long paragraphs and code blocks: places, units, and real text with and without code."""

import json

import pytest

from verifiers import CodeBlocks, LongestParagraph


def test_the_longest_paragraph_is_the_evidence():
    text = "one two\n\n  three four\nfive  \n\nsix"
    verdict = LongestParagraph().judge(text)
    assert (verdict.score, verdict.extracted) == (3.0, "three four\nfive")
    assert text[slice(*verdict.span)] == verdict.extracted
    assert LongestParagraph(unit="characters").judge(text).score == len("three four\nfive")
    assert LongestParagraph(ends_at="line").judge(text).score == 2.0


@pytest.mark.parametrize("count", [1, 7, 250])
def test_words_are_counted_exactly(count):
    assert LongestParagraph().judge("a b\n\n" + "word " * count + "\n\nc").score == max(count, 2)
    assert LongestParagraph().judge("字" * count).score == count


def test_rewards_fall_with_the_measure():
    judge = LongestParagraph()
    rewards = [judge.reward(judge.judge("word " * count)) for count in (10, 100, 200, 1000)]
    assert rewards == [1.0, 1.0, 0.5, 0.1]
    code = CodeBlocks()
    assert [code.reward(code.judge("```\na\n```\n" * n)) for n in (0, 1, 3)] == [1.0, 0.5, 0.25]


def test_the_first_block_is_the_evidence():
    text = "<think>So\n```python\nprint(1)\n```\nand\n```\n2\n```</think>ok"
    verdict = CodeBlocks().judge(text)
    assert (verdict.score, verdict.extracted) == (2.0, "```python\nprint(1)\n```")
    assert text[slice(*verdict.span)] == verdict.extracted


def test_programs_are_found_and_mathematics_is_none(shared_data):
    def rows(path):
        return [json.loads(line) for line in (shared_data / path).read_text(encoding="utf-8").splitlines()]

    solutions = [row["solution"] for row in rows("math/problems.jsonl") if "[asy]" not in row["solution"]]
    assert [text for text in solutions if CodeBlocks().judge(text).score] == []
    programs = [row["code"] for row in rows("mbpp/problems.jsonl") if row["code"].strip().count("\n")]
    missed = [code for code in programs if not CodeBlocks().judge(f"<think>So:\n{code}\nDone.</think>").score]
    assert len(missed) <= len(programs) / 50
