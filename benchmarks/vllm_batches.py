"""How far vLLM's text depends on what is decoded together: the share of completions that differ between batch sizes.

The same slots, with the same seeds, are sampled by the embedded policy at several `max_num_seqs` and twice at the
largest; a slot differs where its text is not that of the largest batch. One JSON line on stdout.

    python benchmarks/vllm_batches.py --slots 512 --dtypes float32 bfloat16 --sizes 4 32 128
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

from factory.identity import seed_of, trace_id
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.vllm import VllmPolicyConfig
from factory.puzzles import families
from factory.records import Completion, Slot


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=512)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 32, 128])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--model", default="builtin:micro")
    args = parser.parse_args()
    slots = _slots(args.slots)
    differ: dict[str, dict[str, float]] = {}
    for dtype in args.dtypes:
        texts = {size: _sample(args, dtype, size, slots) for size in args.sizes}
        again = _sample(args, dtype, max(args.sizes), slots)
        largest = texts.pop(max(args.sizes))
        shares = {str(size): _share(found, largest) for size, found in texts.items()}
        differ[dtype] = {**shares, f"{max(args.sizes)} again": _share(again, largest)}
    line = {
        "benchmark": "vllm_batches",
        "model": args.model,
        "slots": args.slots,
        "temperature": args.temperature,
        "against_batch_size": max(args.sizes),
        "share_of_texts_that_differ": differ,
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
    }
    print(json.dumps(line))


def _slots(number: int) -> list[Slot]:
    entries = families.entries("chain_sum", first_seed=families.source_seed(5), size=max(1, number // 4), config={})
    slots = []
    for entry in entries:
        question = families.question(entry, "en")
        for index in range(4):
            identity = trace_id(question, "batches", index)
            prompt: Any = [{"role": "user", "content": question}]
            slots.append(
                Slot(trace_id=identity, problem_id=question, prompt=prompt, index=index, seed=seed_of(identity))
            )
    return slots[:number]


def _sample(args: argparse.Namespace, dtype: str, size: int, slots: list[Slot]) -> dict[str, str]:
    config = VllmPolicyConfig.model_validate(
        {"model": args.model, "dtype": dtype, "max_num_seqs": size, "max_model_len": 512, "enforce_eager": True}
    )
    policy = config.open(Sampling(max_tokens=200, temperature=args.temperature), PromptForm())
    try:
        return {r.trace_id: r.text for r in policy.sample(slots) if isinstance(r, Completion)}
    finally:
        policy.close()


def _share(found: dict[str, str], other: dict[str, str]) -> float:
    return round(sum(found[i] != text for i, text in other.items()) / len(other), 4)


if __name__ == "__main__":
    main()
