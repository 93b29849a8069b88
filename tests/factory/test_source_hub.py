"""The source `hub`, through the real clients and the command line, against a small Hub on this machine.

The clients read their settings when they are imported, so they run in one process of their own, which is told command
after command.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from factory.ledger import Ledger
from factory.source.hub import Hub

pytest.importorskip("datasets")

_TOKEN = "hf_SecretOfTheTestAccount0123456789"
_CLIENT = """
import contextlib, io, json, os, sys
from factory.cli.main import call
for line in sys.stdin:
    order = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    os.environ.update(order["environment"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call(order["arguments"])
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
"""


def _load_server() -> Any:
    path = Path(__file__).resolve().parents[1] / "hub_server.py"
    spec = importlib.util.spec_from_file_location("hub_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_server"] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Answer:
    code: int
    out: str
    err: str


class Client:
    """A process with the real clients that runs commands of the factory."""

    def __init__(self, endpoint: str, folder: Path, **extra: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            **extra,
        }
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CLIENT],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: object, token: str | None = None) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"arguments": [str(a) for a in arguments], "environment": {"HF_TOKEN": token} if token else {}}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Answer(**json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def hub() -> Iterator[Any]:
    with _load_server().HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def client(hub: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(hub.endpoint, tmp_path_factory.mktemp("client"))
    yield client
    client.close()


@dataclass
class Place:
    """A recipe with one source, its lock and its ledger."""

    folder: Path
    client: Client

    @property
    def recipe(self) -> Path:
        return self.folder / "r.yaml"

    @property
    def lock(self) -> Path:
        return self.folder / "r.lock"

    def write(self, **source: Any) -> None:
        source = {"kind": "hub", "licence": "mit", "language": "en", **source}
        self.recipe.write_text(json.dumps({"name": "r", "source": {"from": [source]}}))

    def run(self, *options: str, token: str | None = None, ledger: str = "ledger") -> Answer:
        return self.client("run", self.recipe, "--ledger", self.folder / ledger, *options, token=token)

    def rows(self, ledger: str = "ledger") -> list[tuple[str, str, str, str]]:
        """What the ledger holds: row, revision, prompt, reference."""
        snapshot = Ledger.open(self.folder / ledger).snapshot()
        origins = snapshot.scan("origins").select("problem_id", "row", "revision", "reference_hash")
        problems = snapshot.scan("problems").select("problem_id", "prompt")
        references = snapshot.scan("references").select("problem_id", "reference_hash", "reference")
        frame = origins.join(problems, on="problem_id").join(
            references, on=["problem_id", "reference_hash"], how="left"
        )
        rows = frame.select("row", "revision", "prompt", "reference").sort("row").collect().rows()
        return [(row, revision, prompt[0]["content"], reference) for row, revision, prompt, reference in rows]


@pytest.fixture
def place(tmp_path: Path, client: Client) -> Place:
    return Place(tmp_path, client)


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(path: Path, *rows: dict[str, Any]) -> bytes:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path.read_bytes()


SUMS = {"dataset": "org/sums", "domain": "math", "columns": {"prompt": "question", "reference": "sum", "id": "key"}}


def sums(*answers: int) -> dict[str, bytes]:
    rows = [{"key": f"k{i}", "question": f"What is {i} + {a - i}?", "sum": a} for i, a in enumerate(answers)]
    return {"README.md": b"---\nlicense: mit\n---\n# Sums\n", "data/train.jsonl": lines(*rows)}


def test_the_lock_keeps_the_commit_until_its_line_is_deleted(hub: Any, place: Place) -> None:
    first = hub.commit("org/sums", sums(3, 5))
    place.write(**SUMS)
    assert place.client("plan", place.recipe, "--ledger", place.folder / "ledger").code == 0
    assert f"dataset:org/sums: {first}" in place.lock.read_text()
    answer = place.run()
    assert answer.code == 0, answer.err
    expected = [
        ("k0", first, "What is 0 + 3?", '{"kind":"answer","value":"3"}'),
        ("k1", first, "What is 1 + 4?", '{"kind":"answer","value":"5"}'),
    ]
    assert place.rows() == expected

    second = hub.commit("org/sums", sums(7, 9, 11))
    hub.requests.clear()
    answer = place.run()
    assert (answer.code, "nothing to do" in answer.err) == (0, True), answer.err
    assert hub.requests == []  # what is locked and read needs no Hub
    assert place.run(ledger="other").code == 0
    assert place.rows("other") == expected

    place.lock.write_text("# the line is gone\n")
    assert place.run(ledger="third").code == 0
    assert [row[1:3] for row in place.rows("third")] == [
        (second, "What is 0 + 7?"),
        (second, "What is 1 + 8?"),
        (second, "What is 2 + 9?"),
    ]
    assert second in place.lock.read_text()

    place.lock.unlink()
    place.write(**SUMS, revision=first)
    assert place.run(ledger="explicit").code == 0
    assert place.rows("explicit") == expected
    assert not place.lock.exists()


def test_parquet_with_options_several_splits_and_a_mapping(hub: Any, place: Place, tmp_path: Path) -> None:
    rows = [
        {"q": "哪个是水果？", "choices": ["石头", "苹果", "桌子"], "right": 1, "sort": "stem", "picture": b"\x00"},
        {"q": "Which is blue?", "choices": ["sky", "grass"], "right": 0, "sort": "logic", "picture": b"\x00"},
        {"q": "Which is none?", "choices": ["sky", "grass"], "right": 7, "sort": "logic", "picture": b"\x00"},
        {"q": None, "choices": ["sky", "grass"], "right": 0, "sort": "logic", "picture": None},
    ]
    files = {
        "easy/train-00000-of-00001.parquet": parquet(tmp_path / "a.parquet", rows[1]),
        "easy/test-00000-of-00001.parquet": parquet(tmp_path / "b.parquet", *rows),
        "README.md": b"---\nconfigs:\n- config_name: easy\n  data_files:\n"
        b"  - {split: train, path: easy/train-*}\n  - {split: test, path: easy/test-*}\n---\n",
    }
    commit = hub.commit("org/choices", files)
    columns = {"prompt": "q", "reference": "right", "options": "choices", "domain": "sort"}
    place.write(dataset="org/choices", config="easy", split="test", columns=columns, language="auto")
    answer = place.run()
    assert answer.code == 0, answer.err
    assert place.rows() == [
        ("0", commit, "哪个是水果？", '{"kind":"choice","options":["石头","苹果","桌子"],"value":"B"}'),
        ("1", commit, "Which is blue?", '{"kind":"choice","options":["sky","grass"],"value":"A"}'),
    ]
    assert "skipped hub:org/choices/easy:test:2: column 'right': there is no option 7" in answer.err
    assert "skipped hub:org/choices/easy:test:3: column 'q' holds no text and no messages" in answer.err
    assert "4 rows, 2 bad" in answer.err
    place.write(dataset="org/choices", config="easy", split="test", columns=columns, limit=1)
    assert place.run(ledger="limited").code == 0
    assert len(place.rows("limited")) == 1


# what the source says, what the message and the hint say
WRONG = [
    ({"dataset": "org/nowhere"}, "no dataset 'org/nowhere' on the Hub", "check the name; for a private or gated"),
    ({"dataset": "org/a--b"}, "'org/a--b' is no name of a dataset on the Hub", "org/name"),
    ({"dataset": "org/sums", "revision": "0" * 40}, "'org/sums' has no revision '00", "check the source's `revision`"),
    ({"dataset": "org/sums", "revision": "v9"}, "the dataset 'org/sums' has no revision 'v9'", "check the source's"),
    ({"dataset": "org/sums", "split": "tests"}, "split", ""),
    ({"dataset": "org/sums", "config": "hard"}, "'hard'", ""),
    ({"dataset": "org/sums", "columns": {"prompt": "questoin"}}, "no column 'questoin'", "did you mean 'question'?"),
    ({"dataset": "org/sums", "columns": {"prompt": "x"}}, "no column 'x'", "columns: key, question, sum"),
    ({"dataset": "org/gated"}, "gated", "set HF_TOKEN"),
]


@pytest.mark.parametrize(("source", "message", "hint"), WRONG)
def test_what_is_wrong_is_one_clear_error(hub: Any, place: Place, source: Any, message: str, hint: str) -> None:
    hub.commit("org/sums", sums(3, 5))
    hub.commit("org/gated", sums(3), gated_for=frozenset({_TOKEN}))
    place.write(**{**SUMS, **source})
    answer = place.run()
    assert answer.code == 2, answer.err
    told, _, told_hint = answer.err.partition("\nhint: ")
    assert message in told
    assert hint in told_hint
    assert "Traceback" not in answer.err
    assert len(told.strip().splitlines()) == 1, told


def test_a_token_opens_a_gated_dataset_and_is_written_nowhere(hub: Any, place: Place) -> None:
    hub.commit("org/gated", sums(3, 6), gated_for=frozenset({_TOKEN}))
    place.write(**{**SUMS, "dataset": "org/gated"})
    refused = place.run(token="hf_another")
    assert refused.code == 2
    answer = place.run(token=_TOKEN)
    assert answer.code == 0, answer.err
    assert len(place.rows()) == 2
    assert _TOKEN in {request.token for request in hub.requests}
    assert "hf_another" not in refused.out + refused.err
    assert _TOKEN not in answer.out + answer.err
    written = [path for path in place.folder.rglob("*") if path.is_file()]
    assert place.lock in written
    for path in written:
        assert _TOKEN.encode() not in path.read_bytes(), path


def test_a_hub_out_of_reach_fails_with_what_helps(hub: Any, place: Place) -> None:
    old = hub.commit("org/far", sums(3, 5))
    place.write(**{**SUMS, "dataset": "org/far"})
    assert place.run().code == 0  # now this commit is in the client's cache
    new = hub.commit("org/far", sums(4, 6))
    hub.stop()
    try:
        assert place.run().code == 0  # locked and read already
        locked = place.run(ledger="locked")
        place.lock.unlink()
        without_lock = place.run(ledger="without")
    finally:
        hub.start()
    assert locked.code == 1
    assert f"the Hub does not answer when asked for the revision '{old[:12]}' of the dataset 'org/far'" in locked.err
    assert "hint: run it again with a network; HF_HUB_OFFLINE=1 reads this revision" in locked.err
    assert without_lock.code == 1
    assert "the Hub does not answer when asked for the commit of the dataset 'org/far'" in without_lock.err
    assert "hint: give the source a commit as its `revision`, or keep the recipe's .lock file" in without_lock.err
    assert not place.lock.exists()

    hub.requests.clear()
    offline = Client(hub.endpoint, place.client.folder, HF_HUB_OFFLINE="1")
    try:
        at_home = Place(place.folder, offline)
        at_home.write(**{**SUMS, "dataset": "org/far"}, revision=new)
        other = at_home.run(ledger="new")
        at_home.write(**{**SUMS, "dataset": "org/far"}, revision=old)
        same = at_home.run(ledger="old")
    finally:
        offline.close()
    assert hub.requests == []
    assert other.code == 1
    assert "this commit is not among the data that was downloaded before" in other.err
    assert place.rows("new") == []  # never another commit in place of the one asked for
    assert same.code == 0, same.err
    assert [row[1:3] for row in place.rows("old")] == [(old, "What is 0 + 3?"), (old, "What is 1 + 4?")]


def test_a_hub_that_fails_halfway_is_not_the_users_mistake(hub: Any, place: Place) -> None:
    hub.commit("org/torn", sums(3, 5))
    place.write(**{**SUMS, "dataset": "org/torn"})
    hub.torn = "train.jsonl"
    try:
        answer = place.run()
    finally:
        hub.torn = None
    assert answer.code == 1, answer.err
    assert "hint: run it again" in answer.err
    assert place.run().code == 0
    assert len(place.rows()) == 2


def test_a_hub_in_trouble_is_not_the_users_mistake(hub: Any, place: Place) -> None:
    hub.commit("org/sums", sums(3, 5))
    place.write(**SUMS)
    hub.failing = HTTPStatus.INTERNAL_SERVER_ERROR
    try:
        answer = place.run()
    finally:
        hub.failing = None
    assert answer.code == 1
    assert "the Hub does not answer" in answer.err


def test_a_folder_of_the_same_name_is_not_read_in_its_place(hub: Any, place: Place) -> None:
    hub.commit("org/shadowed", sums(3))
    folder = place.client.folder / "org" / "shadowed"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_bytes(lines({"key": "z", "question": "Whose data is this?", "sum": 0}))
    place.write(**{**SUMS, "dataset": "org/shadowed"})
    answer = place.run()
    assert answer.code == 0, answer.err
    assert [row[2] for row in place.rows()] == ["What is 0 + 3?"]


@pytest.mark.parametrize("dataset", ["sums", "a/b/c", "../secret", "org/", "json", "org/na me"])
def test_a_name_that_is_none_is_refused(dataset: str) -> None:
    with pytest.raises(ValidationError):
        Hub(dataset=dataset)


def test_what_needs_a_lock() -> None:
    assert Hub(dataset="a/b").lock_key == "dataset:a/b"
    assert Hub(dataset="a/b", config="c", split="test").lock_key == "dataset:a/b"
    assert Hub(dataset="a/b", revision="v1").lock_key == "dataset:a/b@v1"
    assert Hub(dataset="a/b", revision="0" * 40).lock_key is None
