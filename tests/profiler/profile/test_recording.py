"""A recording gives back what was written, whatever targets call things, and views show parts of it."""

from __future__ import annotations

import io
import re
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.errors import UsageError
from profiler.export import folded
from profiler.profile.merge import merged
from profiler.profile.model import Process, Profile, Root
from profiler.profile.places import Place, by_frame
from profiler.profile.recording import BadRecording, query, read_profile
from profiler.profile.schema import DROPPED, TABLES
from profiler.profile.slices import FrameRow
from profiler.profile.view import Group, View
from profiler.profile.writer import RecordingWriter
from symbolizers.errors import Reason
from symbolizers.frame import INLINED, KERNEL, NATIVE, Frame
from tests.support.recordings import TAKEN, Taken, slice_of, write_recording

RECORDING_MD = Path(__file__).parents[3] / "docs" / "RECORDING.md"
WEB = Process(7, b"web", uid=1000, container="3f2a91c0d5e1")
SHELL = Process(8, b"sh")
MAIN, WORK, WAIT = (Frame(NATIVE, name, "app") for name in ("main", "Pool::work", "wait"))
CALL = Frame(KERNEL, "do_syscall_64")
SAMPLES = (
    Taken(WEB, (MAIN, WORK), time_ms=10, weight=3),
    Taken(WEB, (MAIN, WORK, CALL), tid=9, thread_comm=b"pool", time_ms=20),
    Taken(WEB, (MAIN, WAIT), time_ms=1500, cpu=1),
    Taken(SHELL, (MAIN,), time_ms=2500, weight=2),
    Taken(SHELL, (DROPPED[Reason.EXITED],), time_ms=2600),
)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return str(write_recording(tmp_path / "a.pidflame", SAMPLES))


def total(profile: Profile) -> int:
    return sum(sample.count for sample in profile.samples)


def folded_of(profile: Profile) -> list[str]:
    stream = io.BytesIO()
    folded.write(profile, stream)
    return stream.getvalue().decode().splitlines()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(samples=st.lists(TAKEN, max_size=8))
def test_what_is_written_is_read(tmp_path: Path, samples: list[Taken]) -> None:
    path = tmp_path / "any.pidflame"
    path.unlink(missing_ok=True)
    profile = read_profile(str(write_recording(path, samples)), View(threads=True, times=True))
    wanted: Counter[tuple[object, ...]] = Counter()
    times: dict[tuple[object, ...], list[int]] = {}
    for each in samples:
        key = (each.process, each.tid, each.frames)
        wanted[key] += each.weight
        times.setdefault(key, []).extend([each.time_ms] * each.weight)
    shown = {(each.process, each.thread and each.thread.tid, each.frames): each for each in profile.samples}
    assert {key: each.count for key, each in shown.items()} == wanted
    assert {key: list(each.times_ms) for key, each in shown.items()} == {
        key: sorted(each) for key, each in times.items()
    }


def test_facts_and_losses_are_read(recording: str) -> None:
    profile = read_profile(recording)
    assert (profile.host, profile.frequency_hz, profile.cpus, profile.duration_s) == ("vm", 100, 2, 2.6)
    assert profile.losses.samples == 8
    assert not profile.notes


def test_samples_that_were_dropped_show_where_they_are_wanted(recording: str) -> None:
    assert total(read_profile(recording)) == 7
    assert "sh (8);[dropped: exited] 1" in folded_of(read_profile(recording, View(keep_dropped=True)))


