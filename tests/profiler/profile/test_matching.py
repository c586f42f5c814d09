"""Which processes of two recordings are one program."""

from __future__ import annotations

from msgspec.structs import replace

from profiler.profile.matching import Program, matched
from profiler.profile.model import Losses, Process, ProcessLosses, Profile, Root, Sample
from tests.support.export_samples import profile_of


def started(comm: bytes, *command: str, executable: str = "/bin/x", pid: int = 7) -> Sample:
    return Sample(Root(comm, pid), (), 1, process=Process(pid, comm, executable=executable, command=command))


def profile(*comms: bytes) -> Profile:
    return profile_of(*(Sample(Root(comm, pid + 1), (), 1) for pid, comm in enumerate(comms)))


def test_a_program_is_the_same_under_another_pid() -> None:
    before, after = matched(profile(b"a", b"b"), profile(b"b", b"a"))
    assert before == after == {b"a": Program(b"a", b"a"), b"b": Program(b"b", b"b")}


def test_threads_of_the_kernel_are_the_same_under_another_number() -> None:
    before, after = matched(profile(b"kworker/u8:2-ev", b"a/b"), profile(b"kworker/0:1", b"ksoftirqd/1"))
    assert before == {b"kworker/u8:2-ev": Program(b"kworker", b"kworker"), b"a/b": Program(b"a/b", b"a/b")}
    assert set(after.values()) == {Program(b"kworker", b"kworker"), Program(b"ksoftirqd", b"ksoftirqd")}


def test_a_renamed_program_is_found_by_what_was_started() -> None:
    before, after = matched(
        profile_of(started(b"old", "x", "-v"), started(b"same", "x", "-v")),
        profile_of(started(b"new", "x", "-v", pid=9), started(b"same", "y")),
    )
    assert before == {b"old": Program(b"old", b"new"), b"same": Program(b"same", b"same")}
    assert after == {b"new": Program(b"old", b"new"), b"same": Program(b"same", b"same")}


def test_a_renamed_program_is_not_guessed() -> None:
    old = profile_of(started(b"old", "x"))
    others = (
        profile_of(started(b"new", "x", "-v")),
        profile_of(started(b"new", "x", executable="/bin/y")),
        profile_of(started(b"new", "x"), started(b"newer", "x")),
        profile_of(Sample(Root(b"new", 7), (), 1)),
    )
    for other in others:
        assert Program(b"old", b"old") in matched(old, other)[0].values()
        assert Program(b"old", b"old") in matched(other, old)[1].values()


def test_a_process_that_only_lost_samples_is_a_program() -> None:
    row = ProcessLosses(Root(b"gone", 5), 3, 0, {})
    empty = replace(profile(), losses=Losses(3, 0, {}, 0, (row,)))
    assert matched(empty, profile(b"a"))[0] == {b"gone": Program(b"gone", b"gone")}
