"""The source `local`: every row is a problem or a bad row with its place, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from factory.errors import UsageError
from factory.records import Problem
from factory.source.local import Local
from factory.source.source import BadRow

BOM = b"\xef\xbb\xbf"
GOOD = b'{"question": "What is 1 + 1?", "answer": "2"}'
MAPPED = {"prompt": "question", "reference": "answer"}
CHOICE = {"prompt": "question", "reference": "answer", "options": "options"}


def read(folder: Path, name: str, data: bytes, **options: Any) -> list[Problem | BadRow]:
    (folder / name).write_bytes(data)
    columns = options.pop("columns", MAPPED)
    return list(Local(path=folder / name, columns=columns, **options).read())


def told(rows: list[Problem | BadRow]) -> list[str]:
    """A line per row: the reference's value (or kind) of a problem, place and message of a bad row."""
    return [
        f"{row.place}: {row.message}"
        if isinstance(row, BadRow)
        else str((row.reference or {"kind": "none"}).get("value", row.reference and row.reference["kind"]))
        for row in rows
    ]


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


# file, its bytes, one start per row of what is told
FILES: list[tuple[str, bytes, list[str]]] = [
    ("plain.jsonl", GOOD + b"\n" + GOOD, ["2", "2"]),
    ("bom.jsonl", BOM + GOOD + b"\n", ["2"]),
    ("crlf.jsonl", GOOD + b"\r\n\r\n" + GOOD + b"\r\n", ["2", "2"]),
    ("upper.JSONL", GOOD, ["2"]),
    ("lines.ndjson", GOOD, ["2"]),
    ("torn.jsonl", GOOD + b"\n" + GOOD[:20], ["2", "torn.jsonl:2: no JSON: "]),
    (
        "bytes.jsonl",
        GOOD + b'\n{"question": "\xff\xfe", "answer": "1"}\n' + GOOD,
        ["2", "bytes.jsonl:2: no JSON: 'utf-8' codec", "2"],
    ),
    (
        "half.jsonl",
        b'{"question": "a \\ud800", "answer": "1"}\n{"question": "b", "answer": "\\udfff"}\n' + GOOD,
        [
            "half.jsonl:1: text that is no Unicode (a lone surrogate",
            "half.jsonl:2: column 'answer': the answer reference's field `value` is wrong: ",
            "2",
        ],
    ),
    ("pair.jsonl", b'{"question": "smile \\ud83d\\ude00", "answer": "\\ud83d\\ude00"}', ["😀"]),
    (
        "bomb.jsonl",
        b'{"question": "q", "answer": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n" + GOOD,
        ["bomb.jsonl:1: the JSON is nested too deeply", "2"],
    ),
    (
        "deep.jsonl",
        b'{"question": "q", "answer": {"kind": "puzzle", "family": "f", "entry": {"x": '
        + b"[" * 600
        + b"]" * 600
        + b"}}}\n"
        + GOOD,
        ["deep.jsonl:1: ", "2"],
    ),
    (
        "role.jsonl",
        b'{"question": [{"role": ' + b"[" * 700 + b"]" * 700 + b', "content": "x"}], "answer": "1"}\n' + GOOD,
        ["role.jsonl:1: ", "2"],
    ),
    ("empty.jsonl", b"", []),
    ("blank.jsonl", b"\n  \n\n", []),
    (
        "kinds.jsonl",
        b'5\nnull\n"x"\n' + GOOD,
        ["kinds.jsonl:1: a JSON int", "kinds.jsonl:2: a JSON NoneType", "kinds.jsonl:3: a JSON str", "2"],
    ),
    (
        "null.jsonl",
        b'{"question": null, "answer": "1"}\n{"question": "", "answer": "1"}\n{"question": " \\n", "answer": "1"}\n'
        b'{"question": 5, "answer": "1"}\n{"answer": "1"}\n',
        [
            "null.jsonl:1: column 'question' holds no text and no messages",
            "null.jsonl:2: column 'question' does not end with a user's words",
            "null.jsonl:3: column 'question' does not end with a user's words",
            "null.jsonl:4: column 'question' holds no text and no messages",
            "null.jsonl:5: column 'question' holds no text and no messages",
        ],
    ),
    (
        "answers.jsonl",
        b'{"question": "q", "answer": 18}\n{"question": "q", "answer": 0.5}\n{"question": "q", "answer": null}\n'
        b'{"question": "q", "answer": " "}\n{"question": "q", "answer": NaN}\n{"question": "q", "answer": true}\n'
        b'{"question": "q", "answer": [1]}\n{"question": "q", "answer": {"kind": "answr", "value": "1"}}\n'
        b'{"question": "q", "answer": {"value": "1"}}\n{"question": "q", "answer": {"kind": "answer", "value": "7"}}\n'
        b'{"question": "q", "answer": "{\\"kind\\": \\"answer\\", \\"value\\": \\"8\\"}"}\n'
        b'{"question": "q", "answer": "{1, 2}"}\n'
        b'{"question": "q", "answer": {"kind": "puzzle", "family": "f", "entry": {"x": NaN}}}\n',
        [
            "18",
            "0.5",
            "answers.jsonl:3: column 'answer' is empty",
            "answers.jsonl:4: column 'answer' is empty",
            "answers.jsonl:5: column 'answer': a reference is a finite number, not nan",
            "answers.jsonl:6: column 'answer': a reference is a string",
            "answers.jsonl:7: column 'answer': a reference is a string",
            "answers.jsonl:8: column 'answer': no kind of reference is called 'answr'",
            "answers.jsonl:9: column 'answer': a reference needs a `kind`",
            "7",
            "8",
            "{1, 2}",
            "puzzle",
        ],
    ),
    ("plain.csv", b"question,answer\nWhat is 1 + 1?,2\n", ["2"]),
    ("bom.csv", BOM + b'question,answer\r\n"What, is\r\n1 + 1?",2\r\nagain,3\r\n', ["2", "3"]),
    (
        "fields.csv",
        b"question,answer\na,1,extra\nb\nc,3\n",
        ["fields.csv:2: 3 fields, the header has 2", "fields.csv:3: 1 fields, the header has 2", "3"],
    ),
    ("bytes.csv", b"question,answer\n\xff,1\nb,2\n", ["bytes.csv:2: text that is no Unicode", "2"]),
    ("unused.csv", b"question,answer,note\na,1,\xff\n", ["1"]),
    (
        "open.csv",
        b'question,answer\na,1\n"never closed,2\nb,3\n',
        ["1", "open.csv:3: no CSV: unexpected end of data"],
    ),
    ("quotes.csv", b'question,answer\n"a"b,1\nc "d",2\n', ["quotes.csv:2: no CSV: ", "2"]),
    ("place.csv", b'question,answer\n"a\nb\nc",1\n"d\ne",\n', ["1", "place.csv:5: column 'answer' is empty"]),
    ("header.csv", b"question,answer\n", []),
    ("empty.csv", b"", []),
]