@pytest.mark.parametrize(
    ("view", "lines"),
    [
        (View(processes=("s*",)), ["sh (8);main (app) 2"]),
        (View(pids=(8,)), ["sh (8);main (app) 2"]),
        (View(users=(0,)), ["sh (8);main (app) 2"]),
        (View(containers=("3f2a*",), since_s=1.5), ["web (7);main (app);wait (app) 1"]),
        (View(since_s=0.02, until_s=0.021), ["web (7);main (app);Pool::work (app);do_syscall_64_[k] 1"]),
        (View(thread_names=("pool",)), ["web (7);main (app);Pool::work (app);do_syscall_64_[k] 1"]),
        (View(grep=(re.compile("wait"),)), ["web (7);main (app);wait (app) 1"]),
        (View(ignore=(re.compile("work|wait"),)), ["sh (8);main (app) 2"]),
        (
            View(root="work", invert=True),
            ["web (7);Pool::work (app) 3", "web (7);do_syscall_64_[k];Pool::work (app) 1"],
        ),
        (
            View(group=Group.NONE, ignore=(re.compile("work"),)),
            ["all × 2;main (app) 2", "all × 2;main (app);wait (app) 1"],
        ),
        (
            View(show_containers=True, since_s=1.0),
            ["[container 3f2a91c0d5e1];web (7);main (app);wait (app) 1", "sh (8);main (app) 2"],
        ),
        (View(group=Group.USER, pids=(8,)), ["user 0;main (app) 2"]),
        (View(group=Group.COMMAND, pids=(8,)), ["sh;main (app) 2"]),
        (
            View(group=Group.CONTAINER, since_s=1),
            ["3f2a91c0d5e1;main (app);wait (app) 1", "no container;main (app) 2"],
        ),
        (
            View(threads=True, thread_names=("pool",)),
            ["web (7);thread pool (9);main (app);Pool::work (app);do_syscall_64_[k] 1"],
        ),
    ],
)
def test_a_view_shows_a_part(recording: str, view: View, lines: list[str]) -> None:
    assert sorted(folded_of(read_profile(recording, view))) == sorted(lines)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (View(until_s=1), View(since_s=1)),
        (View(pids=(7,)), View(pids=(8,))),
        (View(grep=(re.compile("work"),)), View(ignore=(re.compile("work"),))),
        (View(processes=("w*",)), View(processes=("[!w]*",))),
    ],
)
def test_a_filter_and_its_complement_are_the_whole(recording: str, one: View, other: View) -> None:
    parts = Counter[tuple[object, ...]]()
    for view in (one, other):
        for sample in read_profile(recording, view).samples:
            parts[sample.root, sample.frames] += sample.count
    assert parts == {(each.root, each.frames): each.count for each in read_profile(recording).samples}


def test_losses_are_those_of_the_processes_that_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "cut.pidflame"
    writer = RecordingWriter(str(path))
    writer.facts({"frequency_hz": 100})
    writer.append(slice_of(SAMPLES))
    writer.close()
    losses = read_profile(str(path), View(pids=(8,))).losses
    assert (losses.samples, losses.symbolized, losses.dropped) == (3, 2, {Reason.EXITED: 1})


def test_what_was_cut_off_says_so_and_counts_its_losses(tmp_path: Path) -> None:
    path = tmp_path / "cut.pidflame"
    writer = RecordingWriter(str(path))
    writer.facts({"frequency_hz": 100, "host": "vm"})
    writer.append(slice_of(SAMPLES))
    writer.close()
    profile = read_profile(str(path))
    assert any("cut off" in note for note in profile.notes)
    assert (profile.losses.samples, profile.losses.symbolized) == (8, 7)
    assert profile.losses.dropped == {Reason.EXITED: 1}
    assert profile.duration_s == 2.6


def test_a_part_of_the_samples_has_the_losses_of_all(recording: str) -> None:
    profile = read_profile(recording, View(since_s=1.0))
    assert profile.losses.samples == 8
    assert any("losses are those of the whole recording" in note for note in profile.notes)
    assert not read_profile(recording, View(pids=(7,))).notes


def test_names_come_later(tmp_path: Path) -> None:
    path = tmp_path / "late.pidflame"
    writer = RecordingWriter(str(path))
    writer.facts({"frequency_hz": 100})
    rows = slice_of([Taken(WEB, (MAIN,))])
    rows.frames[:] = [FrameRow(None, path="/usr/bin/app", address=0x1234)]
    writer.append(rows)
    assert [each.frames for each in read_profile(str(path)).samples] == [(Frame(NATIVE, "[app+0x1234]"),)]
    writer.name([(1, 1, "0f1e")])
    writer.close()
    assert [each.frames for each in read_profile(str(path)).samples] == [(MAIN,)]


LOOP, EVAL = Frame(NATIVE, "eval_loop", "python3"), Frame("python", "work", "app.py", 3)


