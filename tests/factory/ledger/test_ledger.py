"""The ledger by itself: journals, commits, damage, two writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from factory.errors import LedgerError, UsageError
from factory.ledger import Ledger, maintenance
from factory.ledger.commits import DataFile, read_commits, valid_files, write_commit
from factory.ledger.journal import Journal, read_log


def policy(name: str) -> dict[str, str]:
    return {"fingerprint": name, "config": "{}"}


def names(ledger: Ledger) -> list[str]:
    return ledger.snapshot().scan("policies").collect()["fingerprint"].to_list()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger", create=True)


def test_rows_are_seen_before_and_after_they_are_rolled(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append("policies", [policy("a"), policy("b")])
        assert names(ledger) == ["a", "b"]
        writer.roll()
        writer.append("policies", [policy("c")])
        assert names(ledger) == ["a", "b", "c"]
    assert names(ledger) == ["a", "b", "c"]
    assert list((ledger.root / "journal").iterdir()) == []
    assert [c.action for c in read_commits(ledger.root / "commits")] == ["append", "append"]


def test_every_type_survives_the_journal_and_the_file(ledger: Ledger) -> None:
    row = {
        "trace_id": "t",
        "completion": 'Zeile\n"zwei" \x00 \u2028 😀 漢',
        "index": 2**40,
        "seed": 2**63 - 1,
        "token_ids": [1, 2],
        "logprobs": [-0.5, -1.25],
    }
    with ledger.writer() as writer:
        writer.append("traces", [row])
        journal = ledger.snapshot().scan("traces").collect()
    stored = ledger.snapshot().scan("traces").collect()
    assert stored.equals(journal)
    assert {k: stored.row(0, named=True)[k] for k in row} == row
    assert stored["reasoning"].to_list() == [None]


def test_leaving_by_an_exception_keeps_the_rows_and_the_next_writer_adopts_them(ledger: Ledger) -> None:
    with pytest.raises(KeyError), ledger.writer() as writer:
        writer.append("policies", [policy("a")])
        raise KeyError("stop")
    assert read_commits(ledger.root / "commits") == []
    assert names(ledger) == ["a"]
    with ledger.writer() as writer:
        assert len(read_commits(ledger.root / "commits")) == 1
        writer.append("policies", [policy("b")])
    assert names(ledger) == ["a", "b"]


def test_a_torn_tail_is_dropped_at_any_length(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("policies", [policy("a")])
        journal.append("policies", [policy("b"), policy("c")])
        log = journal.folder / "policies.log"
    whole = log.read_bytes()
    first = len(whole) - len(read_log_after(whole, log))
    for length in range(len(whole)):
        log.write_bytes(whole[:length])
        read = read_log(log)
        assert [r["fingerprint"] for r in read.rows] == (["a"] if length >= first else [])
        assert read.num_bytes + read.torn_bytes == length
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    log.write_bytes(flipped)
    assert [r["fingerprint"] for r in read_log(log).rows] == ["a"]


def read_log_after(whole: bytes, log: Path) -> bytes:
    """Return what follows the first frame."""
    length = int.from_bytes(whole[:4], "little")
    return whole[8 + length :]


def test_a_live_writers_journal_is_read_but_not_adopted(ledger: Ledger) -> None:
    with ledger.writer() as ours:
        ours.append("policies", [policy("a")])
        with ledger.writer() as theirs:
            theirs.append("policies", [policy("b")])
            assert sorted(names(ledger)) == ["a", "b"]
        assert len(list((ledger.root / "journal").iterdir())) == 1
    assert sorted(names(ledger)) == ["a", "b"]


def test_a_journal_whose_commit_is_written_counts_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "remove", Journal.close)  # killed between the commit and the removal
    with ledger.writer() as writer:
        writer.append("policies", [policy("a")])
    monkeypatch.undo()
    assert len(list((ledger.root / "journal").iterdir())) == 1
    assert names(ledger) == ["a"]
    ledger.adopt()
    assert list((ledger.root / "journal").iterdir()) == []
    assert names(ledger) == ["a"]


def test_commits_take_numbers_that_nobody_has(ledger: Ledger) -> None:
    folder = ledger.root / "commits"
    for writer in "ab":
        write_commit(folder, writer=writer, action="append", files=())
    (folder / "00000004.json").write_bytes((folder / "00000002.json").read_bytes().replace(b'"seq": 2', b'"seq": 4'))
    assert write_commit(folder, writer="c", action="append", files=()).seq == 5


def test_a_commit_that_lost_a_race_is_void(ledger: Ledger) -> None:
    folder = ledger.root / "commits"
    old, merged, late = (DataFile(table="policies", path=p, num_rows=1, num_bytes=1, checksum=p) for p in "abc")
    write_commit(folder, writer="1", action="append", files=(old,))
    write_commit(folder, writer="2", action="compact", files=(merged,), replaces=("a",))
    write_commit(folder, writer="3", action="compact", files=(late,), replaces=("a",))
    assert valid_files(read_commits(folder)) == [merged]


def test_a_damaged_file_is_named_and_the_rest_stays_readable(ledger: Ledger) -> None:
    for name in "abc":
        with ledger.writer() as writer:
            writer.append("policies", [policy(name)])
    files = ledger.snapshot().files
    victim = ledger.root / files[1].path
    victim.write_bytes(victim.read_bytes()[:-7])
    with pytest.raises(LedgerError, match=victim.name):
        ledger.snapshot()
    lenient = ledger.snapshot(strict=False)
    assert lenient.scan("policies").collect()["fingerprint"].to_list() == ["a", "c"]
    assert [d.file.path for d in lenient.damaged] == [files[1].path]
    assert [f.path for f in maintenance.fsck(ledger) if f.is_damage] == [files[1].path]
    assert maintenance.drop_damaged(ledger) == [files[1].path]
    assert names(ledger) == ["a", "c"]


def test_a_flipped_bit_is_found_by_fsck(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append("policies", [policy("a")])
    path = ledger.root / ledger.snapshot().files[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert [f.is_damage for f in maintenance.fsck(ledger)] == [True]


def test_a_missing_file_and_a_damaged_commit_are_named(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append("policies", [policy("a")])
    path = ledger.root / ledger.snapshot().files[0].path
    path.unlink()
    with pytest.raises(LedgerError, match=path.name):
        ledger.snapshot()
    commit = ledger.root / "commits" / "00000001.json"
    commit.write_text("{")
    with pytest.raises(LedgerError, match=r"00000001\.json is damaged"):
        ledger.snapshot(strict=False)


def test_a_newer_ledger_is_refused(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append("policies", [policy("a")])
    commit = ledger.root / "commits" / "00000001.json"
    commit.write_text(json.dumps({**json.loads(commit.read_text()), "schema": 99}))
    with pytest.raises(LedgerError, match="newer version"):
        ledger.snapshot()


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.open(tmp_path / "ledger", create=True)
    real = os.write
    room = 300

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[:room])
        room -= written
        return written

    with pytest.raises(LedgerError, match="the disk is full") as error, ledger.writer() as writer:
        monkeypatch.setattr(os, "write", write)
        for number in range(100):
            writer.append("policies", [policy(f"p{number}")])
    assert "run the same command again" in str(error.value)
    monkeypatch.undo()
    kept = names(ledger)
    assert 0 < len(kept) < 100
    assert kept == [f"p{n}" for n in range(len(kept))]
    assert maintenance.fsck(ledger) == []  # no torn tail: the log was cut back


def test_compaction_keeps_rows_and_their_order(ledger: Ledger) -> None:
    for name in "abcd":
        with ledger.writer() as writer:
            writer.append("policies", [policy(name)])
    before = valid_files(read_commits(ledger.root / "commits"))
    assert maintenance.compact(ledger) == {"policies": 4}
    with ledger.writer() as writer:
        writer.append("policies", [policy("e")])
    assert names(ledger) == ["a", "b", "c", "d", "e"]
    assert maintenance.gc(ledger) == []  # too young
    assert sorted(maintenance.gc(ledger, grace_s=0)) == sorted(f.path for f in before)
    assert names(ledger) == ["a", "b", "c", "d", "e"]
    assert maintenance.fsck(ledger) == []


def test_a_merged_file_does_not_come_later_than_what_it_merged(ledger: Ledger) -> None:
    """The first commit of a slot counts: compaction must not turn the order round."""
    for text in ("first", "second"):
        with ledger.writer() as writer:
            writer.append("traces", [{"trace_id": "t", "completion": text}])
        if text == "first":
            with ledger.writer() as writer:
                writer.append("traces", [{"trace_id": "u", "completion": "other"}])
            early = [f for f in ledger.snapshot().files if f.table == "traces"]
    monkey = [f for f in ledger.snapshot().files if f not in early]
    assert len(monkey) == 1
    maintenance.compact(ledger)
    slots = ledger.snapshot().slots("completion").filter(trace_id="t").collect()
    assert slots["completion"].to_list() == ["first"]


def test_export_and_import_carry_everything_over(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.writer() as writer:
        writer.append("policies", [policy("a")])
        writer.append("traces", [{"trace_id": "t", "completion": "x"}])
    assert maintenance.export(ledger, tmp_path / "l.tar") == 2
    other = Ledger.open(tmp_path / "other", create=True)
    assert maintenance.import_(other, tmp_path / "l.tar") == 2
    assert maintenance.import_(other, tmp_path / "l.tar") == 0
    assert names(other) == ["a"]
    assert other.snapshot().count("traces") == 1


def test_sql_reads_files_and_journals(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append("policies", [policy("a")])
        writer.roll()
        writer.append("policies", [policy("b")])
        found = ledger.snapshot().sql("SELECT count(*) AS n FROM policies")
        assert found["n"].to_list() == [2]
        assert ledger.snapshot().sql('SELECT * FROM "references"').height == 0
    with pytest.raises(UsageError, match="nonsense"):
        ledger.snapshot().sql("SELECT nonsense FROM policies")


def test_a_folder_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear ledger")
    with pytest.raises(UsageError, match="is not a ledger"):
        Ledger.open(tmp_path, create=True)
    with pytest.raises(UsageError, match="there is no ledger"):
        Ledger.open(tmp_path / "none")
    half = tmp_path / "half"  # killed while it was made
    (half / "journal").mkdir(parents=True)
    Ledger.open(half, create=True).snapshot()


def test_a_lock_is_free_again_when_its_holder_is_killed(ledger: Ledger) -> None:
    code = (
        "import sys, time; from factory.ledger import Ledger\n"
        "with Ledger.open(sys.argv[1]).lock('x'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(ledger.root)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    waited: list[bool] = []

    def kill() -> None:
        waited.append(True)
        holder.send_signal(signal.SIGKILL)

    with ledger.lock("x", on_wait=kill):
        assert waited == [True]
    holder.wait()
    holder.stdout.close()


def test_missing_columns_of_an_older_file_are_null(ledger: Ledger) -> None:
    from factory.identity import hash_bytes

    path = ledger.root / "policies" / "old.parquet"
    pl.DataFrame({"fingerprint": ["old"]}).write_parquet(path)
    data = path.read_bytes()
    file = DataFile(
        table="policies", path="policies/old.parquet", num_rows=1, num_bytes=len(data), checksum=hash_bytes(data)
    )
    write_commit(ledger.root / "commits", writer="w", action="append", files=(file,))
    assert ledger.snapshot().scan("policies").collect().rows() == [("old", None)]
    (batch,) = ledger.snapshot().batches("policies", ["fingerprint", "config"])
    assert batch.rows() == [("old", None)]


def test_a_tail_of_zeros_is_dropped(tmp_path: Path) -> None:
    """What a power cut leaves on many file systems."""
    with Journal(tmp_path) as journal:
        journal.append("policies", [policy("a")])
    log = journal.folder / "policies.log"
    log.write_bytes(log.read_bytes() + bytes(64))
    read = read_log(log)
    assert ([r["fingerprint"] for r in read.rows], read.torn_bytes) == (["a"], 64)


def test_the_same_rows_in_two_commits_are_two_facts(ledger: Ledger) -> None:
    for _ in range(3):
        with ledger.writer() as writer:
            writer.append("verdicts", [{"trace_id": "t", "outcome": "unknown", "cause": "transient"}])
    assert ledger.snapshot().count("verdicts") == 3
    assert ledger.snapshot().scan("verdicts").collect().height == 3


def test_commits_of_many_threads_are_all_there(ledger: Ledger) -> None:
    from concurrent.futures import ThreadPoolExecutor

    folder = ledger.root / "commits"
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: write_commit(folder, writer=str(n), action="append", files=()), range(40)))
    commits = read_commits(folder)
    assert [c.seq for c in commits] == list(range(1, 41))
    assert {c.writer for c in commits} == {str(n) for n in range(40)}


def test_a_row_that_no_file_can_hold_never_enters_the_journal(ledger: Ledger) -> None:
    with pytest.raises(Exception, match=r"."), ledger.writer() as writer:
        writer.append("traces", [{"trace_id": "good", "index": 1}])
        writer.append("traces", [{"trace_id": "bad", "index": 2**63}])
    ledger.adopt()
    assert ledger.snapshot().scan("traces").collect()["trace_id"].to_list() == ["good"]


def test_gc_leaves_what_was_valid_a_moment_ago(ledger: Ledger) -> None:
    for name in "ab":
        with ledger.writer() as writer:
            writer.append("policies", [policy(name)])
    before = ledger.snapshot()
    for file in before.files:
        os.utime(ledger.root / file.path, (0, 0))  # written long ago
    maintenance.compact(ledger)
    assert maintenance.gc(ledger) == []
    assert before.scan("policies").collect().height == 2


def test_forget_waits_for_no_writer(ledger: Ledger) -> None:
    with ledger.writer() as writer:
        writer.append("traces", [{"trace_id": "t", "completion": "x"}])
        with pytest.raises(LedgerError, match="another run is writing"):
            maintenance.forget(ledger, trace_id="t")
    assert maintenance.forget(ledger, trace_id="t") == (1, [])
    with pytest.raises(UsageError, match="nothing of 't'"):
        maintenance.forget(ledger, trace_id="t")