@pytest.mark.parametrize(("name", "data", "expected"), FILES, ids=[f[0] for f in FILES])
def test_every_row_is_a_problem_or_a_bad_row(tmp_path: Path, name: str, data: bytes, expected: list[str]) -> None:
    rows = told(read(tmp_path, name, data))
    assert len(rows) == len(expected), rows
    for row, start in zip(rows, expected, strict=True):
        assert row.startswith(start), row
        assert len(row) < 300
        row.encode()  # what is reported can be printed and stored


# file, its bytes, what the message says, what the hint says
REFUSED: list[tuple[str, bytes, str, str]] = [
    ("x.txt", b"hello", "x.txt: a .txt is not read", "use .jsonl, .ndjson, .json, .csv, .parquet"),
    ("bare", b"hello", "bare: a file without extension is not read", "use .jsonl"),
    (
        "near.jsonl",
        line(questoin="a", answer="1"),
        "near.jsonl:1: there is no column 'question'",
        "did you mean 'questoin'?",
    ),
    ("far.jsonl", line(q="a", answer="1"), "far.jsonl:1: there is no column 'question'", "columns: q, answer"),
    ("near.csv", b"question,anwser\na,1\n", "near.csv:1: there is no column 'answer'", "did you mean 'anwser'?"),
    ("twice.csv", b"question,answer,answer\na,1,2\n", "twice.csv:1: two columns are called 'answer'", ""),
    ("array.json", b' [{"question": "a", "answer": "1"}]', "array.json:1: is a JSON array", "jq -c"),
    ("array.jsonl", b'[\n{"question": "a"}\n]', "array.jsonl:1: is a JSON array", "jq -c"),
    ("empty.parquet", b"", "empty.parquet cannot be read: ", ""),
    ("torn.parquet", b"PAR1" + b"\0" * 50, "torn.parquet cannot be read: ", ""),
]


