"""What a recipe costs beside the engine: completion tokens per second of `kind: vllm` in a recipe, with writing to the
ledger and judging, against bare `LLM.generate` on the same prompts, seeds, engine options and parameters.

Both run in turn, `--rounds` times, each in a process of its own, loading and unloading the engine left out. In
the recipe the clock runs from the engine being ready to the last verdict being stored. One JSON line on stdout.

    python benchmarks/sampling_overhead.py --size 200 --group-size 8 --rounds 3
    python benchmarks/sampling_overhead.py --hidden 512 --layers 8       # random weights of a larger model
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MICRO = Path(__file__).resolve().parents[1] / "factory" / "policy" / "micro"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=200, help="problems")
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--max-num-seqs", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=0, help="width of a random model; 0 takes the embedded one")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--no-loop-cut", action="store_true")
    parser.add_argument("--part", choices=["recipe", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps((_recipe if args.part == "recipe" else _bare)(args, Path(args.folder))))
        return
    results: dict[str, list[dict[str, Any]]] = {"recipe": [], "bare": []}
    with tempfile.TemporaryDirectory() as name:
        _write_recipe(args, Path(name))
        for at in range(args.rounds):
            for part in ("recipe", "bare") if at % 2 == 0 else ("bare", "recipe"):
                results[part].append(_in_a_process(part, Path(name), at))
                print(part, results[part][-1], file=sys.stderr)
    rates = {part: [r["tokens"] / r["seconds"] for r in found] for part, found in results.items()}
    ratios = [a / b for a, b in zip(rates["recipe"], rates["bare"], strict=True)]
    line = {
        "benchmark": "sampling_overhead",
        "model": "builtin:micro" if not args.hidden else f"random Qwen2, {args.layers} x {args.hidden}",
        "completions": args.size * args.group_size,
        "loop_cut": not args.no_loop_cut,
        "recipe_tokens_per_s": round(statistics.median(rates["recipe"])),
        "sampling_alone_tokens_per_s": round(
            statistics.median(r["tokens"] / r["sampling_seconds"] for r in results["recipe"])
        ),
        "bare_tokens_per_s": round(statistics.median(rates["bare"])),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(r, 3) for r in ratios],
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
    }
    print(json.dumps(line))


def _in_a_process(part: str, folder: Path, at: int) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part, "--folder", str(folder / f"{part}-{at}")]
    (folder / f"{part}-{at}").mkdir()
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (folder / "log").open("a") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env, check=False)
    if done.returncode:
        raise SystemExit((folder / "log").read_text()[-3000:])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith('{"tokens"')]  # vLLM talks there too
    return dict(json.loads(line))


def _engine(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    model = str(folder / "model") if args.hidden else str(MICRO)
    return {
        "model": model,
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 512,
        "max_num_seqs": args.max_num_seqs,
    }


def _write_recipe(args: argparse.Namespace, folder: Path) -> None:
    if args.hidden:
        _write_random_model(args, folder / "model")
    source = {"kind": "puzzles", "family": "chain_sum", "size": args.size, "seed": 5, "domain": "math"}
    sample = {
        "policy": {"kind": "vllm", **_engine(args, folder)},
        "group_size": args.group_size,
        "max_tokens": args.max_tokens,
        **({"loop_cut": None} if args.no_loop_cut else {}),
    }
    judges = ("math_answer", "format", "language", "repetition")
    recipe = {
        "name": "overhead",
        "source": {"from": [source]},
        "sample": sample,
        "verify": [{"kind": kind} for kind in judges],
    }
    (folder / "overhead.yaml").write_text(json.dumps(recipe))


def _write_random_model(args: argparse.Namespace, folder: Path) -> None:
    import shutil

    import transformers

    shutil.copytree(MICRO, folder, ignore=shutil.ignore_patterns("*.safetensors", "README.md", "manifest.json"))
    config = transformers.AutoConfig.from_pretrained(MICRO)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = args.hidden, 3 * args.hidden, args.layers
    config.num_attention_heads = config.num_key_value_heads = args.hidden // 64
    config.head_dim = 64
    config.layer_types = ["full_attention"] * args.layers
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)


def _recipe(_: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from factory import pipeline
    from factory.policy.vllm import VllmPolicy, VllmPolicyConfig
    from factory.recipe import load

    ready: list[float] = []
    closing: list[float] = []
    opened, closed = VllmPolicyConfig.open, VllmPolicy.close

    def timed_open(self: VllmPolicyConfig, *given: Any) -> Any:
        policy = opened(self, *given)
        ready.append(time.perf_counter())
        return policy

    def timed_close(self: VllmPolicy) -> None:
        start = time.perf_counter()
        closed(self)
        closing.append(time.perf_counter() - start)

    VllmPolicyConfig.open = timed_open  # type: ignore[method-assign]
    VllmPolicy.close = timed_close  # type: ignore[method-assign]
    recipe = load(folder.parent / "overhead.yaml")
    pipeline.run(recipe, ledger=folder / "ledger", until="source")
    pipeline.run(recipe, ledger=folder / "ledger", only="sample")
    sampled = time.perf_counter()
    pipeline.run(recipe, ledger=folder / "ledger", only="verify")
    end = time.perf_counter()
    tokens = _tokens(folder / "ledger")
    start = ready[0] + sum(closing)
    return {"tokens": tokens, "seconds": end - start, "sampling_seconds": sampled - start}


def _tokens(ledger: Path) -> int:
    from factory.ledger import Ledger

    return int(Ledger.open(ledger).snapshot().scan("traces").collect()["num_completion_tokens"].sum())


def _bare(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import RepetitionDetectionParams

    from factory import pipeline
    from factory.identity import seed_of, trace_id
    from factory.ledger import Ledger
    from factory.policy.devices import has_gpu_device
    from factory.recipe import load

    recipe = load(folder.parent / "overhead.yaml")
    pipeline.run(recipe, ledger=folder / "ledger", until="source")
    problems = Ledger.open(folder / "ledger").snapshot().scan("problems").collect()
    engine: dict[str, Any] = _engine(args, folder.parent)
    if not has_gpu_device():
        engine["enable_chunked_prefill"] = False  # as the policy does, see factory/policy/engine_options.py
    llm = LLM(**engine)
    tokenizer = llm.get_tokenizer()
    assert recipe.sample is not None
    fingerprint = recipe.sample.policy.fingerprint(recipe.sample.sampling(), recipe.sample.prompt)
    prompts, params = [], []
    for problem, prompt in problems.select("problem_id", "prompt").iter_rows():
        text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for index in range(args.group_size):
            cut = None if args.no_loop_cut else RepetitionDetectionParams(64, 24, 7)
            seed = seed_of(trace_id(problem, fingerprint, index))
            prompts.append({"prompt_token_ids": ids})
            params.append(
                SamplingParams(temperature=1.0, max_tokens=args.max_tokens, seed=seed, repetition_detection=cut)
            )
    start = time.perf_counter()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - start
    return {"tokens": sum(len(o.outputs[0].token_ids) for o in outputs), "seconds": seconds}


if __name__ == "__main__":
    main()
