"""Measure the embedded policy on problems it has never seen: `python benchmarks/micro_policy.py [FOLDER] [--size N]`.

Problems are drawn from seeds outside the training range, and of those only the ones that training holds back by their
question. Prints one JSON line: pass rate (the answer in the last \\boxed{} is exactly the expected one), share of
traces whose reasoning is partly in the other language, share that loops, that is cut off at the token limit, and that
lacks its form, each over all traces, and per family the pass rate. A simple count, independent of the judges.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.puzzles import families
from factory.train.pretrain import is_held_out

SUFFIX = " Please reason step by step, and put your final answer within \\boxed{}."

_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One prompt and what is expected."""

    family: str
    language: str
    prompt: str
    answer: str


def unseen(manifest: dict[str, Any], size: int, seed: int) -> list[Asked]:
    """Return `size` held-back problems of each family that a policy was trained on, configured as they were for its
    training: half of them in each language, every fourth with the suffix."""
    asked = []
    for trained in manifest["settings"]["families"]:
        family = trained["family"]
        first = families.source_seed(seed)
        drawn = families.entries(family, first_seed=first, size=size * 100, config=trained["config"])
        for index, entry in enumerate(itertools.islice(filter(is_held_out, drawn), size)):
            language = ("en", "zh")[index % 2]
            prompt = families.question(entry, language) + (SUFFIX if index % 4 == 3 else "")
            asked.append(Asked(family=family, language=language, prompt=prompt, answer=entry.answer))
    return asked


def sample(folder: Path, prompts: list[str], *, max_tokens: int, batch: int, seed: int) -> list[tuple[str, bool]]:
    """Sample one completion per prompt at temperature 1: its text, and whether it came to an end."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.manual_seed(seed)
    completions = []
    for start in range(0, len(prompts), batch):
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts[start : start + batch]]
        texts = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            output = model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=max_tokens)
        for row in output[:, inputs["input_ids"].shape[1] :]:
            ended = bool((row == tokenizer.eos_token_id).any())
            completions.append((tokenizer.decode(row, skip_special_tokens=True), ended))
    return completions


def facts(asked: Asked, text: str, *, ended: bool) -> dict[str, bool]:
    """Say what is true of one completion (which stands after the prefilled `<think>`)."""
    reasoning, closed, answer = text.partition("</think>")
    boxed = _BOXED.findall(answer if closed else text)
    other = _HAN.search(reasoning) if asked.language == "en" else _LATIN_WORD.search(_BOXED.sub("", reasoning))
    lines = Counter(line for line in reasoning.split("\n") if line)
    return {
        "passed": ended and bool(boxed) and boxed[-1] == asked.answer,
        "mixed": other is not None,
        "looped": bool(lines) and max(lines.values()) >= 4,
        "truncated": not ended,
        "bad_form": ended and not (closed and _BOXED.search(answer)),
    }


def main() -> None:
    """Sample, count and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / "factory" / "policy" / "micro"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--size", type=int, default=100, help="problems per family")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print this many completions per family to stderr")
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    manifest = json.loads((options.folder / "manifest.json").read_text("utf-8"))
    asked = unseen(manifest, options.size, options.seed)
    started = time.monotonic()
    completions = sample(
        options.folder, [a.prompt for a in asked], max_tokens=options.max_tokens, batch=options.batch, seed=options.seed
    )
    seconds = time.monotonic() - started
    counted = [facts(a, text, ended=ended) for a, (text, ended) in zip(asked, completions, strict=True)]
    shown: Counter[str] = Counter()
    for one, (text, _), fact in zip(asked, completions, counted, strict=True):
        shown[one.family] += 1
        if shown[one.family] <= options.show:
            print(f"--- {one.prompt}\n{text}\n=== {one.answer} {fact}", file=sys.stderr)
    result = {
        "traces": len(counted),
        **{name: _share([c[name] for c in counted]) for name in counted[0]},
        "passed_by_family": {
            family: _share([c["passed"] for a, c in zip(asked, counted, strict=True) if a.family == family])
            for family in dict.fromkeys(a.family for a in asked)
        },
        "passed_by_language": {
            lang: _share([c["passed"] for a, c in zip(asked, counted, strict=True) if a.language == lang])
            for lang in ("en", "zh")
        },
        "max_tokens": options.max_tokens,
        "seed": options.seed,
        "seconds": round(seconds, 1),
        "weights": manifest["weights_hash"],
        "machine": f"{platform.machine()} {os.cpu_count()} cores, {options.threads} threads",
    }
    print(json.dumps(result))


def _share(values: list[bool]) -> float:
    return round(sum(values) / max(1, len(values)), 4)


if __name__ == "__main__":
    main()
