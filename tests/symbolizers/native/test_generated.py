"""Whose map of generated code counts, and how its names read."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from symbolizers.frame import GENERATED, NATIVE, Frame
from symbolizers.inspection import FileKey, generated_by
from symbolizers.native.generated import GeneratedCode, readable
from symbolizers.process.identity import ProcessId, open_process

UNNAMED = Frame(NATIVE, "[jit]")


class Runtime:
    """A process that generates code, and its map."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "60"])
        with open_process(self.process.pid) as handle:
            self.key = generated_by(handle.id, os.getuid())
        self.map = Path(f"/tmp/perf-{self.process.pid}.map")

    def names(self, *addresses: int, key: FileKey | None = None) -> list[Frame]:
        return [frame for frame, _ in GeneratedCode().functions(key or self.key, "", addresses)]

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
    assert found == [(UNNAMED, 0x1000), (UNNAMED, 0x2000)]


def test_functions_have_their_names_and_starts(runtime: Runtime) -> None:
    runtime.map.write_text("1000 10 fast\n")
    found = GeneratedCode().functions(runtime.key, "", (0x1008, 0x2000))
    assert found == [(Frame(GENERATED, "fast"), 0x1000), (UNNAMED, 0x2000)]


def test_a_map_is_found_when_it_comes_later_and_is_read_on(runtime: Runtime) -> None:
    code = GeneratedCode()
    assert code.functions(runtime.key, "", (0x1000,)) == [(UNNAMED, 0x1000)]
    for number in range(3):
        with runtime.map.open("a") as stream:
            stream.write(f"1000 10 f{number}\n")
        assert code.functions(runtime.key, "", (0x1000,)) == [(Frame(GENERATED, f"f{number}"), 0x1000)]


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