@pytest.mark.parametrize(("name", "data", "message", "hint"), REFUSED, ids=[f[0] for f in REFUSED])
def test_a_file_that_cannot_be_read_is_a_usage_error(
    tmp_path: Path, name: str, data: bytes, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, name, data)
    assert message in error.value.message
    assert hint in (error.value.hint or "")


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Local(path=tmp_path / "no.jsonl").current_revision()


# the options, the reference, and the value that is kept or the reason why none is
OPTIONS: list[tuple[Any, Any, str]] = [
    (["one", "two"], 0, "A"),
    (["one", "two"], 1, "B"),
    (["one", "two"], "B", "B"),
    (["one", "two"], "(b)", "(b)"),
    (["one", "two"], "two", "two"),
    (["一", "二"], "二", "二"),
    (["1", "2"], "2", "2"),
    ('["one", "two"]', "B", "B"),
    (["one", "two"], 2, "there is no option 2"),
    (["one", "two"], -1, "there is no option -1"),
    (["one", "two"], "C", "neither the letter nor the text"),
    (["one", "two"], "1", "neither the letter nor the text"),
    (["one", "two"], True, "holds no letter"),
    (["one", "two"], 1.0, "holds no letter"),
    (["one", "two"], ["A"], "holds no letter"),
    (["one", "two"], None, "is empty"),
    ([], "A", "holds no list of texts"),
    ([1, 2], "A", "holds no list of texts"),
    (None, "A", "holds no list of texts"),
    ("[one", "A", "holds no JSON list"),
    ({"text": ["one"], "label": ["A"]}, "A", "holds no list of texts"),
]


def test_options_with_a_letter_an_index_or_a_text(tmp_path: Path) -> None:
    data = b"".join(line(question=f"q{i}", options=o, answer=a) for i, (o, a, _) in enumerate(OPTIONS))
    rows = read(tmp_path, "choices.jsonl", data, columns=CHOICE)
    assert len(rows) == len(OPTIONS)
    for row, (_, _, expected) in zip(rows, OPTIONS, strict=True):
        if isinstance(row, BadRow):
            assert expected in row.message
        else:
            assert row.reference is not None
            assert row.reference["value"] == expected
            assert row.reference["kind"] == "choice"


def test_messages_are_prompts_where_the_user_has_the_last_word(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?", "name": "x"}]
    wrong = [
        [*talk, {"role": "assistant", "content": "2"}, {"role": "system", "content": "x"}],
        [{"role": "assistant", "content": "2"}],
        [{"role": "tool", "content": "x"}],
        [{"role": "user"}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        ["text"],
        [],
    ]
    sharegpt = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "1 + 1?"},
        {"from": "gpt", "value": "2"},
    ]
    right = [talk, [*talk, {"role": "assistant", "content": "2"}], sharegpt]
    data = b"".join(line(question=messages, answer="2") for messages in [*right, *wrong])
    rows = read(tmp_path, "talk.jsonl", data)
    good, bad = rows[: len(right)], rows[len(right) :]
    for problem in good:  # an assistant's last turn is a completion, no part of the prompt
        assert isinstance(problem, Problem)
        assert problem.prompt == ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"})
    assert [type(row) for row in bad] == [BadRow] * len(wrong)


