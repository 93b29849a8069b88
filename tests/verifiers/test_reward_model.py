"""The reward model on random models of a few thousand parameters, built on the spot."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest

from verifiers import JudgePool, JudgeUnusable, RewardModel, Task, as_reward
from verifiers.reward_scorer import Encoded, RewardScorer

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `train` is not installed")

TOKENIZER = Path(__file__).resolve().parents[2] / "factory" / "policy" / "micro"
QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
DRAWS = random.Random(3)
TEXTS = [
    " ".join(DRAWS.choices(["four", "is", "the", "sum", "of", "two", "and", "7"], k=n % 40 + 1)) for n in range(60)
]


def save(folder, *, pad=None, labels=1, kind="qwen2", template=True):
    """Save a random model and the tokenizer of the embedded policy."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    if not template:
        tokenizer.chat_template = None
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    common = {**sizes, "vocab_size": len(tokenizer), "num_labels": labels, "pad_token_id": pad}
    torch.manual_seed(0)
    if kind == "qwen2":
        config = transformers.Qwen2Config(**common, num_key_value_heads=2, max_position_embeddings=512)
        model = transformers.Qwen2ForSequenceClassification(config)
    elif kind == "bert":
        config = transformers.BertConfig(**common, max_position_embeddings=512)
        model = transformers.BertForSequenceClassification(config)
    else:
        config = transformers.Qwen2Config(**common, num_key_value_heads=2, max_position_embeddings=512)
        model = transformers.Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder), model.eval(), tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model"))


def plain(model, tokenizer, text):
    """Score one text as the model's owner would: alone, without padding."""
    chat = [*QUESTION, {"role": "assistant", "content": text}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False)
    ids = tokenizer(rendered, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.inference_mode():
        return model(input_ids=ids).logits.item()


def test_a_score_is_the_logit_of_the_conversation(model):
    folder, network, tokenizer = model
    judge = RewardModel(model=folder)
    for text in TEXTS[:8]:
        found = judge.judge(f"<think>hidden</think>{text}", None, QUESTION)
        assert found.score == pytest.approx(plain(network, tokenizer, text), abs=2e-4)
        assert (found.outcome, judge.reward(found)) == ("pass", found.score)
    assert len({judge.judge(text, None, QUESTION).score for text in TEXTS[:20]}) > 15
    assert judge.judge("four", None, QUESTION).score != judge.judge("four", None, None).score


@pytest.mark.parametrize(
    ("kind", "pad"), [("qwen2", "none"), ("qwen2", "own"), ("qwen2", "end of text"), ("bert", "own")]
)
def test_batched_is_single_whatever_pads(tmp_path, kind, pad):
    ids = {"none": None, "own": 0, "end of text": transformers.AutoTokenizer.from_pretrained(TOKENIZER).eos_token_id}
    folder, _, _ = save(tmp_path, kind=kind, pad=ids[pad])
    one = RewardScorer(folder, revision=None, dtype="float32", device="cpu", batch_size=1)
    rows = [one.encoded([*QUESTION, {"role": "assistant", "content": text}], 512) for text in TEXTS[:24]]
    alone = [one.score([row])[0] for row in rows]
    assert len({round(score, 6) for score in alone}) > 15
    for batch_size in (7, 64):
        many = RewardScorer(folder, revision=None, dtype="float32", device="cpu", batch_size=batch_size)
        assert many.score(rows) == pytest.approx(alone, abs=1e-5)
        assert many.score(rows[::-1]) == pytest.approx(alone[::-1], abs=1e-5)


def test_the_last_token_counts_whatever_it_is_where_the_model_names_no_padding(tmp_path):
    folder, _, _ = save(tmp_path)
    scorer = RewardScorer(folder, revision=None, dtype="float32", device="cpu", batch_size=64)
    rows = [Encoded(ids=ids, num_all=len(ids)) for ids in [(5, 6), (5, 6, 0), (5, 6, 0, 0), (5, 6, 1), (5, 6, 0, 1, 2)]]
    alone = [scorer.score([row])[0] for row in rows]
    assert scorer.score(rows) == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 5) for score in alone}) == 5


def test_scores_are_the_same_every_time_and_in_a_pool(model):
    judge = RewardModel(model=model[0]).on("cpu", batch_size=16)
    alone = [judge.judge(text, None, QUESTION).score for text in TEXTS]
    with JudgePool(1) as pool:
        for _ in range(2):
            found = list(pool.map(Task(judge=judge, completion=text, prompt=QUESTION) for text in TEXTS))
            assert [verdict.score for verdict in found] == pytest.approx(alone, abs=2e-4)


def test_an_encoder_without_a_chat_template_gets_the_pair(tmp_path):
    folder, network, tokenizer = save(tmp_path, kind="bert", template=False, pad=0)
    found = RewardModel(model=folder).judge("four", None, QUESTION)
    ids = tokenizer("What is 2 + 2?", "four", return_tensors="pt").input_ids
    with torch.inference_mode():
        assert found.score == pytest.approx(network(input_ids=ids).logits.item(), abs=2e-4)
    with JudgePool(1) as pool:
        judge = RewardModel(model=folder)
        both = pool.map(Task(judge=judge, completion=text, prompt=QUESTION) for text in ("four", "four is the sum"))
        assert next(iter(both)).score == pytest.approx(found.score, abs=2e-4)


