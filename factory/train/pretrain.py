"""Train a small language model from nothing on worked solutions of puzzles: how the embedded policy is made.

In: a configuration, which decides every number; the data is generated as it is needed and never stored. Out: a model
folder (Qwen2 architecture, tokenizer, chat template, generation settings) with a manifest, written last. A plain
next-token trainer on one CPU: no validation, no distribution, no mixed precision. It is deterministic for a given
number of threads, and a training that is killed goes on from its last checkpoint to the same weights.

The data comes in pools: pool k is made of `pool_examples` solutions drawn from seeds that belong to it alone, sorted
by length, cut into batches of at most `batch_tokens` tokens (padding counted) and shuffled. Problems that
`is_held_out` holds back are never trained on, so that a measurement on those is one on unseen problems.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from factory.config import Config
from factory.errors import MissingExtra, UsageError
from factory.identity import digest, hash_bytes
from factory.puzzles import families, wording, worked
from factory.train.trainer import Trainer, TrainManifest

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_RESUME = ".resume.pt"
_SEEDS_PER_TRAINING = 2**32


class Family(Config):
    """One puzzle family of the training data."""

    family: str
    """Name of the family; it must be one with worked solutions."""
    weight: float = Field(default=1.0, gt=0.0)
    """Its share of the problems, relative to the other families'."""
    config: dict[str, Any] = {}
    """What the generator is told, e.g. `{max_digits: 3}`; its own defaults otherwise."""

    @field_validator("family")
    @classmethod
    def _solved(cls, family: str) -> str:
        if family not in worked.SOLVED:
            raise ValueError(f"no worked solutions for {family!r}; there are some for {', '.join(worked.SOLVED)}")
        return family


class Shape(Config):
    """Size of the Qwen2 model."""

    hidden: int = Field(default=128, ge=32)
    """Width of the residual stream."""
    layers: int = Field(default=4, ge=1)
    """Number of layers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; `hidden / heads` should be 32 or 64, which every engine runs on a CPU."""
    kv_heads: int = Field(default=4, ge=1)
    """Heads of keys and values."""
    intermediate: int = Field(default=384, ge=32)
    """Width of the feed-forward layers."""
    vocab_size: int = Field(default=1024, ge=300)
    """Entries of the tokenizer, special tokens included."""
    context: int = Field(default=1024, ge=256)
    """Positions the model is declared for; it has learnt only those up to the trainer's `max_length`."""


