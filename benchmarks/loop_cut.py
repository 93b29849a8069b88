"""Measure the cutting of loops: what is cut, how soon, and what it costs.

    python benchmarks/loop_cut.py --ordinary 10000

Tokens come from three tokenizers: the embedded policy's, a byte-level BPE of 8,000 tokens trained here on the real
data, and single characters. Planted loops are real and composed text that runs into a pattern of 1 to 64 tokens, over
and over; one counts as found if it is cut within 256 tokens of the end of the pattern's third repetition. Loops of
whole paragraphs are longer than the cut sees: of those the share is given that the judge `repetition` finds. Ordinary
completions are all the real texts and N composed ones; a few of the real ones are loops themselves (decimals that run
on to the end of the completion) and are counted apart. Prints one JSON line: shares by tokenizer and period, ordinary
completions that were cut, the smallest ordinary things that would be, and microseconds per token of vLLM's check
(where vLLM is installed), ours after every token, and the torch policy's.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import platform
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from factory.policy.loops import first_repetition, repeats
from factory.policy.protocol import LoopCut
from verifiers.repetition import Repetition

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
MICRO = ROOT / "factory" / "policy" / "micro" / "tokenizer.json"

CUT = LoopCut()
ALLOWED = 256
"""Tokens after the third repetition within which a loop is to be cut."""
BANDS = ((1, 8), (9, 16), (17, 32), (33, 48), (49, 64))
"""Periods that are reported together."""
MAX_REPEATS = 3
"""What the filter `repetition` lets pass."""

RUNAWAY = re.compile(r"(.{1,4}?)\1{41,}", re.DOTALL)
"""One to four characters, 168 times or more in a row: a loop to any reader."""

Encode = Callable[[str], list[Any]]

PHRASES = (
    *("the ", "0", "ha", "1, ", "no ", "\n", "= ", "\\quad ", "的", "So, ", "( ", "1 + ", "- ", "。", "|---", "</div>"),
    *("Wait, let me check again. ", "Let me verify. ", "So the answer is 4.\n\n", "Hmm, that is not right.\n"),
    *("\\frac{1}{2} + ", "x_1 + x_2 = 0, ", "\\sin x \\cos x ", "3.14159", "142857", "2 + 2 = 4; ", "| 0 | 1 |\n"),
    *("让我再检查一遍。", "所以答案是四。", "等等，不对。", "因此我们得到 x = 1，", "第一步，第二步，"),
    *("    x = x + 1\n", "print(x)\n", "if x: return y\n", '{"a": 1}, ', "True, False, ", "A: Yes. B: No. "),
    *("But wait, is that so? ", "Alternatively, ", "I think it is 7. No, it is 8. ", "and then and then "),
)
"""What models are seen to repeat; its period in tokens is the tokenizer's matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A completion that runs into a loop."""

    tokens: list[Any]
    """The completion; the loop lasts to its end."""
    start: int
    """Where the loop starts."""
    period: int
    """The smallest period of what is repeated."""

    @property
    def lateness(self) -> int | None:
        """Tokens from the end of the third repetition to the cut; None if it is never cut, or before it loops."""
        end = first_repetition(self.tokens, CUT)
        return None if end is None or end <= self.start else end - (self.start + 3 * self.period)

    @property
    def is_found(self) -> bool:
        """Whether it is cut in time."""
        return self.lateness is not None and self.lateness <= ALLOWED


def real_texts(data: Path = DATA) -> dict[str, list[str]]:
    """Return what models and people wrote, by kind."""

    def rows(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (data / name).read_text("utf-8").splitlines()]

    return {
        "prose": [row["completion"] for row in rows("gsm8k/completions.jsonl")],
        "latex": [row["solution"] for row in rows("math/problems.jsonl") + rows("aime24/problems.jsonl")],
        "solutions": [row["solution"] for row in rows("gsm8k/problems.jsonl")],
        "code": [row["code"] for row in rows("mbpp/problems.jsonl")]
        + [row["prompt"] + row["canonical_solution"] for row in rows("humaneval/problems.jsonl")],
        "chinese": [row["question"] for row in rows("cmath/problems.jsonl")],
        "general": [row["output"] for row in rows("general/identity.jsonl")]
        + ["\n".join([row["question"], *row["choices"]]) for row in rows("mmlu_stem/problems.jsonl")],
    }


