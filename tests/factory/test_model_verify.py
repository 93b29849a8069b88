"""Recipes whose judges ask a model: identity, verdicts, faults, resume, what is written down, and in bulk."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from factory import pipeline
from factory.cli.main import call
from factory.errors import PolicyError, RecipeError
from factory.identity import judge_json
from factory.judging import JudgeUse
from factory.ledger import Ledger, files
from factory.recipe import dump, load
from verifiers import ModelJudge, RewardModel

pytest.importorskip("aiohttp", reason="the extra `server` is not installed")

from factory.testing.mock_server import Faults, MockBehaviour, serving

KEY = re.compile(r'\{"key": "([0-9a-f]{16})"')


def replies(prompt: str) -> str:
    """Judge as a careful model would: by the letter that the answer and the reference give."""
    key = KEY.findall(prompt)[-1]
    reference = re.search(r"Reference answer:\n\| (\w)", prompt)
    answer = re.search(r"The answer is \\boxed\{(\w)\}", prompt)
    assert reference is not None
    assert answer is not None
    word = "correct" if answer[1] == reference[1] else "incorrect"
    return "<think>let me see</think>" + json.dumps({"key": key, "analysis": "by its letter", "correctness": word})


def judge(url: str, **changes: Any) -> dict[str, Any]:
    policy = {"kind": "server", "model": "mock", "urls": [url]}
    return {"kind": "model_judge", "policy": policy | changes.pop("policy", {}), "domains": ["stem"], **changes}


def table(workplace: Any, name: str) -> pl.DataFrame:
    return Ledger.open(workplace.ledger).snapshot().scan(name).collect()


@pytest.fixture
def server() -> Any:
    with serving(MockBehaviour(replies=replies)) as running:
        yield running


def asked(server: Any) -> int:
    return int(server.stats()["requests"])


def test_a_recipe_judged_by_a_model(workplace: Any, server: Any) -> None:
    workplace.write(
        verify=[judge(server.url, policy={"price_per_million": {"prompt": 1, "completion": 2}}), {"kind": "choice"}],
        filter=[{"kind": "rejected", "by": ["model_judge"]}],
    )
    said: list[str] = []

    class Listener(pipeline.Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    result = workplace.run(reporter=Listener(), num_workers=1)
    assert result.num_done["verify"] == 96
    verdicts = table(workplace, "verdicts")
    by_model, by_rule = (
        dict(verdicts.filter(by=kind).select("trace_id", "outcome").iter_rows()) for kind in ("model_judge", "choice")
    )
    assert by_model == by_rule
    assert set(by_model.values()) == {"pass", "fail"}
    assert verdicts.filter(by="model_judge")["reason"].str.contains("by its letter").all()
    line = next(text for text in said if "was asked" in text)
    assert re.fullmatch(r"verify   mock was asked 48 questions: [\d,]+ tokens read, [\d,]+ written, cost 0\.\d\d", line)

    # what it is, is written down; where it runs is not
    described = table(workplace, "judges").filter(pl.col("config").str.contains("model_judge"))
    fingerprint = json.loads(described["config"][0])["model"].removeprefix("policy:")
    policy = json.loads(table(workplace, "policies").filter(fingerprint=fingerprint)["config"][0])
    assert (policy["model"], policy["sampling"]["temperature"]) == ("mock", 0.0)
    told = [entry for entry in result.corpus.manifest["judges"] if entry["judge"]["kind"] == "model_judge"]
    assert told[0]["policy"]["model"] == "mock"
    port = server.url.split(":")[2].split("/")[0]
    for path in [*result.corpus.folder.rglob("*"), *workplace.ledger.rglob("*.parquet")]:
        if path.is_file():
            assert f"127.0.0.1:{port}".encode() not in path.read_bytes(), path

    before = asked(server)
    assert set(workplace.run().num_done.values()) == {0}
    assert asked(server) == before, "a run twice asks nothing the second time"
    assert workplace.run("verify.0.max_tokens=2048").num_done["verify"] == 48, "another sampling is another judge"
    assert workplace.run("verify.0.votes=3").num_done["verify"] == 48
    assert asked(server) == before + 48 + 3 * 48
    assert workplace.run("verify.0.policy.max_in_flight=3").num_done["verify"] == 0, "how it is asked is no part of it"


def test_a_plan_asks_no_server_and_a_run_without_one_records_nothing(workplace: Any) -> None:
    with serving(MockBehaviour(replies=replies)) as server:
        url = server.url
        workplace.write(verify=[judge(url, policy={"outage_s": 1})], filter=[])
        workplace.run(until="sample")
    steps = {step.step: step for step in pipeline.plan(load(workplace.recipe_file), ledger=workplace.ledger)}
    assert (steps["verify"].total, steps["verify"].done) == (48, 0)
    with pytest.raises(PolicyError, match=re.escape(url)):
        workplace.run()
    assert table(workplace, "verdicts").is_empty()
    with serving(MockBehaviour(replies=replies), port=int(url.split(":")[2].split("/")[0])):
        assert workplace.run().num_done["verify"] == 48


def test_faults_are_unknown_and_tried_at_most_three_times(workplace: Any) -> None:
    faults = Faults(malformed_json=0.05, content_filter=0.2)
    behaviour = MockBehaviour(seed=5, replies=replies, faults=faults, always_fail=0.05, retry_after=0.0)
    with serving(behaviour) as server:
        workplace.write(verify=[judge(server.url, policy={"max_attempts": 1})], filter=[])
        workplace.run(num_workers=2)
        before = asked(server)
        assert workplace.run().num_done["verify"] == 0
        assert asked(server) == before
    verdicts = table(workplace, "verdicts")
    num_each = verdicts.group_by("trace_id").agg(
        num=pl.len(), causes=pl.col("cause"), outcome=pl.col("outcome").last(), reason=pl.col("reason").last()
    )
    assert num_each.height == 48
    assert num_each["num"].max() == 3
    for row in num_each.iter_rows(named=True):
        assert all(cause == "transient" for cause in row["causes"][:-1]), "only what may pass is tried again"
    unknown = num_each.filter(outcome="unknown")
    assert unknown.filter(pl.col("reason").str.contains("malformed"))["num"].unique().to_list() == [3]
    assert (
        unknown.filter(pl.col("reason").str.contains("content_filter"))["causes"].list.last().to_list()[0]
        == "permanent"
    )
    assert num_each.filter(outcome="pass").height > 5


class Killed(BaseException):
    """Stands for a kill."""


def test_killed_while_judging_it_goes_on_and_asks_only_what_is_missing(
    workplace: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.verify._FLUSH_ROWS", 10)
    workplace.write(verify=[judge(server.url)], filter=[])
    workplace.run(until="sample")
    seen = 0

    def kill(name: str) -> None:
        nonlocal seen
        seen += name == "append:verdicts"
        if seen == 3:
            raise Killed

    with files.failpoints(kill), pytest.raises(Killed):
        workplace.run()
    before = asked(server)
    owed = 48 - table(workplace, "verdicts").height
    assert 0 < owed < 48
    assert workplace.run().num_done["verify"] == owed
    assert asked(server) == before + owed


def test_a_cascade_asks_only_what_the_rule_leaves_open(workplace: Any, server: Any) -> None:
    composed = {
        "kind": "cascade",
        "of": [{"kind": "choice"}, {"kind": "model_judge", "votes": 3}],
        "after": "fail",
        "policy": judge(server.url)["policy"],
        "temperature": 0.6,
    }
    workplace.write(verify=[composed], filter=[{"kind": "rejected", "by": ["cascade"]}])
    assert workplace.run(num_workers=2).num_done["verify"] == 48
    verdicts = table(workplace, "verdicts")
    assert set(verdicts["by"]) == {"cascade"}
    num_failed = verdicts.filter(outcome="fail").height
    assert 0 < num_failed < 48
    assert asked(server) == 3 * num_failed
    assert set(workplace.run().num_done.values()) == {0}


def test_a_policy_of_this_machine_judges_too(workplace: Any) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    workplace.write_lines("problems.jsonl", workplace.problems()[:2])
    policy = {"kind": "auto", "model": "builtin:micro"}
    workplace.write(
        verify=[{"kind": "model_judge", "policy": policy, "max_tokens": 8, "retries": 0, "max_chars": 200}], filter=[]
    )
    assert workplace.run(num_workers=1).num_done["verify"] == 8
    verdicts = table(workplace, "verdicts")
    assert set(verdicts["cause"]) == {"permanent"}, "a model of a million parameters writes no verdict"
    assert verdicts["reason"].str.contains("cannot be read|without a reply").all()
    assert table(workplace, "pins")["value"].to_list() == ["torch"]
    assert set(workplace.run().num_done.values()) == {0}


POLICY = {"kind": "server", "model": "m", "urls": ["http://localhost:1/v1"]}
WRONG = [
    ({"kind": "model_judge"}, "asks a model"),
    ({"kind": "cascade", "of": [{"kind": "choice"}, {"kind": "model_judge"}]}, "asks a model"),
    ({"kind": "choice", "policy": POLICY}, "asks no model"),
    ({"kind": "model_judge", "policy": POLICY, "model": "m"}, "remove `model`"),
    ({"kind": "model_judge", "policy": POLICY, "vote": 3}, "did you mean 'votes'"),
    ({"kind": "model_judge", "policy": POLICY, "temperature": -1}, "temperature"),
    ({"kind": "model_judge", "policy": POLICY | {"kind": "servers"}}, "did you mean 'server'"),
    ({"kind": "model_judge", "temperature": 0.5}, "temperature"),
    ({"kind": "model_judge", "policy": {"kind": "recorded", "path": "completions.jsonl", "columns": {"problem": "p"}}}
     , "answers no questions"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "said"), WRONG)
def test_a_wrong_use_is_told_with_its_place(workplace: Any, use: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        load(workplace.write(verify=[use]))
    assert "tiny.yaml:1" in str(caught.value)


def test_the_recipe_beside_a_corpus_is_one_and_says_no_url(workplace: Any) -> None:
    uses = [judge("http://secret-host:8000/v1", votes=3, temperature=0.6), {"kind": "format"}]
    recipe = load(workplace.write(verify=uses, filter=[]))
    text = dump(recipe)
    assert "secret-host" not in text
    (workplace.folder / "again.yaml").write_text(text)
    again = load(workplace.folder / "again.yaml")
    assert dump(again) == text
    assert again.verify[0].sampling == recipe.verify[0].sampling
    assert again.verify[0].judge == recipe.verify[0].judge


def test_the_identity_of_a_use_is_that_of_its_model() -> None:
    def pinned(**changes: Any) -> JudgeUse:
        use = JudgeUse.model_validate({"kind": "model_judge", "policy": POLICY, **changes})
        return use.pinned(lambda policy: policy)

    one = pinned()
    assert judge_json(one.judge)["model"].startswith("policy:")
    assert judge_json(one.judge) == {"kind": "model_judge", "version": 1, "model": one.judge.model}
    assert pinned(domains=["math"]).fingerprint == one.fingerprint
    assert pinned(policy=POLICY | {"urls": ["http://localhost:2/v1"], "timeout_s": 9}).fingerprint == one.fingerprint
    others = [
        pinned(policy=POLICY | {"model": "n"}),
        pinned(policy=POLICY | {"revision": "2"}),
        pinned(temperature=0.5),
        pinned(prompt={"system": "Be strict."}),
        pinned(note="Be strict."),
    ]
    assert len({one.fingerprint, *(use.fingerprint for use in others)}) == 6


def test_a_judge_that_is_bound_in_python_needs_no_policy(workplace: Any) -> None:
    bound = ModelJudge(model="mine").bound(lambda asked: [replies(messages[0]["content"]) for messages in asked])
    recipe = load(workplace.write(verify=[], filter=[], mix=None, publish=None))
    recipe = recipe.model_copy(update={"verify": (JudgeUse(judge=bound),)})
    result = pipeline.run(recipe, ledger=workplace.ledger, out=workplace.corpora, num_workers=0)
    assert result.num_done["verify"] == 48
    assert bound.usage.num_asked == 48
    with pytest.raises(ValidationError, match="asks a model"):
        JudgeUse(judge=ModelJudge(model="mine"))


def test_a_reward_model_is_known_by_its_files(workplace: Any) -> None:
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    transformers = pytest.importorskip("transformers")
    micro = Path(pipeline.__file__).parent / "policy" / "micro"

    def save(seed: int) -> None:
        torch.manual_seed(seed)
        tokenizer = transformers.AutoTokenizer.from_pretrained(micro)
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.Qwen2Config(**sizes, num_key_value_heads=2, vocab_size=len(tokenizer), num_labels=1)
        transformers.Qwen2ForSequenceClassification(config).save_pretrained(workplace.folder / "rm")
        tokenizer.save_pretrained(workplace.folder / "rm")

    save(0)
    workplace.write(verify=[{"kind": "reward_model", "model": "./rm"}], filter=[])
    result = workplace.run(num_workers=1)
    assert result.num_done["verify"] == 48
    first = table(workplace, "verdicts")
    assert first["score"].n_unique() > 5
    told = result.corpus.manifest["judges"][0]
    assert told["judge"]["model"] == "rm"
    assert str(workplace.folder) not in json.dumps(result.corpus.manifest)
    assert told["scores"]["min"] < told["scores"]["max"]
    (workplace.folder / "elsewhere").mkdir()
    (workplace.folder / "rm").rename(workplace.folder / "elsewhere" / "rm")
    assert workplace.run("verify.0.model=" + str(workplace.folder / "elsewhere" / "rm")).num_done["verify"] == 0
    save(1)
    again = workplace.run()
    assert again.num_done["verify"] == 48, "other weights are another judge"
    use = load(workplace.recipe_file).verify[0]
    assert isinstance(use.judge, RewardModel)
    assert str(workplace.folder) not in dump(load(workplace.recipe_file))


def test_judging_in_bulk_by_a_model(tmp_path: Path, server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "id": n,
            "completion": f"The answer is \\boxed{{{'ABC'[n % 3]}}}",
            "reference": {"kind": "choice", "value": "A"},
        }
        for n in range(30)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl"), "--workers", "1"]
    policy = f"policy={{kind: server, model: mock, urls: ['{server.url}']}}"
    assert call(["judge", "model_judge", *places, "--set", policy, "--set", "votes=3"]) == 0
    found = [json.loads(line)["outcome"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert found == ["pass", "fail", "fail"] * 10
    before = asked(server)
    assert before == 90
    assert call(["judge", "model_judge", *places, "--set", policy, "--set", "votes=3"]) == 0
    assert asked(server) == before, "it is complete, and the same judge"
    other = call(["judge", "model_judge", *places, "--set", policy, "--set", "votes=3", "--set", "temperature=0.5"])
    assert other == 2, "an output of another judge is not gone on with"
    capsys.readouterr()
    assert call(["judge", "model_judge", *places, "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert "asks a model" in told
    assert "--set 'policy={" in told


def test_a_server_that_is_gone_ends_bulk_judging(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": 1, "completion": "It is A", "reference": "A"}) + "\n")
    policy = "policy={kind: server, model: mock, urls: ['http://127.0.0.1:9/v1'], outage_s: 0.5}"
    command = [str(Path(sys.executable).with_name("factory")), "judge", "model_judge", "--set", policy, "--input"]
    done = subprocess.run(
        [*command, str(tmp_path / "in.jsonl")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
