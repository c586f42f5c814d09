"""What the worker answers about real processes: maps, interpreters, names; and what it gives back."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from symbolizers import files as files_module
from symbolizers import service as service_module
from symbolizers.errors import Malformed, ProcessGone, Reason, SymbolizeError
from symbolizers.frame import NATIVE, Frame, RawFrame
from symbolizers.inspection import VDSO, CodeMapping, FileKey, Inspection
from symbolizers.process.files import FileUnavailable, FoundFile, found_file
from symbolizers.process.identity import ProcessHandle, ProcessId, start_ticks_of
from symbolizers.process.maps import Mapping
from symbolizers.process.syscalls import inode_generation
from symbolizers.questions import Failed, Inspect, Inspected, LookedInto, LookInto, NameOffsets
from symbolizers.service import Service
from tests.support.process.targets import Target, running


@pytest.fixture
def service() -> Service:
    return Service(lines=False)


@pytest.fixture(scope="module")
def python() -> Iterator[Target]:
    """A CPython process that waits."""
    with running("heap", 1) as target:
        yield target


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    """A process without any interpreter."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"r")
        assert process.stdout.read(1) == b"r"
        yield process.pid
        process.kill()


def own_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def file_of(inspection: Inspection, name: str) -> CodeMapping:
    """The mapping of the file whose base name starts with `name`."""
    (found,) = [each for each in inspection.mappings if os.path.basename(each.path).startswith(name)]
    return found


def key_of(mapping: CodeMapping) -> FileKey:
    assert mapping.file is not None
    return mapping.file


def names(service: Service, file: FileKey, path: str, offsets: Sequence[int]) -> list[Frame]:
    return service.names(NameOffsets(file, path, tuple(offsets)))


def opened_key(path: Path) -> FileKey:
    status = path.stat()
    device = os.major(status.st_dev), os.minor(status.st_dev)
    return FileKey(
        device, status.st_ino, (status.st_size, status.st_mtime_ns, status.st_ctime_ns), status.st_uid
    )


def told_key(path: Path, *, inode: int | None = None, newer: int = 0) -> FileKey:
    status = path.stat()
    with path.open("rb") as file:
        generation = inode_generation(file.fileno())
    assert generation is not None
    device = os.major(status.st_dev), os.minor(status.st_dev)
    return FileKey(device, status.st_ino if inode is None else inode, (generation + newer,))


def test_an_inspection_says_who_what_and_where(service: Service, python: Target) -> None:
    found = service.inspect(python.pid, None)
    assert found.process == ProcessId(python.pid, start_ticks_of(python.pid))
    assert service.inspect(python.pid, found.process.start_ticks) == found
    assert found.notes == ()
    (interpreter,) = found.interpreters
    assert interpreter.language == "python"
    assert interpreter.version == ".".join(map(str, sys.version_info[:3]))
    starts = [mapping.start for mapping in found.mappings]
    assert starts == sorted(starts)
    text = Path(f"/proc/{python.pid}/maps").read_text().splitlines()
    executable = [line.split() for line in text if line.split()[1][2] == "x"]
    assert [f"{each.start:08x}-{each.end:08x}" for each in found.mappings] == [line[0] for line in executable]
    libc = file_of(found, "libc.so")
    (line,) = [line for line in executable if line[-1] == libc.path]
    assert libc.file == opened_key(Path(libc.path))
    assert libc.offset == int(line[2], 16)


def test_memory_without_a_file_has_no_key_and_the_vdso_one_of_its_own(
    service: Service, python: Target
) -> None:
    mappings = service.inspect(python.pid, None).mappings
    (vdso,) = [each for each in mappings if each.path == "[vdso]"]
    assert (vdso.file, vdso.offset) == (VDSO, 0)
    assert all(each.file != VDSO for each in mappings if each is not vdso)


def test_another_process_of_the_same_pid_is_gone(service: Service, python: Target) -> None:
    with pytest.raises(ProcessGone):
        service.inspect(python.pid, start_ticks_of(python.pid) - 1)
    with pytest.raises(ProcessGone):
        service.read(ProcessId(python.pid, 1), [RawFrame(1 << 56, 0, 0)])


def test_a_process_without_an_interpreter_has_nothing_to_read(service: Service, plain: int) -> None:
    found = service.inspect(plain, None)
    assert found.interpreters == ()
    assert file_of(found, "cat").path.endswith("/cat")
    with pytest.raises(ProcessGone, match="no interpreter"):
        service.read(found.process, [RawFrame(1 << 56, 0, 0)])


def test_what_can_be_read_does_not_depend_on_what_was_asked_before(service: Service, python: Target) -> None:
    """A fresh worker gets questions about processes that the one before knew."""
    process = ProcessId(python.pid, start_ticks_of(python.pid))
    forged, unknown, no_kind = service.read(
        process, [RawFrame(1 << 56 | 8, 0, 0), RawFrame(99 << 56, 0, 0), RawFrame(8, 0, 0)]
    )
    assert isinstance(forged, SymbolizeError)
    assert isinstance(unknown, Malformed)
    assert isinstance(no_kind, Malformed)