def tokenizers_of(texts: dict[str, list[str]]) -> dict[str, Encode]:
    """Return the three ways to cut a text into tokens; trains one of them on the texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=8000, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator((text for kind in texts.values() for text in kind), trainer)
    micro = Tokenizer.from_file(str(MICRO))
    micro.no_truncation()
    return {
        "micro": lambda text: micro.encode(text, add_special_tokens=False).ids,
        "bpe": lambda text: trained.encode(text).ids,
        "characters": list,
    }


def compose(seed: int) -> str:
    """Compose an ordinary completion."""
    return str(_composed().compose(seed))


def planted_loops(texts: dict[str, list[str]], encode: Encode, *, each: int, seed: int = 0) -> Iterator[Planted]:
    """Yield `each` loops for every period from 1 to 64: a real completion, then a stretch of a real or composed text of
    so many tokens, over and over."""
    rng = random.Random(f"planted {seed}")
    kinds = [*texts, "composed"]
    for period in range(1, CUT.max_pattern_size + 1):
        for number in range(each):
            kind = kinds[(period + number) % len(kinds)]
            before = encode(_beginning(texts, rng))
            pattern: list[Any] = []
            while len(pattern) < period:
                text = compose(rng.randrange(10**6)) if kind == "composed" else rng.choice(texts[kind])
                pattern += encode(text)
            first = rng.randrange(len(pattern) - period + 1)
            pattern = pattern[first : first + period]
            loop = pattern * ((3 * period + ALLOWED) // period + 2)
            yield Planted(tokens=before + loop, start=len(before), period=smallest_period(pattern))


def looping_phrases(texts: dict[str, list[str]], encode: Encode, *, seed: int = 0) -> Iterator[Planted]:
    """Yield a loop for each of the phrases whose period is up to 64 tokens: tokenized as text, behind a real one."""
    rng = random.Random(f"phrases {seed}")
    for phrase in PHRASES:
        before, times, tokens = _beginning(texts, rng) + "\n", 64, []
        room = len(encode(before)) + 3 * CUT.max_pattern_size + ALLOWED
        while len(tokens) <= room:
            times *= 2
            tokens = encode(before + phrase * times)[:-4]  # the end of a text may be tokenized otherwise
        end = len(tokens)
        sizes = range(1, CUT.max_pattern_size + 1)
        found = next((p for p in sizes if tokens[end - 4 * p :] == tokens[end - 5 * p : end - p]), None)
        if found is None:
            continue
        start = end - found
        while start and tokens[start - 1] == tokens[start - 1 + found]:
            start -= 1
        yield Planted(tokens=tokens, start=start, period=found)


def paragraph_loops(texts: dict[str, list[str]], *, count: int, seed: int = 0) -> Iterator[str]:
    """Yield texts that run into a paragraph of two to ten sentences, five times in a row."""
    rng = random.Random(f"paragraphs {seed}")
    for number in range(count):
        kind = ("prose", "latex", "chinese", "solutions")[number % 4]
        paragraph = ""
        while len(paragraph) < 200 or paragraph.count(" ") + len(paragraph) // 20 < 64:
            paragraph += rng.choice(texts[kind]).strip() + rng.choice([" ", "\n"])
        joint = rng.choice(["", "\n", "\n\n"])
        yield f"<think>\n{_beginning(texts, rng)}\n\n" + (paragraph.strip() + (joint or " ")) * 5


def is_found_by_judge(text: str) -> bool:
    """Say whether the judge `repetition` counts more repeats than the filter lets pass."""
    return (Repetition().judge(text).score or 0.0) > MAX_REPEATS


def smallest_period(pattern: Sequence[Any]) -> int:
    """Return the smallest divisor of its length with which a pattern repeats itself."""
    length = len(pattern)
    return next(p for p in range(1, length + 1) if length % p == 0 and pattern[p:] == pattern[: length - p])


def shares(loops: Sequence[Planted]) -> dict[str, float]:
    """Return the share found by band of the period, and in all."""
    table = {"all": sum(loop.is_found for loop in loops) / len(loops)}
    for low, high in BANDS:
        band = [loop.is_found for loop in loops if low <= loop.period <= high]
        table[f"{low}-{high}"] = sum(band) / max(len(band), 1)
    return {name: round(share, 4) for name, share in table.items()}


def first_cut(make: Callable[[int], str], encode: Encode, *, limit: int = 400) -> int | None:
    """Return the smallest size at which something ordinary is taken for a loop; None if up to `limit` nothing is."""
    return next((n for n in range(1, limit + 1) if first_repetition(encode(make(n)), CUT) is not None), None)


GROWING: dict[str, Callable[[int], str]] = {
    "zero matrix (n x n)": lambda n: " \\\\\n".join([" & ".join(["0"] * min(n, 60))] * min(n, 60)),
    "list of n zeros": lambda n: str([0] * n),
    "sum of n equal terms": lambda n: " + ".join(["1"] * n),
    "n equal digits": lambda n: "3" * n,
    "rule of n dashes": lambda n: "-" * n,
    "n equal table rows": lambda n: "| 0 | 0 | 0 | 0 |\n" * n,
    "n equal sentences": lambda n: "Wait, let me check again. " * n,
}
"""Things that are ordinary while they are small."""


def vllm_check() -> Callable[[Sequence[Any], LoopCut], bool] | None:
    """Return vLLM's own check; None without vLLM.

    Its two functions are read from its source and need nothing else, while to import vLLM takes many seconds.
    """
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "v1" / "core" / "sched" / "utils.py"
    names = {"_has_repeating_pattern", "check_sequence_repetition"}
    tree = ast.parse(path.read_text("utf-8"))
    kept = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    scope: dict[str, Any] = {"Sequence": Sequence, "RepetitionDetectionParams": SimpleNamespace}
    exec(compile(ast.Module(body=kept, type_ignores=[]), str(path), "exec"), scope)
    check: Callable[[Sequence[Any], LoopCut], bool] = scope["check_sequence_repetition"]
    return check


def microseconds_per_token(check: Callable[[Sequence[Any], LoopCut], bool], completions: list[list[Any]]) -> float:
    """Return what it costs to check after every token that a policy appends, as engines do."""
    num_tokens, seconds = 0, 0.0
    for tokens in completions:
        written: list[Any] = []
        started = time.process_time()
        for token in tokens:
            written.append(token)
            check(written, CUT)
        seconds += time.process_time() - started
        num_tokens += len(tokens)
    return round(seconds / num_tokens * 1e6, 3)


def torch_microseconds(completions: list[list[Any]], *, rows: int = 512) -> float:
    """Return the same for the torch policy, which looks at a batch of completions every 16th token."""
    import torch

    from factory.policy import torch_decoding as decoding

    tokens = torch.tensor([(c * 999)[:512] for c in (completions * rows)[:rows]])
    everyone, alive = torch.arange(rows), torch.ones(rows, dtype=torch.bool)
    started = time.process_time()
    for num_tokens in range(decoding.LOOK_EVERY, tokens.shape[1] + 1, decoding.LOOK_EVERY):
        decoding._find_loops(tokens[:, :num_tokens], everyone, alive, CUT)
    return round((time.process_time() - started) / tokens.numel() * 1e6, 4)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ordinary", type=int, default=10_000, help="composed ordinary completions")
    parser.add_argument("--each", type=int, default=32, help="planted loops of every period")
    arguments = parser.parse_args()
    texts = real_texts()
    encoders = tokenizers_of(texts)
    real = [text for kind in texts.values() for text in kind]
    result: dict[str, Any] = {"benchmark": "loop_cut", "loop_cut": CUT.model_dump(), "found_within_256": {}}
    ordinary_cut: dict[str, dict[str, int]] = {}
    for name, encode in encoders.items():
        result["found_within_256"][name] = shares(list(planted_loops(texts, encode, each=arguments.each)))
        phrases = [loop.is_found for loop in looping_phrases(texts, encode)]
        result["found_within_256"][name]["phrases"] = round(sum(phrases) / len(phrases), 4)
        cut = [text for text in real if first_repetition(encode(text), CUT) is not None]
        ordinary_cut[name] = {
            "real": sum(RUNAWAY.search(text) is None for text in cut),
            "real, themselves loops": sum(RUNAWAY.search(text) is not None for text in cut),
            "composed": sum(first_repetition(encode(compose(i)), CUT) is not None for i in range(arguments.ordinary)),
        }
    runaway = sum(RUNAWAY.search(text) is not None for text in real)
    result["texts"] = {"real": len(real) - runaway, "real, themselves loops": runaway, "composed": arguments.ordinary}
    result["ordinary_cut"] = ordinary_cut
    paragraphs = [is_found_by_judge(text) for text in paragraph_loops(texts, count=400)]
    result["paragraphs_found_by_judge"] = round(sum(paragraphs) / len(paragraphs), 4)
    result["first_cut_at"] = {
        thing: {name: first_cut(make, encode) for name, encode in encoders.items()} for thing, make in GROWING.items()
    }
    # The middle of a long one: only there are all sizes looked at.
    completions = [encoders["bpe"]("\n".join(compose(10**6 + i + k) for k in range(4)))[:2048] for i in range(20)]
    costs: dict[str, float | None] = {"ours": microseconds_per_token(repeats, completions)}
    check = vllm_check()
    costs["vllm"] = None if check is None else microseconds_per_token(check, completions)
    costs["torch policy, 512 rows"] = torch_microseconds(completions)
    result["microseconds_per_token"] = costs
    result["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps(result, ensure_ascii=False))


def _beginning(texts: dict[str, list[str]], rng: random.Random) -> str:
    """Choose a real completion to run into a loop: one that is none yet."""
    return next(text for text in iter(lambda: rng.choice(texts["prose"]), None) if not RUNAWAY.search(text))


def _composed() -> Any:
    global _module  # noqa: PLW0603  # loaded by path once: it belongs to the tests
    if _module is None:
        spec = importlib.util.spec_from_file_location(
            "composed_completions", ROOT / "tests" / "composed_completions.py"
        )
        assert spec is not None
        assert spec.loader is not None
        _module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_module)
    return _module


_module: Any = None


if __name__ == "__main__":
    main()