class Pretrain(Trainer):
    """Train a small model from nothing on worked solutions."""

    kind: Literal["pretrain"] = "pretrain"
    families: tuple[Family, ...] = Field(min_length=1)
    """What the problems are drawn from."""
    languages: tuple[worked.Language, ...] = Field(default=("en", "zh"), min_length=1)
    """Languages of the prompts, in equal parts."""
    noise: worked.Noise = worked.Noise()
    """Rates of the deliberate faults."""
    suffix: str = "Please reason step by step, and put your final answer within \\boxed{}."  # R1's advice for users
    """An instruction that follows some of the prompts, so that the model minds it no more than their absence."""
    suffix_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of the prompts that it follows."""
    model: Shape = Shape()
    """Size of the model."""
    seed: int = Field(default=7, ge=0, lt=2**31)
    """Decides the weights at the start, the problems and the faults."""
    threads: int = Field(default=2, ge=1)
    """Threads of torch. Another number gives slightly other weights, because sums are taken in another order."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch_tokens: int = Field(default=8192, ge=512)
    """Most tokens of a batch, padding counted."""
    pool_examples: int = Field(default=4096, ge=64)
    """Solutions that are generated and sorted by length at a time."""
    max_length: int = Field(default=320, ge=64)
    """Longest example in tokens; longer ones are cut there, as endless ones are."""
    short_length: int = Field(default=64, ge=16)
    """Where examples are cut at the start: copying is learnt far sooner where there is little to look at."""
    short_steps: int = Field(default=0, ge=0)
    """Steps over which that length grows to `max_length`; 0 begins with it."""
    optimizer: Literal["adamw", "muon"] = "muon"
    """What moves the layers' matrices: Muon learns from fewer examples, AdamW is the one everybody knows."""
    lr: float = Field(default=2e-3, gt=0.0)
    """Highest learning rate: reached after the warm-up, then a cosine down to a twentieth of it."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps of linear warm-up."""
    weight_decay: float = Field(default=0.05, ge=0.0)
    """AdamW's decay of matrices."""
    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints."""

    def train(self, *, out: Path) -> TrainManifest:
        """Train, write the model folder and return its manifest. Raises MissingExtra without torch or reasoning-gym."""
        _require_extras()
        manifest = out / MANIFEST
        if manifest.exists():
            done = TrainManifest.model_validate_json(manifest.read_text("utf-8"))
            if done.settings == self.model_dump(mode="json"):
                return done
            raise UsageError(
                f"{out} holds a model that was trained with other settings", hint="give another folder, or remove it"
            )
        out.mkdir(parents=True, exist_ok=True)
        with _deterministic(self.threads):
            return _Run(self, out).finish()


def is_held_out(entry: families.Entry) -> bool:
    """Say whether a problem is never trained on: one of 32, by its question."""
    return int(hash_bytes(entry.question.encode("utf-8"))[:2], 16) < 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training example as text."""

    prompt: str
    """What the user says."""
    completion: str
    """What follows `<think>` and a line break."""
    ends: bool
    """Whether the end token follows."""