@pytest.fixture
def running(tmp_path: Path) -> str:
    """A stack whose second frame is hidden, and whose third runs the lines 7, 8 and one that nobody knows."""
    path = tmp_path / "running.pidflame"
    writer = RecordingWriter(str(path))
    writer.facts({"frequency_hz": 100})
    rows = slice_of([Taken(WEB, (MAIN, LOOP, EVAL), weight=2)])
    work = rows.frames[2]
    rows.frames[1] = rows.frames[1]._replace(is_inner=True)
    rows.frames[2:] = [work._replace(line=7), work._replace(line=8), work]
    thread = rows.samples[0][1]
    for line in (1, 2):
        rows.stacks.append((2, 3 + line))
        rows.samples.append((0, thread, 0, 3 + line, 1))
    writer.append(rows)
    writer.close()
    return str(path)


def test_lines_and_hidden_frames_are_choices_of_a_view(running: str) -> None:
    plain, loop = "web (7);main (app);", "web (7);main (app);eval_loop (python3);"
    assert folded_of(read_profile(running)) == [f"{plain}work (app.py:3) 4"]
    assert folded_of(read_profile(running, View(native=True))) == [f"{loop}work (app.py:3) 4"]
    by_line = ["work (app.py) 1", "work (app.py:7) 2", "work (app.py:8) 1"]
    assert sorted(folded_of(read_profile(running, View(lines=True)))) == [plain + each for each in by_line]
    both = read_profile(running, View(lines=True, native=True))
    assert sorted(folded_of(both)) == [loop + each for each in by_line]


def test_it_is_told_where_frames_are(running: str) -> None:
    file = sqlite3.connect(running)
    file.execute("UPDATE frame SET address = -4096, build_id = '0f1e' WHERE id = 1")
    file.commit()
    file.close()
    places = read_profile(running, View(lines=True, places=True)).places
    assert places == {
        MAIN: Place(address=(1 << 64) - 4096, build_id="0f1e"),
        **{EVAL._replace(line=line): Place(first_line=3) for line in (0, 7, 8)},
    }
    assert read_profile(running, View(places=True)).places.keys() == {MAIN}
    assert read_profile(running).places == {}


def test_two_functions_that_show_the_same_begin_nowhere() -> None:
    one, other = Place(3, 0x10, "0f"), Place(4, 0x20, "1e")
    assert by_frame([(EVAL, one), (MAIN, one), (EVAL, other), (EVAL, one)]) == {
        EVAL: one._replace(first_line=0),
        MAIN: one,
    }


def test_functions_whose_line_nobody_knows_are_noted_where_lines_show(running: str) -> None:
    note = "1 functions show no line: they were gone before it could be read"
    assert note in read_profile(running, View(lines=True)).notes
    assert note not in read_profile(running).notes


def test_a_filter_does_not_see_what_is_hidden(running: str) -> None:
    filtered = View(grep=(re.compile("eval_loop"),))
    assert total(read_profile(running, filtered)) == 0
    assert total(read_profile(running, View(grep=filtered.grep, native=True))) == 4


def test_inlined_functions_stand_on_what_they_are_inlined_in(tmp_path: Path) -> None:
    path = tmp_path / "inlined.pidflame"
    writer = RecordingWriter(str(path))
    writer.facts({"frequency_hz": 100})
    callee = Frame(NATIVE, "callee", "app")
    rows = slice_of([Taken(WEB, (MAIN, callee)), Taken(WEB, (WORK, callee))])
    outer, inner = Frame(INLINED, "outer", "app.c", 3), Frame(INLINED, "inner", "app.h", 5)
    first = len(rows.functions) + 1
    work = [frame for frame, _ in rows.functions].index(WORK) + 1
    rows.functions.extend([(outer, 1), (inner, first), (inner, work)])
    rows.frames[0] = FrameRow(first + 1, path="/usr/bin/app", address=0x1234, build_id="0f")
    rows.frames[work - 1] = FrameRow(first + 2, path="/usr/bin/app", address=0x1240, build_id="0f")
    writer.append(rows)
    writer.close()
    assert {each.frames for each in read_profile(str(path)).samples} == {
        (MAIN, outer, inner, callee),
        (WORK, inner, callee),
    }
    longest = [(Frame(INLINED, f"f{at}", "a.c", 1), at) for at in range(len(rows.functions), 400)]
    file = sqlite3.connect(path)
    file.executemany("INSERT INTO function VALUES (NULL, 'inlined', ?, 'a.c', 1, ?)",
                     [(frame.name, at) for frame, at in longest])  # fmt: skip
    file.execute("UPDATE frame SET function = 390 WHERE id = 1")
    file.commit()
    file.close()
    with pytest.raises(BadRecording, match="inlined"):
        read_profile(str(path))


