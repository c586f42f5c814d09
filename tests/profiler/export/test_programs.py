"""Which box a process stands in: its own, its program's, or the one of the many that are small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from profiler.export.programs import MOST_PROCESSES, Programs
from profiler.export.text import container_text, root_text
from profiler.export.tree import PROCESS, PROGRAM, THREAD, lay_out, sort_stacks
from profiler.profile.model import Root, Sample, Thread
from tests.support.export_samples import SAMPLES


def sample(pid: int, count: int = 1, *, name: bytes = b"app", thread: Thread | None = None) -> Sample:
    return Sample(Root(name, pid), (), count, thread)


def test_a_lone_process_stands_for_itself() -> None:
    programs = Programs([sample(7), sample(8, name=b"other")])
    root = Root(b"app", 7)
    (level,) = programs.merged(root, None)
    assert (level.text, level.kind) == ("app (7)", PROCESS)
    assert programs.apart(root, None) == (level,)
    assert programs.texts(root) == ("app (7)",)
    assert not programs.is_several(root)


def test_processes_whose_names_read_the_same_are_one_program() -> None:
    programs = Programs([sample(1, name=b"a;"), sample(2, name=b"a:")])
    assert programs.merged(Root(b"a;", 1), None) == programs.merged(Root(b"a:", 2), None)
    assert programs.texts(Root(b"a:", 2)) == ("a: (2)", "a: × 2")


def test_threads_of_one_name_are_one_where_processes_are() -> None:
    threads = [Thread(b"io", 11), Thread(b"io", 12), Thread(b"main", 13)]
    programs = Programs(
        [sample(1, 5, thread=threads[0]), sample(2, 6, thread=threads[1]), sample(2, 9, thread=threads[2])]
    )
    merged = [programs.merged(Root(b"app", 1 + (at > 0)), thread) for at, thread in enumerate(threads)]
    assert [[level.text for level in levels] for levels in merged] == [
        ["app × 2", "thread io"],
        ["app × 2", "thread io"],
        ["app × 2", "thread main"],
    ]
    assert merged[0] == merged[1]
    assert merged[1][1].order < merged[2][1].order  # 11 samples, 9 samples
    apart = programs.apart(Root(b"app", 2), threads[1])
    assert [level.text for level in apart] == ["app × 2", "app (2)", "thread io (12)"]
    assert [level.kind for level in apart] == [PROGRAM, PROCESS, THREAD]


def test_the_many_small_processes_of_a_program_share_a_box() -> None:
    more = 5
    samples = [sample(pid, count=1000 - pid) for pid in range(1, MOST_PROCESSES + more)]
    samples.append(Sample(Root(b"app", 0, processes=30), (), 1))
    programs = Programs(samples)
    boxes, _ = lay_out(sort_stacks(samples, programs.apart), 0.0)
    texts = [box.text for box in boxes]
    assert texts[:4] == ["all", f"app × {MOST_PROCESSES + more - 1 + 30}", "app (1)", "app (2)"]
    assert texts[-2:] == [f"app ({MOST_PROCESSES})", f"{more - 1 + 30} more processes"]
    assert len(boxes) == 2 + MOST_PROCESSES + 1
    assert boxes[-1].kind == PROCESS


def test_one_process_too_many_has_a_box_of_its_own() -> None:
    samples = [sample(pid) for pid in range(1, MOST_PROCESSES + 2)]
    programs = Programs(samples)
    found = {level.text for each in samples for level in programs.apart(each.root, None)}
    assert found == {f"app × {MOST_PROCESSES + 1}", *(f"app ({each.root.pid})" for each in samples)}


@given(st.lists(SAMPLES, max_size=8))
def test_both_ways_give_each_program_the_same_place(samples: list[Sample]) -> None:
    programs = Programs(samples)
    bases = []
    for way in (programs.merged, programs.apart):
        boxes, _ = lay_out(sort_stacks(samples, way), 0.0)
        bases.append([(box.text, box.kind, box.start, box.count) for box in boxes if box.depth == 1])
    assert bases[0] == bases[1]
    sizes = [count for *_, count in bases[0]]
    assert sizes == sorted(sizes, reverse=True)
    assert {text for text, kind, *_ in bases[0] if kind == PROCESS} <= {
        container_text(each.root.container) if each.root.container else root_text(each.root)
        for each in samples
    }
