"""Whose map of generated code counts, and how its names read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from symbolizers.frame import GENERATED, NATIVE, Frame, Function
from symbolizers.inspection import FileKey, generated_by
from symbolizers.native.generated import GeneratedCode, readable
from symbolizers.process.identity import ProcessId, open_process
from tests.support.jit_dumps import HEADER, loaded

UNNAMED = Frame(NATIVE, "[jit]")


class Runtime:
    """A process that generates code, and its map."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "60"])
        with open_process(self.process.pid) as handle:
            self.key = generated_by(handle.id, os.getuid())
        self.map = Path(f"/tmp/perf-{self.process.pid}.map")

    def names(self, *addresses: int, key: FileKey | None = None) -> list[Frame]:
        return [frame for frame, _, _ in GeneratedCode().functions(key or self.key, "", addresses)]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    found = Runtime()
    yield found
    found.end()
    found.map.unlink(missing_ok=True)


def test_a_process_without_a_map_has_one_frame_for_all_of_it(runtime: Runtime) -> None:
    found = GeneratedCode().functions(runtime.key, "", (0x1000, 0x2000))
    assert found == [Function(UNNAMED, 0x1000, 0x1001), Function(UNNAMED, 0x2000, 0x2001)]


def test_functions_have_their_names_and_starts(runtime: Runtime) -> None:
    runtime.map.write_text("1000 10 fast\n")
    found = GeneratedCode().functions(runtime.key, "", (0x1008, 0x2000))
    assert found == [Function(Frame(GENERATED, "fast"), 0x1000, 0x1009), Function(UNNAMED, 0x2000, 0x2001)]


def test_a_map_is_found_when_it_comes_later_and_is_read_on(runtime: Runtime) -> None:
    code = GeneratedCode()
    assert code.functions(runtime.key, "", (0x1000,)) == [Function(UNNAMED, 0x1000, 0x1001)]
    for number in range(3):
        with runtime.map.open("a") as stream:
            stream.write(f"1000 10 f{number}\n")
        assert code.functions(runtime.key, "", (0x1000,)) == [
            Function(Frame(GENERATED, f"f{number}"), 0x1000, 0x1001)
        ]


def test_the_map_of_another_user_does_not_count(runtime: Runtime) -> None:
    runtime.map.write_text("1000 10 forged\n")
    os.chown(runtime.map, 12345, 12345)
    assert runtime.names(0x1000) == [UNNAMED]
    assert runtime.names(0x1000, key=runtime.key._replace(owner=12345)) == [Frame(GENERATED, "forged")]


def test_what_is_no_regular_file_does_not_count(runtime: Runtime, tmp_path: Path) -> None:
    os.mkfifo(runtime.map)
    assert runtime.names(0x1000) == [UNNAMED]
    runtime.map.unlink()
    runtime.map.mkdir()
    assert runtime.names(0x1000) == [UNNAMED]
    runtime.map.rmdir()
    runtime.map.symlink_to("/dev/zero")
    assert runtime.names(0x1000) == [UNNAMED]


def test_the_map_of_a_process_that_has_ended_is_still_there(runtime: Runtime) -> None:
    runtime.map.write_text("1000 10 fast\n")
    runtime.end()
    assert runtime.names(0x1000) == [Frame(GENERATED, "fast")]


def test_the_map_of_an_earlier_process_with_its_pid_does_not_count(runtime: Runtime) -> None:
    runtime.map.write_text("1000 10 stale\n")
    runtime.end()
    os.utime(runtime.map, (time.time() - 1000,) * 2)
    assert runtime.names(0x1000) == [UNNAMED]
    assert runtime.names(0x1000, key=generated_by(ProcessId(runtime.process.pid, 1), os.getuid())) == [
        Frame(GENERATED, "stale")
    ]