def test_several_recordings_are_one(recording: str) -> None:
    one = read_profile(recording)
    both = merged([one, one])
    assert {(each.root, each.frames): each.count for each in both.samples} == {
        (each.root, each.frames): 2 * each.count for each in one.samples
    }
    assert (both.losses.samples, both.duration_s) == (16, 5.2)
    assert merged([one]) is one


def test_a_query_gives_columns_and_rows(recording: str) -> None:
    by_pid = (
        "SELECT pid, sum(weight) AS n FROM sample JOIN thread ON thread.id = thread"
        " JOIN process ON process.id = process GROUP BY pid"
    )
    names, rows = query(recording, by_pid)
    assert (names, rows) == (["pid", "n"], [(7, 5), (8, 3)])


@pytest.mark.parametrize(
    "text",
    ["DELETE FROM sample", "ATTACH ':memory:' AS other", "PRAGMA journal_mode = WAL", "SELECT nothing"],
)
def test_a_query_changes_nothing(recording: str, text: str) -> None:
    with pytest.raises(UsageError, match="SQLite can't run the query"):
        query(recording, text)
    assert query(recording, "SELECT count(*) FROM sample")[1] == [(5,)]


FORGED = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON note BEGIN DELETE FROM sample; END",
    "a view": "CREATE VIEW v AS SELECT 1",
    "a view for a table": "DROP TABLE note; CREATE VIEW note AS SELECT 'x' AS text",
    "an index": "CREATE INDEX i ON sample (stack)",
    "another table": "CREATE TABLE other (x)",
    "a generated column": "DROP TABLE note; CREATE TABLE note (text TEXT, more TEXT AS ('x')) STRICT",
    "a table less": "DROP TABLE note",
    "loose types": "DROP TABLE note; CREATE TABLE note (text TEXT NOT NULL); INSERT INTO note VALUES (1)",
    "another application": "PRAGMA application_id = 1",
    "another version": "PRAGMA user_version = 2",
    "a cycle": "UPDATE stack SET parent = 3 WHERE id = 1",
    "a parent of its own": "UPDATE stack SET parent = id",
    "inlined in itself": "UPDATE function SET inlined_in = id",
    "inlined in none": "UPDATE function SET inlined_in = 0",
    "no such frame": "UPDATE stack SET frame = 99",
    "no such function": "UPDATE frame SET function = 0",
    "a line below": "UPDATE frame SET line = -1",
    "a line that no file has": "UPDATE frame SET line = 1 << 40",
    "half hidden": "UPDATE frame SET inner = 2",
    "a build id that is none": "UPDATE frame SET build_id = '<script>'",
    "a long build id": "UPDATE frame SET build_id = replace(hex(zeroblob(65)), 'A', 'a')",
    "no such thread": "UPDATE sample SET thread = 99",
    "no such stack": "UPDATE sample SET stack = -1",
    "no such process": "UPDATE thread SET process = 99",
    "huge counts": "UPDATE sample SET weight = 9223372036854775807",
    "negative counts": "UPDATE sample SET weight = -1",
    "a time before": "UPDATE sample SET time_ms = -5",
    "ids with gaps": "UPDATE process SET id = 1000000000 WHERE id = 2",
    "ids below": "UPDATE process SET id = -1 WHERE id = 2",
    "a command that is none": "UPDATE process SET command = '{}'",
    "a command of numbers": "UPDATE process SET command = '[1]'",
    "deep JSON": f"UPDATE process SET command = '{'[' * 100000}'",
    "losses that are none": "UPDATE fact SET value = '[]' WHERE name = 'losses'",
    "losses below": "UPDATE fact SET value = replace(value, '8', '-8') WHERE name = 'losses'",
    "no frequency": "DELETE FROM fact WHERE name = 'frequency_hz'",
    "no samples a second": "UPDATE fact SET value = 0 WHERE name = 'frequency_hz'",
    "no duration": "UPDATE fact SET value = 'long' WHERE name = 'duration_s'",
    "not a number": "UPDATE fact SET value = 9e999 WHERE name = 'duration_s'",
    "steps that are none": "INSERT OR REPLACE INTO fact VALUES ('steps_s', '[1]')",
    "a long text": "UPDATE function SET name = CAST(zeroblob(2000000) AS TEXT)",
    "a text that is none": "UPDATE function SET name = CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("statement", FORGED.values(), ids=FORGED.keys())
