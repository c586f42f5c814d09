"""Where the compiled sampler comes from, and that the compiler is gone when it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from profiler.capture import cache, sampler
from profiler.capture.header import read_header
from profiler.capture.kernel_objects import number
from profiler.capture.kernel_source import KernelSource
from profiler.capture.loading import Loading
from profiler.capture.program import Part, walker_name
from profiler.capture.records import RawSample
from profiler.capture.sampler import Sampler, cache_key
from profiler.capture.source import Cost, Sampling
from profiler.errors import PrerequisiteError
from symbolizers.registry import LANGUAGES

pytestmark = pytest.mark.live

HZ = 199
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pidflame"
    monkeypatch.setattr(cache, "folder", lambda: folder)
    return folder


@pytest.fixture
def notes() -> list[str]:
    return []


def test_it_is_compiled_once(folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = Sampler(notes.append, use_cache=True)
    assert all(first.begin(part) for part in Part)
    made = {part: first.get(part) for part in Part}
    assert {"on_sample", "on_record", "on_fork", "on_exec", "on_exit"} < made[Part.SAMPLES].programs.keys()
    assert made[Part.WALKERS].programs.keys() == {walker_name(each.name) for each in LANGUAGES}
    assert {"on_count", "on_fresh", "on_symbols"} < made[Part.LATER].programs.keys()
    for part in Part:
        assert made[part].maps.items() <= made[Part.SAMPLES].maps.items()
    assert first.cost().cpu_s > 0.1
    assert first.cost().max_rss_bytes > 50 << 20
    kept = sorted(folder.iterdir())
    assert [file.name.split(".")[:2] for file in kept] == [[cache_key(), part] for part in sorted(Part)]
    with monkeypatch.context() as context:
        context.setattr(sampler, "_COMPILER", "no.compiler")
        again = Sampler(notes.append, use_cache=True)
        assert not any(again.begin(part) for part in Part)
        assert {part: again.get(part) for part in Part} == made
        assert again.cost() == Cost()
    kept[0].write_bytes(kept[0].read_bytes()[:-100])
    third = Sampler(notes.append, use_cache=True)
    assert {part: third.get(part) for part in Part} == made, "what was cut is made again"
    assert 0 < third.cost().cpu_s < first.cost().cpu_s
    assert notes == []


def test_without_a_cache_nothing_is_read_or_kept(
    folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.SAMPLERS, "read", None)
    made = Sampler(notes.append, use_cache=False)
    made.get(Part.WALKERS)
    assert made.cost().cpu_s > 0
    assert not folder.exists()


def test_a_cache_that_others_write_to_costs_the_time_alone(folder: Path, notes: list[str]) -> None:
    folder.mkdir(0o777)
    folder.chmod(0o777)
    made = Sampler(notes.append, use_cache=True)
    assert all(made.get(part).programs for part in Part)
    assert made.cost().cpu_s > 0
    (note,) = notes
    assert note.startswith("the compiled sampler is not kept")
    assert f"{folder} belongs to user {os.geteuid()} and has mode 0777" in note
    assert list(folder.iterdir()) == []


def test_a_compiler_that_fails_says_why(
    folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "_COMPILER", "no.compiler")
    with pytest.raises(PrerequisiteError, match=r"BCC did not compile the sampler .*no\.compiler"):
        Sampler(notes.append, use_cache=True).get(Part.WALKERS)


def test_a_compiler_that_nobody_waits_for_ends(folder: Path, notes: list[str]) -> None:
    unused = Sampler(notes.append, use_cache=True)
    pid = unused.begin(Part.LATER)
    assert pid
    unused.close()
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


def test_other_sources_and_another_bcc_have_other_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {cache_key()}
    source = tmp_path / "source"
    source.write_text("one")
    monkeypatch.setattr(sampler, "_SOURCES", (str(source),))
    keys.add(cache_key())
    source.write_text("another")
    keys.add(cache_key())
    monkeypatch.setattr(sampler, "kernel_build", lambda: b"another kernel")
    keys.add(cache_key())
    assert len(keys) == 4


def test_what_stays_neither_imports_bcc_nor_maps_its_libraries() -> None:
    program = (
        "import sys\n"
        "from profiler.capture.kernel_source import KernelSource\n"
        "from profiler.capture.loading import Loading\n"
        "from profiler.capture.source import Sampling\n"
        "source = KernelSource(Sampling(20), Loading(20, use_cache=False))\n"
        "source.load(); source.start()\n"
        "maps = open('/proc/self/maps').read()\n"
        "print('bcc' in sys.modules, 'libbcc' in maps, 'LLVM' in maps, 'libbpf' in maps)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False False False True\n", "")


def command_line(pid: int) -> list[bytes]:
    """Empty for one that is over and was not waited for."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def left_out(loading: Loading) -> int:
    """The pid of what is not recorded; 0: everything is."""
    settings = read_header("records.h").structs["settings"]
    values = settings.layout.unpack(loading.objects().maps["settings"][number(0)])
    return int(values[settings.fields.index("compiler")])


def test_the_compiler_that_works_meanwhile_is_not_recorded() -> None:
    own = psutil.Process()
    seen: set[int] = set()
    loading = Loading(HZ, use_cache=False)
    with closing(KernelSource(Sampling(HZ), loading)) as source:
        source.load()
        source.start()
        (compiler,) = (each for each in own.children() if b"later" in command_line(each.pid))
        before_s = source.compiler_cost().cpu_s
        source.complete()
        assert left_out(loading) == compiler.pid
        while left_out(loading):  # its pid may be another process's later
            seen |= {each.process.pid for each in source.drain() if isinstance(each, RawSample)}
    assert source.compiler_cost().cpu_s - before_s > 10 / HZ
    assert own.pid in seen
    assert compiler.pid not in seen


def test_a_recording_leaves_no_object_of_the_kernel_open() -> None:
    def descriptors() -> list[str]:
        paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        return sorted(os.readlink(path) for path in paths if os.path.lexists(path))

    before = descriptors()
    source = KernelSource(Sampling(20))
    with closing(source):
        source.load()
        source.start()
        assert len(descriptors()) > len(before) + 10
    source.close()
    assert descriptors() == before