def examples(config: Pretrain, pool: int) -> Iterator[Example]:
    """Yield the examples of a pool: the same ones for the same configuration and pool."""
    rng = Random(digest(["pretrain", config.seed, pool]))
    # Each training, pool and family has seeds of its own; held-back problems are skipped, so a pool needs a few more.
    first = families.TRAINING_SEED + config.seed * _SEEDS_PER_TRAINING + pool * config.pool_examples * 2
    streams = [
        families.entries(f.family, first_seed=first, size=config.pool_examples * 2, config=f.config)
        for f in config.families
    ]
    weights = [f.weight for f in config.families]
    for _ in range(config.pool_examples):
        entry = next(e for e in rng.choices(streams, weights)[0] if not is_held_out(e))
        language = rng.choice(config.languages)
        prompt = families.question(entry, language)
        if rng.random() < config.suffix_share:
            prompt += rng.choice((" ", "\n", "")) + config.suffix
        solution = worked.worked(entry, language, rng, config.noise)
        yield Example(prompt=prompt, completion=solution.text, ends=solution.ends)


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Where a training stands; saved with each checkpoint."""

    step: int = 0
    pool: int = 0
    pool_length: int = 0
    batch: int = 0
    num_examples: int = 0
    num_tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


class _Run:
    """One training: model, optimiser, data and progress."""

    def __init__(self, config: Pretrain, out: Path) -> None:
        import torch

        self.config = config
        self.out = out
        self.code_hash = _code_hash()
        self.progress = _Progress()
        self.tokenizer = _tokenizer(config)
        torch.manual_seed(config.seed)
        self.model = _model(config, self.tokenizer)
        self.optimizers = _optimizers(config, self.model)
        self._load()

    def finish(self) -> TrainManifest:
        """Take the steps that are left and write the folder."""
        config, progress = self.config, self.progress
        before, started = progress.seconds, time.monotonic()
        batches = _batches(config, self.tokenizer, progress)
        while progress.step < config.steps:
            progress.losses.append(self._step(*next(batches)))
            progress.step += 1
            progress.seconds = before + time.monotonic() - started
            if progress.step % 20 == 0 or progress.step == config.steps:
                recent = progress.losses[-20:]
                _log.info(
                    "step %d of %d  loss %.4f  %d tokens  %.0f s",
                    progress.step,
                    config.steps,
                    sum(recent) / len(recent),
                    progress.num_tokens,
                    progress.seconds,
                )
            if progress.step % config.checkpoint_every == 0 and progress.step < config.steps:
                self._save()
        return self._write()

    def _step(self, tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> float:
        """Take one optimiser step and return its loss in nats per trained token."""
        import torch

        config = self.config
        rate = _learning_rate(self.progress.step, config)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        # Padding is on the right and attention is causal: no token sees a pad, so no mask is needed.
        hidden_BTD = self.model.model(input_ids=tokens_BT, use_cache=False).last_hidden_state
        trained_BT = targets_BT >= 0
        logits_NV = self.model.lm_head(hidden_BTD[trained_BT])
        loss = torch.nn.functional.cross_entropy(logits_NV, targets_BT[trained_BT])
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.item())

    def _save(self) -> None:
        import torch

        state = {
            "settings": self.config.model_dump(mode="json"),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        partial = self.out / (_RESUME + ".partial")
        torch.save(state, partial)
        partial.replace(self.out / _RESUME)

    def _load(self) -> None:
        import torch

        path = self.out / _RESUME
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["settings"] != self.config.model_dump(mode="json"):
            raise UsageError(
                f"{path} is the checkpoint of a training with other settings", hint="remove it to start anew"
            )
        self.progress = _Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        _log.info("resumed at step %d of %d", self.progress.step, self.config.steps)

    def _write(self) -> TrainManifest:
        """Write the model folder, its manifest last."""
        from transformers import GenerationConfig

        config, out, progress = self.config, self.out, self.progress
        self.model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=True,
            temperature=1.0,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        self.model.save_pretrained(out)
        self.tokenizer.save_pretrained(out)
        last = progress.losses[-max(1, config.steps // 10) :]
        manifest = TrainManifest(
            settings=config.model_dump(mode="json"),
            data_version=f"reasoning-gym {families.generator_version()}",
            code_hash=self.code_hash,
            weights_hash=hash_bytes((out / "model.safetensors").read_bytes()),
            num_parameters=sum(p.numel() for p in self.model.parameters()),
            num_steps=progress.step,
            num_examples=progress.num_examples,
            num_tokens=progress.num_tokens,
            loss=round(sum(last) / len(last), 6),
            seconds=round(progress.seconds, 1),
            versions={name: version(name) for name in ("torch", "transformers", "tokenizers", "reasoning-gym")},
        )
        (out / _RESUME).unlink(missing_ok=True)
        partial = out / (MANIFEST + ".partial")
        partial.write_text(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n", "utf-8")
        partial.replace(out / MANIFEST)
        return manifest


def _tokenizer(config: Pretrain) -> Any:
    """Train the tokenizer on the first pool, prompts and completions apart, with nothing said over and over."""
    from factory.train.vocabulary import train_tokenizer

    calm = config.noise.model_copy(update={"stutter": 0.0, "endless": 0.0})
    pool = examples(config.model_copy(update={"noise": calm}), 0)
    texts = [text for example in pool for text in (example.prompt, example.completion)]
    return train_tokenizer(texts, vocab_size=config.model.vocab_size, context=config.model.context)


def _model(config: Pretrain, tokenizer: Any) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = config.model
    return Qwen2ForCausalLM(  # type: ignore[no-untyped-call]
        Qwen2Config(
            vocab_size=shape.vocab_size,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.02,
            dtype="float32",
        )
    )


def _optimizers(config: Pretrain, model: Any) -> list[torch.optim.Optimizer]:
    """Return Muon for the layers' matrices and AdamW for the embedding and the vectors, or AdamW for all."""
    import torch

    layers = [p for p in model.model.layers.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    embedding = [model.model.embed_tokens.weight]
    assert len(layers) + len(vectors) + 1 == len(list(model.parameters()))
    decayed = embedding if config.optimizer == "muon" else embedding + layers
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), eps=1e-9)
    if config.optimizer == "adamw":
        return [adamw]
    # Scaled so that its updates are as large as AdamW's and one learning rate serves both.
    return [
        torch.optim.Muon(layers, lr=config.lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"),
        adamw,
    ]


def _batches(config: Pretrain, tokenizer: Any, progress: _Progress) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches from where `progress` stands, and move it on: tokens and targets [B, T], -1 where untrained."""
    import torch

    while True:
        if progress.batch == 0:
            progress.pool_length = _longest(progress.step, config)
        pool = _encoded_pool(config, tokenizer, progress.pool, longest=progress.pool_length)
        cut = _cut(config, pool)
        while progress.batch < len(cut):
            rows = [pool[i] for i in cut[progress.batch]]
            width = max(len(ids) for ids, _ in rows) - 1
            tokens_BT = torch.full((len(rows), width), tokenizer.pad_token_id)
            targets_BT = torch.full((len(rows), width), -1)
            for row, (ids, num_prompt) in enumerate(rows):
                tokens_BT[row, : len(ids) - 1] = torch.tensor(ids[:-1])
                targets_BT[row, num_prompt - 1 : len(ids) - 1] = torch.tensor(ids[num_prompt:])
            progress.batch += 1
            progress.num_examples += len(rows)
            progress.num_tokens += sum(len(ids) for ids, _ in rows)
            yield tokens_BT, targets_BT
        progress.pool, progress.batch = progress.pool + 1, 0


def _encoded_pool(config: Pretrain, tokenizer: Any, pool: int, *, longest: int) -> list[tuple[list[int], int]]:
    """Encode a pool: token ids of each example, cut at `longest`, and how many of them are its prompt.

    Examples whose prompt leaves no room for a completion are left out.
    """
    texts = list(examples(config, pool))
    chats = [[{"role": "user", "content": example.prompt}] for example in texts]
    prompts = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    completions = [example.completion for example in texts]
    completion_ids = tokenizer(completions, add_special_tokens=False, truncation=True, max_length=config.max_length)[
        "input_ids"
    ]
    encoded = []
    for example, prompt, completion in zip(texts, prompt_ids, completion_ids, strict=True):
        end = [tokenizer.eos_token_id] if example.ends else []
        if len(prompt) + 1 < longest:
            encoded.append(((prompt + completion + end)[:longest], len(prompt)))
    return encoded


def _cut(config: Pretrain, pool: list[tuple[list[int], int]]) -> list[list[int]]:
    """Cut a pool into batches of similar length, as indices, in a seeded order."""
    batches: list[list[int]] = [[]]
    for index in sorted(range(len(pool)), key=lambda i: (len(pool[i][0]), i)):
        if batches[-1] and (len(batches[-1]) + 1) * len(pool[index][0]) > config.batch_tokens:
            batches.append([])
        batches[-1].append(index)
    Random(digest(["batches", config.seed, pool[0][0]])).shuffle(batches)
    return batches


def _longest(step: int, config: Pretrain) -> int:
    """Return the length that the examples of a pool begun at `step` are cut at."""
    grown = (config.max_length - config.short_length) * step // max(1, config.short_steps)
    return config.max_length if step >= config.short_steps else config.short_length + grown


def _learning_rate(step: int, config: Pretrain) -> float:
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.lr * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * done)))


@contextlib.contextmanager
def _deterministic(threads: int) -> Iterator[None]:
    """Set torch to `threads` threads and deterministic algorithms, and back."""
    import torch

    threads_before, deterministic_before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(deterministic_before)


def _code_hash() -> str:
    """Hash the modules that decide what is trained on and how."""
    here = Path(__file__)
    modules = [here, here.with_name("vocabulary.py")]
    modules += [Path(module.__file__ or "") for module in (families, worked, wording)]
    return digest({path.name: hash_bytes(path.read_bytes()) for path in modules})


def _require_extras() -> None:
    for package, extra in (("torch", "train"), ("transformers", "train"), ("reasoning_gym", "puzzles")):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtra(package, extra=extra, needed_for="training from scratch") from error