MAPS_A_DUMP = """
import mmap, os, sys
with open(sys.argv[1], "rb") as dump:
    page = mmap.mmap(dump.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
if len(sys.argv) > 2:
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.close(theirs)
        os.read(ours, 1)
        os._exit(0)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "jit-7.dump"
    path.write_bytes(HEADER + loaded(1, 0x1000, 16, "dumped"))
    return path


@contextmanager
def mapping_process(dump: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has mapped the dump."""
    command = [sys.executable, "-c", MAPS_A_DUMP, str(dump), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("\n")


def key_of(pid: int, user: int | None = None) -> FileKey:
    with open_process(pid) as handle:
        return generated_by(handle.id, os.getuid() if user is None else user)


def test_a_dump_that_is_mapped_is_read_whatever_its_folder(dump: Path) -> None:
    with mapping_process(dump) as process:
        code, key = GeneratedCode(), key_of(process.pid)
        assert code.functions(key, "", (0x1008,)) == [Function(Frame(GENERATED, "dumped"), 0x1000, 0x1009)]
        with dump.open("ab") as stream:
            stream.write(loaded(2, 0x2000, 16, "later"))
        assert code.functions(key, "", (0x2000, 0x3000)) == [
            Function(Frame(GENERATED, "later"), 0x2000, 0x2001),
            Function(UNNAMED, 0x3000, 0x3001),
        ]


def test_the_dump_of_another_user_does_not_count(dump: Path) -> None:
    os.chown(dump, 12345, 12345)
    with mapping_process(dump) as process:
        assert GeneratedCode().functions(key_of(process.pid), "", (0x1008,)) == [
            Function(UNNAMED, 0x1008, 0x1009)
        ]
        found = GeneratedCode().functions(key_of(process.pid, 12345), "", (0x1008,))
        assert found == [Function(Frame(GENERATED, "dumped"), 0x1000, 0x1009)]


def test_a_file_that_is_no_dump_says_nothing(dump: Path) -> None:
    dump.write_bytes(b"no dump at all")
    with mapping_process(dump) as process:
        assert GeneratedCode().functions(key_of(process.pid), "", (0x1008,)) == [
            Function(UNNAMED, 0x1008, 0x1009)
        ]


def test_a_fork_has_the_names_of_its_parent_and_its_own_come_first(dump: Path, tmp_path: Path) -> None:
    unmapped = tmp_path / "other"
    unmapped.write_bytes(b"x")
    with mapping_process(unmapped, "fork") as process:
        child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        maps = [Path(f"/tmp/perf-{pid}.map") for pid in (process.pid, child)]
        maps[0].write_text("1000 10 parents\n2000 10 replaced\n")
        try:
            code, key = GeneratedCode(), key_of(child)
            assert code.functions(key, "", (0x1000,)) == [
                Function(Frame(GENERATED, "parents"), 0x1000, 0x1001)
            ]
            maps[1].write_text("2000 10 own\n")
            found = code.functions(key, "", (0x1000, 0x2000))
            assert [frame.name for frame, _, _ in found] == ["parents", "own"]
        finally:
            for path in maps:
                path.unlink(missing_ok=True)


def test_a_process_that_was_started_has_no_names_of_its_parent(runtime: Runtime) -> None:
    own = Path(f"/tmp/perf-{os.getpid()}.map")
    own.write_text("1000 10 parents\n")
    try:
        assert runtime.names(0x1000) == [UNNAMED]
        seen = generated_by(ProcessId(runtime.key.inode, runtime.key.version[0]), os.getuid(), os.getpid())
        assert runtime.names(0x1000, key=seen) == [Frame(GENERATED, "parents")], "the kernel told of the fork"
    finally:
        own.unlink()


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("JS:*fib /srv/app/x.js:1:13", Frame(GENERATED, "fib", "/srv/app/x.js", 1)),
        ("LazyCompile:~get foo /srv/my app/x.js:20:3", Frame(GENERATED, "get foo", "/srv/my app/x.js", 20)),
        ("JS:^ /srv/x.js:3:1", Frame(GENERATED, "(anonymous)", "/srv/x.js", 3)),
        ("JS:+f file:///srv/x.mjs:3:1", Frame(GENERATED, "f", "/srv/x.mjs", 3)),
        ("JS:*wrapSafe node:internal/modules/cjs/loader:1018:18",
         Frame(GENERATED, "wrapSafe", "node:internal/modules/cjs/loader", 1018)),
        ("Builtin:ArrayPrototypeForEach", Frame(GENERATED, "Builtin:ArrayPrototypeForEach")),
        ("RegExp:a b:1:2", Frame(GENERATED, "RegExp:a b:1:2")),
        ("py::C.method:/srv/x.py", Frame(GENERATED, "C.method", "/srv/x.py")),
        ("py::<module>:<frozen importlib._bootstrap>",
         Frame(GENERATED, "<module>", "<frozen importlib._bootstrap>")),
        ("Ljava/lang/String;::hashCode", Frame(GENERATED, "Ljava/lang/String;::hashCode")),
    ],
)  # fmt: skip
def test_what_runtimes_call_their_functions(name: str, frame: Frame) -> None:
    assert readable(name) == frame