def test_parquet_rows_with_messages_and_reference_structs(tmp_path: Path) -> None:
    rows = [
        {
            "question": [{"role": "user", "content": "1 + 1?"}],
            "answer": {"kind": "answer", "value": "2", "options": None},
        },
        {"question": None, "answer": {"kind": "answer", "value": "3", "options": None}},
        {
            "question": [{"role": "user", "content": "哪个？"}],
            "answer": {"kind": "choice", "value": "B", "options": ["甲", "乙"]},
        },
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    read_ = list(Local(path=tmp_path / "rows.parquet", columns=MAPPED).read())  # type: ignore[arg-type]
    assert told(read_) == ["2", "rows.parquet:2: column 'question' holds no text and no messages", "B"]


def test_facts_that_differ_by_row(tmp_path: Path) -> None:
    data = (
        line(question="小明有１２个苹果，吃了３个，还剩几个？", answer="９", d="math", lang=None, lic=None, key=7)
        + line(question="Which one?", answer="1", d="logic", lang="de", lic="CC-BY-4.0", key="k")
        + line(question="Which two?", answer="1", d="maths", lang="en", lic="mit", key="m")
        + line(question="Which three?", answer="1", d="math", lang=5, lic="mit", key="n")
        + line(question="Which four?", answer="1", d="math", lang="en", lic="mit", key=" ")
        + line(question="Which five?", answer="1", d="math", lang="en", lic="mit", key="k")
        + line(question="Which one?", answer="1", d="math", lang="en", lic="mit", key="k")
    )
    columns = {**MAPPED, "domain": "d", "language": "lang", "licence": "lic", "id": "key"}
    rows = read(tmp_path, "facts.jsonl", data, columns=columns, licence="mit")
    problems = [row for row in rows if isinstance(row, Problem)]
    facts = [(p.row, p.domain, p.language, p.licence, p.source) for p in problems]
    assert facts == [
        ("7", "math", "zh", "mit", "local:facts.jsonl"),
        ("k", "logic", "de", "cc-by-4.0", "local:facts.jsonl"),
        ("k", "math", "en", "mit", "local:facts.jsonl"),
    ]
    assert problems[0].prompt[0]["content"] == "小明有１２个苹果，吃了３个，还剩几个？"
    assert problems[0].reference == {"kind": "answer", "value": "９"}
    assert [row.message for row in rows if isinstance(row, BadRow)] == [
        "domain 'maths' is none of math, code, stem, logic, general",
        "column 'lang' holds no text",
        "column 'key' is empty",
        "column 'key': another prompt has the key 'k' already",
    ]


def test_a_limit_counts_rows_good_or_bad_and_long_files_are_read_whole(tmp_path: Path) -> None:
    data = b"".join(b"broken\n" if i == 1 else line(question=f"q{i}", answer=i) for i in range(250))
    assert len(read(tmp_path, "long.jsonl", data)) == 250
    rows = read(tmp_path, "long.jsonl", data, limit=3)
    assert [type(row) for row in rows] == [Problem, BadRow, Problem]
    assert [row.row for row in rows if isinstance(row, Problem)] == ["0", "2"]
    with pytest.raises(ValidationError):
        Local(path=tmp_path / "long.jsonl", limit=0)


def test_without_a_reference_column_there_is_no_reference(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "ask.jsonl", GOOD, columns={"prompt": "question"})
    assert isinstance(row, Problem)
    assert row.reference is None


def test_a_column_may_be_missing_in_some_rows(tmp_path: Path) -> None:
    data = line(question="a", answer="1") + line(question="b", answer="2", lic="mit")
    rows = read(tmp_path, "some.jsonl", data, columns={**MAPPED, "licence": "lic"})
    assert [row.licence for row in rows if isinstance(row, Problem)] == ["unknown", "mit"]


def test_the_content_says_the_revision(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    source = Local(path=tmp_path / "a.jsonl")
    before = source.current_revision()
    (tmp_path / "a.jsonl").write_bytes(GOOD + b"\n")
    assert source.current_revision() != before
    assert source.lock_key is None