def test_an_exited_process_is_gone_and_stays_so(service: Service) -> None:
    with running("heap", 1) as target:
        process = service.inspect(target.pid, None).process
        assert service.read(process, []) == []
    for _ in range(2):
        with pytest.raises(ProcessGone):
            service.read(process, [])
    with pytest.raises(ProcessGone):
        service.inspect(process.pid, process.start_ticks)


def test_addresses_of_a_file_have_the_names_of_its_functions(service: Service, plain: int) -> None:
    libc = file_of(service.inspect(plain, None), "libc.so")
    own = file_of(service.inspect(os.getpid(), None), "libc.so")
    assert own.file == libc.file
    address = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    assert address is not None
    offset = address - own.start + own.offset
    frame, unmapped = names(service, key_of(libc), libc.path, [offset, 1 << 40])
    assert (frame.kind, frame.file) == (NATIVE, os.path.basename(libc.path))
    assert frame.name.strip("_") == "getpid"
    assert unmapped.name.startswith("[libc.so")


def test_the_vdso_has_names(service: Service) -> None:
    (frame,) = names(service, VDSO, "[vdso]", [0])
    assert frame.kind == NATIVE
    assert "vdso" in frame.name


def test_inspecting_again_and_forgetting_gives_descriptors_back(service: Service, python: Target) -> None:
    process = service.inspect(python.pid, None).process
    service.forget(process)
    forgotten = own_descriptors()
    service.inspect(python.pid, None)
    known = own_descriptors()
    for _ in range(5):
        service.inspect(python.pid, None)
        service.read(process, [RawFrame(1 << 56 | 8, 0, 0)])
    # A pagemap is open between a read and the next look at the process.
    assert own_descriptors() <= known + 1
    service.forget(process)
    service.forget(process)
    assert own_descriptors() == forgotten


