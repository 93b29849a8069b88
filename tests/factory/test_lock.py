"""The lock file: a name means the commit it had the first time."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.errors import UsageError
from factory.lock import Lock


def never() -> str:
    raise AssertionError("looked up again")


def test_a_name_is_looked_up_once(tmp_path: Path) -> None:
    path = tmp_path / "r.lock"
    assert Lock(path).get("dataset:a/b", lambda: "1" * 40) == "1" * 40
    assert Lock(path).get("dataset:a/b", never) == "1" * 40
    assert Lock(path).get("model:c/d@v1", lambda: "2" * 40) == "2" * 40
    assert Lock(path).get("dataset:a/b", never) == "1" * 40
    lines = path.read_text().splitlines()
    assert lines[1:] == ["dataset:a/b: " + "1" * 40, "model:c/d@v1: " + "2" * 40]


def test_a_deleted_line_is_looked_up_again_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "r.lock"
    for name, commit in (("dataset:a/b", "1"), ("dataset:c/d", "2")):
        Lock(path).get(name, lambda commit=commit: commit)  # type: ignore[misc]
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "a/b" not in line))
    assert Lock(path).get("dataset:a/b", lambda: "3") == "3"
    assert Lock(path).get("dataset:c/d", never) == "2"


# commits that YAML would take for a number, an octal, an infinity
@pytest.mark.parametrize("commit", ["0" * 39 + "1", "1" * 40, "9" * 20 + "e" + "9" * 19, "0x" + "1" * 38, "no", "1_0"])
def test_a_commit_stays_a_string(tmp_path: Path, commit: str) -> None:
    assert Lock(tmp_path / "r.lock").get("dataset:a/b", lambda: commit) == commit
    assert Lock(tmp_path / "r.lock").get("dataset:a/b", never) == commit


@pytest.mark.parametrize(
    "text",
    ["a: [", "- a\n- b", "just words", "a: {b: c}", "a: 1\na: 2", b"\xff\xfe", "<<<<<<< HEAD\na: 1\n", "a\tb: :\n"],
)
def test_a_damaged_file_is_said_and_kept(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "r.lock"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = path.read_bytes()
    with pytest.raises(UsageError, match="damaged") as error:
        Lock(path).get("dataset:a/b", never)
    assert error.value.place == str(path)
    assert "delete it" in (error.value.hint or "")
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "# nothing\n", "dataset:a/b:\n"])
def test_an_empty_file_or_line_is_filled(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.lock").write_text(text)
    assert Lock(tmp_path / "r.lock").get("dataset:a/b", lambda: "1" * 40) == "1" * 40
    assert Lock(tmp_path / "r.lock").get("dataset:a/b", never) == "1" * 40


def test_of_two_runs_at_once_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "r.lock"

    def overtaken() -> str:
        Lock(path).get("dataset:a/b", lambda: "first")
        Lock(path).get("dataset:c/d", lambda: "other")
        return "second"

    assert Lock(path).get("dataset:a/b", overtaken) == "first"
    assert Lock(path).get("dataset:c/d", never) == "other"


def test_a_failed_look_up_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Lock(tmp_path / "r.lock").get("dataset:a/b", never)
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_nothing_is_kept() -> None:
    assert Lock().get("dataset:a/b", lambda: "1") == "1"
    assert Lock().get("dataset:a/b", lambda: "2") == "2"