def test_a_forged_recording_is_refused(recording: str, statement: str) -> None:
    file = sqlite3.connect(recording, isolation_level=None)
    file.executescript(statement)
    file.close()
    with pytest.raises(BadRecording, match="can't be read as a recording"):
        read_profile(recording)


def test_wrong_types_in_strict_tables_are_refused(recording: str) -> None:
    file = sqlite3.connect(recording, isolation_level=None)
    file.execute("PRAGMA writable_schema = ON")
    strict = file.execute("SELECT sql FROM sqlite_schema WHERE name = 'sample'").fetchone()[0]
    loose = strict.removesuffix(" STRICT")
    file.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'sample'", (loose,))
    file.close()
    file = sqlite3.connect(recording, isolation_level=None)
    file.execute("UPDATE sample SET weight = 'many'")
    file.execute("PRAGMA writable_schema = ON")
    file.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'sample'", (strict,))
    file.close()
    with pytest.raises(BadRecording, match="weight is out of range"):
        read_profile(recording)


@pytest.mark.parametrize("length", [0, 15, 16, 100, 5000, 20000])
def test_a_file_that_is_cut_is_refused(recording: str, length: int) -> None:
    with open(recording, "r+b") as stream:
        stream.truncate(length)
    with pytest.raises(BadRecording):
        read_profile(recording)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in ("/dev/zero", str(tmp_path), str(tmp_path / "missing")):
        with pytest.raises(BadRecording):
            read_profile(path)


def test_long_paths_of_many_stacks_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.profile.report._MOST_SHOWN_FRAMES", 10)
    path = write_recording(tmp_path / "long.pidflame", [Taken(WEB, (MAIN,) * 11)])
    with pytest.raises(BadRecording, match="too long"):
        read_profile(str(path))


def test_one_row_of_very_many_samples_takes_no_memory(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "many.pidflame", [Taken(WEB, (MAIN,), weight=1 << 52)])
    assert total(read_profile(str(path))) == 1 << 52
    with pytest.raises(BadRecording, match="too many samples"):
        read_profile(str(path), View(times=True))


def test_a_stack_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "deep.pidflame", [Taken(WEB, (MAIN,) * 4097)])
    with pytest.raises(BadRecording, match="too deep"):
        read_profile(str(path))


def test_the_root_of_processes_that_count_together(tmp_path: Path) -> None:
    path = tmp_path / "merged.pidflame"
    writer = RecordingWriter(str(path))
    writer.facts({"frequency_hz": 100})
    rows = slice_of([Taken(Process(pid, b"old"), (MAIN,)) for pid in (1, 2)])
    for at, (process, start_ns, _) in rows.processes.items():
        rows.processes[at] = process, start_ns, b"job"
    writer.append(rows)
    writer.close()
    (sample,) = read_profile(str(path)).samples
    assert (sample.root, sample.count, sample.process) == (Root(b"job", 0, 2), 2, None)


QUERIES = re.findall("```sql\n(.*?)```", RECORDING_MD.read_text(), re.DOTALL)


@pytest.mark.parametrize("text", QUERIES)
def test_the_documented_queries_give_rows(recording: str, text: str) -> None:
    names, rows = query(recording, text)
    assert names
    assert rows


def test_the_documented_totals_are_right(recording: str) -> None:
    assert len(QUERIES) == 10
    (text,) = [each for each in QUERIES if "AS total" in each]
    assert query(recording, text)[1][:2] == [("main", "app", 7), ("Pool::work", "app", 4)]


def test_every_column_is_documented() -> None:
    text = RECORDING_MD.read_text()
    for name, columns in TABLES.items():
        assert f"| `{name}` |" in text
        for column in columns.split(", "):
            assert f"`{column.split()[0]}`" in text, f"{name}.{column}"
