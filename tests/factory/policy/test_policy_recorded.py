"""Recorded completions: which belongs to which slot, which rows are bad, and real files."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from factory.errors import PolicyError, UsageError
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.recorded import RecordedPolicyConfig
from factory.records import Completion, Failure, Slot

GSM8K = Path(__file__).parents[4] / "shared" / "data" / "gsm8k"

ROWS = [
    {"id": "a", "text": "a0", "model": "m1", "why": "eos", "n": 3},
    {"id": 7, "text": "seven 七", "model": "m1", "why": "max_tokens", "n": 4},
    {"id": "a", "text": "a0 of m2", "model": "m2", "why": None, "n": None},
    {"id": "a", "text": "a1", "model": "m1", "why": "end_turn", "n": 5},
]
COLUMNS = {"problem": "id", "completion": "text", "model": "model", "finish_reason": "why", "num_tokens": "n"}


def write(folder, rows, name="completions.jsonl"):
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([{**row, "id": str(row["id"])} for row in rows]), path, row_group_size=2)
    else:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def configure(path, **fields):
    fields.setdefault("columns", COLUMNS)
    return RecordedPolicyConfig.model_validate({"path": path, **fields})


def slot(row, index=0, *, prompt="?", source="local:x"):
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    return Slot(trace_id=f"{row}/{index}", problem_id="", prompt=messages, index=index, seed=0, source=source, row=row)


def sample(config, *slots):
    """Sample slots whose index counts the problem's completions; the policy's own indices are rows of the file."""
    placed = []
    for wanted in slots:
        rows = config.available(wanted.source, wanted.row, wanted.prompt)
        row = rows[wanted.index] if wanted.index < len(rows) else 10**6
        placed.append(replace(wanted, index=row))
    return list(config.open(Sampling(), PromptForm()).sample(placed))


@pytest.mark.parametrize("name", ["c.jsonl", "c.ndjson", "c.parquet"])
def test_one_policy_per_model_each_with_its_own_completions(tmp_path, name):
    first, second = configure(write(tmp_path, ROWS, name)).resolve()
    assert (first.only, second.only) == ("m1", "m2")
    fingerprints = {config.fingerprint(Sampling(), PromptForm()) for config in (first, second)}
    assert len(fingerprints) == 2
    got = sample(first, slot("a", 1), slot("7"), slot("a", 0))
    assert [c.text for c in got] == ["a1", "seven 七", "a0"]
    assert [c.finish_reason for c in got] == ["stop", "length", "stop"]
    assert [c.num_completion_tokens for c in got] == [5, 4, 3]
    (other,) = sample(second, slot("a"))
    assert (other.text, other.finish_reason, other.num_completion_tokens) == ("a0 of m2", "stop", 0)
    assert len(first.available("local:x", "a", None)) == 2
    assert len(second.available("local:x", "7", None)) == 0
    assert first.open(Sampling(), PromptForm()).description["model"] == "m1"


def test_what_is_not_recorded_is_a_failure(tmp_path):
    (config, _) = configure(write(tmp_path, ROWS)).resolve()
    no_problem, no_index = sample(config, slot("z"), slot("a", 2))
    for failure in (no_problem, no_index):
        assert isinstance(failure, Failure)
        assert failure.error == "not_recorded"
    assert "has no completion of this problem" in no_problem.message
    assert "has 2 completions" in no_index.message


def test_several_models_must_be_told_apart(tmp_path):
    config = configure(write(tmp_path, ROWS))
    with pytest.raises(PolicyError, match="2 models: m1, m2"):
        config.open(Sampling(), PromptForm())


def test_prompts_as_keys(tmp_path):
    rows = [
        {"prompt": " 1+1? \n", "text": "2"},
        {"prompt": [{"role": "user", "content": "1+1?"}], "text": "two"},
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "1+1?"}], "text": "with system"},
    ]
    config = configure(write(tmp_path, rows), columns={"prompt": "prompt", "completion": "text"})
    assert len(config.available("", "", [{"role": "user", "content": "1+1?"}])) == 2
    got = sample(config, slot("9", 0, prompt="1+1?"), slot("9", 1, prompt="1+1?"), slot("9", prompt=rows[2]["prompt"]))
    assert [c.text for c in got] == ["2", "two", "with system"]
    assert got[0].num_completion_tokens == 0


def test_an_index_column_places_completions(tmp_path):
    rows = [
        {"id": "a", "text": "second", "i": 1},
        {"id": "a", "text": "first", "i": 0},
        {"id": "a", "text": "x", "i": 1},
    ]
    config = configure(write(tmp_path, rows), columns={"problem": "id", "completion": "text", "index": "i"})
    assert [c.text for c in sample(config, slot("a", 0), slot("a", 1))] == ["first", "second"]
    (bad,) = config.bad_rows()
    assert bad.place == "completions.jsonl:3"
    assert "index 1 already" in bad.message


BAD = [
    ('{"id": "a", "text": "torn', "not JSON"),
    ("[1]", "a JSON list, not an object"),
    ("[" * 100_000, "nested too deeply"),
    ('{"id": "a"}', "column 'text': nothing, not a text"),
    ('{"id": "a", "text": 7}', "column 'text': the int 7, not a text"),
    ('{"id": "a", "text": "\\ud800"}', "half of a surrogate pair"),
    ('{"text": "t"}', "column 'id': nothing, which names no problem"),
    ('{"id": true, "text": "t"}', "column 'id': the bool True"),
    ('{"id": "a", "text": "t", "model": ""}', "column 'model': an empty text, not a model's name"),
    ('{"id": "a", "text": "t", "model": "m", "why": "bored"}', "the finish reason 'bored' is not known"),
    ('{"id": "a", "text": "t", "model": "m", "n": "many"}', "not a number of tokens"),
    ('{"id": "a", "text": "t", "model": "m", "n": -1}', "not a number of tokens"),
]


@pytest.mark.parametrize(("line", "says"), BAD)
def test_a_bad_row_is_kept_with_its_place_and_the_others_are_read(tmp_path, line, says):
    path = write(tmp_path, [*ROWS[:2], "", line, *ROWS[2:]])
    config = configure(path, only="m1")
    (bad,) = config.bad_rows()
    assert bad.place == "completions.jsonl:4"
    assert says in bad.message
    assert config.open(Sampling(), PromptForm()).bad_rows == (bad,)
    assert [c.text for c in sample(config, slot("a", 0), slot("a", 1))] == ["a0", "a1"]


@pytest.mark.parametrize("name", ["c.jsonl", "c.parquet"])
def test_a_column_that_no_row_has_is_an_error_with_a_hint(tmp_path, name):
    path = write(tmp_path, ROWS, name)
    with pytest.raises(UsageError, match=rf"{name}:1: no row has a column 'texts'[\s\S]*did you mean 'text'"):
        configure(path, columns={**COLUMNS, "completion": "texts"}).resolve()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", b"\n", "no rows"),
        ("torn.jsonl", b"{\n{", "none of the 2 rows can be read"),
        ("bytes.jsonl", b"\xff\xfe\n", "none of the 1 rows"),
        ("torn.parquet", b"PAR1", "cannot be read"),
        ("rows.csv", b"a,b", "use JSONL or Parquet"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        configure(tmp_path / name).bad_rows()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        configure(tmp_path / "no.jsonl").resolve()


def test_prefill_is_restored_once(tmp_path):
    rows = [{"id": "a", "text": "so 2</think>2"}, {"id": "a", "text": "<think>\nso 2</think>2"}]
    columns = {"problem": "id", "completion": "text"}
    config = configure(write(tmp_path, rows), columns=columns, prefill="<think>\n")
    assert {c.text for c in sample(config, slot("a", 0), slot("a", 1))} == {"<think>\nso 2</think>2"}


def test_a_named_source_keeps_the_keys_of_others_apart(tmp_path):
    config = configure(write(tmp_path, ROWS), only="m1", source="local:mine")
    assert len(config.available("local:mine", "a", None)) == 2
    assert len(config.available("local:other", "a", None)) == 0
    mine, other = sample(config, slot("a", source="local:mine"), slot("a", source="local:other"))
    assert isinstance(mine, Completion)
    assert isinstance(other, Failure)


def test_what_the_fingerprint_depends_on(tmp_path):
    path = write(tmp_path, ROWS)
    same = configure(path, only="m1").fingerprint(Sampling(), PromptForm())
    (tmp_path / "elsewhere").mkdir()
    moved = write(tmp_path / "elsewhere", ROWS, "renamed.jsonl")
    assert configure(moved, only="m1").fingerprint(Sampling(), PromptForm()) == same
    # What is recorded was not sampled with the recipe's parameters.
    assert configure(path, only="m1").fingerprint(Sampling(temperature=0.1), PromptForm(system="s")) == same
    different = {same}
    for config in (
        configure(path, only="m2"),
        configure(path, only="m1", prefill="<think>"),
        configure(write(tmp_path / "elsewhere", ROWS[:-1]), only="m1"),
    ):
        different.add(config.fingerprint(Sampling(), PromptForm()))
    columns = {"problem": "id", "completion": "text"}
    different.add(configure(path, columns=columns).fingerprint(Sampling(), PromptForm()))
    different.add(configure(path, columns=columns, model="m1").fingerprint(Sampling(), PromptForm()))
    assert len(different) == 6


def test_a_file_that_changes_is_read_again(tmp_path):
    path = write(tmp_path, ROWS)
    config = configure(path, only="m1")
    assert len(config.available("", "a", None)) == 2
    write(tmp_path, [*ROWS, {"id": "a", "text": "late", "model": "m1"}])
    assert len(config.available("", "a", None)) == 3
    assert sample(config, slot("a", 2))[0].text == "late"


@pytest.mark.parametrize(
    "fields",
    [
        {"columns": {"completion": "text"}},
        {"columns": {"problem": "id", "prompt": "p", "completion": "text"}},
        {"model": "m"},
        {"only": "m", "columns": {"problem": "id"}},
        {"no_such_key": 1},
    ],
)
def test_contradictions_are_refused(tmp_path, fields):
    with pytest.raises(ValidationError):
        configure(tmp_path / "x.jsonl", **fields)


def test_weights_cannot_be_loaded(tmp_path):
    policy = configure(write(tmp_path, ROWS), only="m1").open(Sampling(), PromptForm())
    with pytest.raises(PolicyError, match="no weights"):
        policy.load_weights(tmp_path)


@pytest.mark.skipif(not GSM8K.is_dir(), reason="needs the shared data")
def test_the_recorded_completions_of_gsm8k():
    columns = {"problem": "problem_id", "completion": "completion", "model": "model"}
    configs = configure(GSM8K / "completions.jsonl", columns=columns).resolve()
    assert [c.only for c in configs] == ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"]
    assert configs[0].bad_rows() == ()
    with (GSM8K / "completions.jsonl").open(encoding="utf-8") as file:
        expected = {(row["problem_id"], row["model"]): row["completion"] for row in map(json.loads, file)}
    found = {}
    for config in configs:
        slots = [slot(problem) for problem, model in expected if model == config.only]
        for asked, completion in zip(slots, sample(config, *slots), strict=True):
            found[asked.row, config.only] = completion.text
    assert len(found) == 2640
    assert found == expected