def test_processes_that_are_kept_are_bounded(
    service: Service, python: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_MAX_PROCESSES", 1)
    with running("heap", 1) as other:
        service.inspect(python.pid, None)
        kept = own_descriptors()
        process = service.inspect(other.pid, None).process
        assert own_descriptors() == kept
        assert service.read(process, []) == []
        assert service.read(ProcessId(python.pid, start_ticks_of(python.pid)), []) == []
        assert own_descriptors() == kept


def test_files_are_opened_once_and_their_number_is_bounded(
    service: Service, python: Target, plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class Counted(FoundFile):
        def open(self) -> int:
            opened.append(os.readlink(f"/proc/self/fd/{self.path_fd}"))
            return super().open()

    @contextmanager
    def counting(handle: ProcessHandle, mapping: Mapping) -> Iterator[FoundFile]:
        with found_file(handle, mapping) as found:
            yield Counted(*found)

    monkeypatch.setattr(files_module, "found_file", counting)
    service.inspect(python.pid, None)
    service.inspect(plain, None)
    service.inspect(python.pid, None)
    assert len(opened) == len(set(opened))
    assert any("libc.so" in path for path in opened)

    monkeypatch.setattr(files_module, "_MAX_FILES", 2)
    few = Service(lines=False)
    before = own_descriptors()
    few.inspect(plain, None)
    few.inspect(plain, None)
    assert own_descriptors() <= before + 2


def test_a_file_that_cannot_be_had_leaves_its_addresses_and_the_rest(
    service: Service, python: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refusing(handle: ProcessHandle, mapping: Mapping) -> Iterator[FoundFile]:
        if "libc.so" in mapping.path:
            raise FileUnavailable("a dead mount")
        with found_file(handle, mapping) as found:
            yield found

    monkeypatch.setattr(files_module, "found_file", refusing)
    found = service.inspect(python.pid, None)
    libc = file_of(found, "libc.so")
    assert [each.language for each in found.interpreters] == ["python"]
    assert libc.file is None


def test_an_executable_mapping_of_something_else_is_no_program(service: Service, tmp_path: Path) -> None:
    text = tmp_path / "poem.txt"
    text.write_text("no program\n" * 1000)
    program = (
        "import mmap, sys; file = open(sys.argv[1], 'r+b');"
        "kept = mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC);"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(text)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        found = service.inspect(process.pid, None)
        assert [each.language for each in found.interpreters] == ["python"]
        with pytest.raises(Malformed):
            names(service, key_of(file_of(found, "poem.txt")), str(text), [0])
        process.kill()


def test_a_fresh_worker_finds_the_files_of_the_one_before(service: Service, plain: int) -> None:
    libc = file_of(service.inspect(plain, None), "libc.so")
    offsets = [libc.offset + step * 1000 for step in range(100)]
    expected = names(service, key_of(libc), libc.path, offsets)
    fresh = Service(lines=False)
    assert names(fresh, key_of(libc), libc.path, offsets) == expected
    assert names(fresh, key_of(libc), libc.path, offsets) == expected


def test_a_file_that_took_the_name_of_another_is_not_taken_for_it(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(Path("/bin/cat").read_bytes())
    for key in (opened_key(path), told_key(path)):
        (major, minor), inode, version, owner = key
        elsewhere = FileKey((major, minor + 1), inode, version, owner)
        later = FileKey((major, minor), inode, (version[0] + 1, *version[1:]), owner)
        for wrong in (key._replace(inode=inode + 1), elsewhere, later):
            with pytest.raises(ProcessGone):
                names(service, wrong, str(path), [0])
        fresh = Service(lines=False)
        with pytest.raises(ProcessGone):
            names(fresh, key, str(tmp_path / "missing"), [0])
        assert names(fresh, key, str(path), [0])


def test_a_file_is_found_in_the_process_that_maps_it_where_it_has_no_name_here(tmp_path: Path) -> None:
    path = tmp_path / "sleeper"
    path.write_bytes(Path("/bin/sleep").read_bytes())
    path.chmod(0o755)
    with subprocess.Popen([path, "30"]) as process:
        while str(path) not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.001)
        path.unlink()
        mapping = file_of(Service(lines=False).inspect(process.pid, None), "sleeper")
        fresh = Service(lines=False)
        with pytest.raises(ProcessGone):
            names(fresh, key_of(mapping), mapping.path, [0])
        question = NameOffsets(key_of(mapping), mapping.path, (0,), process.pid)
        (frame,) = fresh.names(question)
        assert "sleeper" in frame.name
        process.kill()


@contextmanager
def mapped(path: Path) -> Iterator[int]:
    """The pid of a process that maps the file at `path` as code."""
    program = "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=5); print()"
    command = [sys.executable, "-c", f"{program}; sys.stdout.flush(); sys.stdin.read()", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process.pid
        process.kill()


def test_a_file_with_the_inode_of_one_that_was_nothing_is_looked_into(
    service: Service, tmp_path: Path
) -> None:
    """The number of a deleted file goes to the next one on ext4, whoever makes it."""
    first, second = tmp_path / "nothing.so", tmp_path / "library.so"
    first.write_text("no ELF file")
    with mapped(first) as pid:
        assert file_of(service.inspect(pid, None), "nothing").file is not None
    inode = first.stat().st_ino
    first.unlink()
    second.write_bytes(Path(sys.executable).resolve().read_bytes())
    assert second.stat().st_ino == inode, "this file system uses no number again at once"
    with mapped(second) as pid:
        found = service.inspect(pid, None)
        assert told_key(second) in {each.file for each in found.files}


def test_a_file_that_changes_in_its_place_is_looked_into_again(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_text("no ELF file")
    with mapped(path) as pid:
        before = file_of(service.inspect(pid, None), "library").file
    path.write_bytes(Path(sys.executable).resolve().read_bytes())
    with mapped(path) as pid:
        found = service.inspect(pid, None)
        assert file_of(found, "library").file != before
        assert told_key(path) in {each.file for each in found.files}


def test_a_file_that_nobody_maps_any_more_is_known_as_where_it_is_mapped(
    service: Service, python: Target
) -> None:
    found = service.inspect(python.pid, None)
    by_file = {each.file: each for each in found.files}
    told = {each.path: told_key(Path(each.path)) for each in found.mappings if each.file not in (None, VDSO)}
    assert by_file.keys() == set(told.values())
    fresh = Service(lines=False)
    interpreters = []
    for mapping in found.mappings:
        if mapping.path in told:
            key = told[mapping.path]
            answer = fresh.answer(LookInto(key, mapping.path))
            assert answer == LookedInto(by_file[key])
            bias = mapping.start - mapping.offset - answer.contents.code_distance
            interpreters += [each.moved(bias) for each in answer.contents.interpreters]
    assert tuple(interpreters) == found.interpreters


def test_a_file_that_is_not_where_one_process_had_it_can_be_had_of_another(
    service: Service, plain: int, tmp_path: Path
) -> None:
    libc = file_of(service.inspect(plain, None), "libc")
    another = tmp_path / "another"
    another.write_bytes(b"of another inode")
    fresh = Service(lines=False)
    with pytest.raises(ProcessGone):
        names(fresh, key_of(libc), str(another), [0])
    assert names(fresh, key_of(libc), libc.path, [0])


def test_an_error_of_our_own_costs_one_question_and_is_said_once(
    service: Service, plain: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_handle: ProcessHandle, *, executable_only: bool) -> tuple[Mapping, ...]:
        raise struct.error(f"argument out of range ({executable_only=})")

    with monkeypatch.context() as patched:
        patched.setattr(service_module, "read_mappings", broken)
        before = own_descriptors()
        for _ in range(3):
            answer = service.answer(Inspect(plain))
            assert isinstance(answer, Failed)
            assert (answer.reason, "argument out of range" in answer.detail) == (Reason.UNSUPPORTED, True)
        assert own_descriptors() == before
    assert capfd.readouterr().err.count("Traceback") == 1
    assert isinstance(service.answer(Inspect(plain)), Inspected)


def test_a_pipe_under_the_name_of_a_file_is_not_opened(service: Service, tmp_path: Path) -> None:
    pipe = tmp_path / "library.so"
    os.mkfifo(pipe)
    with pytest.raises(ProcessGone):
        names(service, FileKey((1, 2), pipe.stat().st_ino, (0,)), str(pipe), [0])