def test_what_is_left_out_is_said(model):
    judge = RewardModel(model=model[0], max_tokens=64)
    found = judge.judge("four " * 5000, None, QUESTION)
    assert "64 tokens, the middle of" in found.reason
    assert "left out" not in judge.judge("four", None, QUESTION).reason
    long = RewardModel(model=model[0]).judge("four " * 5000, None, QUESTION)  # the model itself reads no more than 512
    assert " 512 tokens" in long.reason
    kept = judge._scorer().encoded([*QUESTION, {"role": "assistant", "content": "four " * 500}], 64)
    whole = judge._scorer().encoded([*QUESTION, {"role": "assistant", "content": "four " * 500}], 512)
    assert kept.ids[:16] == whole.ids[:16]
    assert kept.ids[-48:] == whole.ids[-48:]


def test_the_part_that_is_scored(model):
    answer, whole = RewardModel(model=model[0]), RewardModel(model=model[0], part="whole")
    first, second = "<think>one</think>four", "<think>seven and two</think>four"
    assert answer.judge(first, None, QUESTION).score == answer.judge(second, None, QUESTION).score
    assert whole.judge(first, None, QUESTION).score != whole.judge(second, None, QUESTION).score
    never = answer.judge("<think>one", None, QUESTION)
    assert "the reasoning never ends" in never.reason
    assert never.score == answer.judge("", None, QUESTION).score, "saying nothing is measured too, never a free zero"


HOSTILE = ["", "\x00", "\ud800", "{" * 200_000, "<think>" * 1000, "<|im_end|>" * 200, "漢字" * 20_000, "\u202e\u200b"]


def test_hostile_text_gets_a_score(model):
    judge = RewardModel(model=model[0])
    for text in HOSTILE:
        found = judge.judge(text, None, QUESTION)
        assert found.outcome == "pass", (text[:20], found)
        assert math.isfinite(found.score)


def test_a_completion_adds_no_turn_of_its_own(model):
    scorer = RewardScorer(model[0], revision=None, dtype="float32", device="cpu", batch_size=8)
    special = set(scorer._tokenizer.all_special_ids)
    marks = "".join(scorer._tokenizer.all_special_tokens)
    seen = []
    scored = scorer.encoded

    judge = RewardModel(model=model[0])
    own = judge._scorer()

    def encoded(turns, max_tokens):
        seen.append(turns[-1]["content"])
        return scored(turns, max_tokens)

    own.encoded = encoded
    try:
        judge.judge(f"four{marks}four", None, QUESTION)
    finally:
        del own.encoded
    ids = scorer._tokenizer(seen[0], add_special_tokens=False)["input_ids"]
    assert special
    assert not special & set(ids) - set(scorer._tokenizer("four", add_special_tokens=False)["input_ids"])


def test_a_model_that_is_none_is_told(tmp_path, model):
    wrong = {
        "two labels": save(tmp_path / "two", labels=2)[0],
        "no trained head": save(tmp_path / "causal", kind="causal")[0],
        "not there": str(tmp_path / "nowhere"),
        "none": "",
    }
    said = {
        "two labels": "2 labels",
        "no trained head": "have no score",
        "not there": "cannot be loaded",
        "none": "`model`",
    }
    for name, folder in wrong.items():
        with pytest.raises(JudgeUnusable, match=said[name]):
            RewardModel(model=folder).judge("four", None, QUESTION)
        with JudgePool(1) as pool, pytest.raises(JudgeUnusable):
            pool.judge(Task(judge=RewardModel(model=folder), completion="four"))


def test_memory_that_does_not_suffice_halves_the_batch(model, monkeypatch):
    scorer = RewardScorer(model[0], revision=None, dtype="float32", device="cpu", batch_size=64)
    rows = [scorer.encoded([{"role": "assistant", "content": text}], 512) for text in TEXTS[:9]]
    expected, scored, sizes = scorer.score(rows), scorer._scored, []

    def small(batch):
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("too much")
        return scored(batch)

    monkeypatch.setattr(scorer, "_scored", small)
    assert scorer.score(rows) == pytest.approx(expected, abs=1e-5)
    assert max(sizes) == 9
    monkeypatch.setattr(scorer, "_scored", lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("too much")))
    with pytest.raises(MemoryError, match="3 tokens"):
        scorer.score([Encoded(ids=(1, 2, 3), num_all=3)])


def test_it_is_a_reward_and_measures_only(model):
    judge = RewardModel(model=model[0])
    assert (judge.decides, judge.uses_reference, judge.runs_here) == (False, False, True)
    reward = as_reward([judge], num_workers=1)
    alone = [judge.judge(text, None, QUESTION).score for text in TEXTS[:4]]
    found = reward([[{"role": "assistant", "content": text}] for text in TEXTS[:4]], prompts=[QUESTION] * 4)
    assert found == pytest.approx(alone, abs=2e-4)
    reward.pool.close()


def test_without_transformers_the_install_line_is_told():
    script = (
        "import sys; sys.modules['transformers'] = None\n"
        "from verifiers import JudgePool, RewardModel, Task\n"
        "for judge in (RewardModel(model='m').judge, lambda t: JudgePool(1).judge(Task(judge=RewardModel(model='m'), "
        "completion=t))):\n"
        "    try:\n        judge('four')\n"
        "    except ImportError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("pip install 'trace-factory[train]'") == 2


def test_importing_it_imports_no_torch():
    script = (
        "import sys, json, verifiers; print(json.dumps([m for m in ('torch', 'transformers') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == []
