"""The files that processes map: which of them is which, opened once, and named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from symbolizers import files as files_module
from symbolizers import service as service_module
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed, ProcessGone
from symbolizers.inspection import CHUNK_BYTES, VDSO, FileKey, IdentifiedFile
from symbolizers.process.files import FileUnavailable, FoundFile, found_file
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import Mapping, read_mappings
from symbolizers.questions import (
    Failed,
    Identified,
    IdentifyFiles,
    LookedInto,
    LookInto,
    MappedFile,
    NameOffsets,
    ReadUnwinding,
)
from symbolizers.service import Service
from tests.support.file_keys import file_of, key_of, names, opened_key, own_descriptors, told_key
from tests.support.process.targets import Target


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
        ((frame, _, _),) = fresh.names(question).functions
        assert "sleeper" in frame.name
        process.kill()


PID_LIMIT = 1 << 22


@pytest.mark.root
def test_a_file_that_the_kernel_told_of_is_found_in_another_mount_namespace(tmp_path: Path) -> None:
    """A tmpfs has no generations: only what did not change since the worker began is the same for sure."""
    place = tmp_path / "mounted"
    place.mkdir()
    before = Service(lines=False)
    script = 'mount -t tmpfs none "$1"; cp /bin/sleep "$1/sleeper"; exec "$1/sleeper" 30'
    with subprocess.Popen(["unshare", "--mount", "sh", "-ec", script, "sh", place]) as process:
        while str(place) not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.001)
        fresh = Service(lines=False)
        mapping = next(
            each for each in read_mappings(open_process(process.pid)) if each.path.endswith("/sleeper")
        )
        told = FileKey(mapping.device, mapping.inode, (123,))
        for service, pid in ((fresh, None), (fresh, os.getpid()), (before, process.pid)):
            answer = service.answer(LookInto(told, mapping.path, pid))
            assert isinstance(answer, Failed), answer
        for wrong in (told._replace(inode=told.inode + 1), told._replace(device=(0, 1))):
            assert isinstance(fresh.answer(LookInto(wrong, mapping.path, process.pid)), Failed)
        for service, pids in ((fresh, (process.pid,)), (Service(lines=False), (PID_LIMIT - 1, process.pid))):
            answer = service.answer(LookInto(told, mapping.path, *pids))
            assert isinstance(answer, LookedInto), answer
            assert (answer.contents.file, answer.key.inode) == (told, told.inode)
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
        program = file_of(found, "library").file
        assert program != before
        assert told_key(path) in {each.file for each in found.files}
    path.write_bytes(Path("/bin/cat").read_bytes())
    with mapped(path) as pid:
        found = service.inspect(pid, None)
        assert file_of(found, "library").file not in (before, program)


def test_a_file_that_is_known_is_not_looked_for_again(
    service: Service, python: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = service.inspect(python.pid, None)

    def found_again(_handle: ProcessHandle, mapping: Mapping) -> None:
        raise AssertionError(mapping.path)

    with monkeypatch.context() as patched:
        patched.setattr(files_module, "found_file", found_again)
        assert service.inspect(python.pid, None) == before


def test_where_inodes_have_no_generation_each_mapping_is_looked_at(
    python: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files can have one number there: over NFS, when the first is gone from the server."""
    looked: list[str] = []

    @contextmanager
    def noting(handle: ProcessHandle, mapping: Mapping) -> Iterator[FoundFile]:
        looked.append(mapping.path)
        with found_file(handle, mapping) as found:
            yield found

    monkeypatch.setattr(files_module, "inode_generation", lambda _fd: None)
    monkeypatch.setattr(files_module, "found_file", noting)
    service = Service(lines=False)
    before = service.inspect(python.pid, None)
    once = [*looked]
    assert service.inspect(python.pid, None) == before
    assert looked == once * 2


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
            assert isinstance(answer, LookedInto)
            assert answer.contents == by_file[key]
            assert service.answer(IdentifyFiles((MappedFile(key, mapping.path),), python.pid)) == Identified(
                (IdentifiedFile(answer.key, answer.contents.owner),)
            )
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


def test_a_pipe_under_the_name_of_a_file_is_not_opened(service: Service, tmp_path: Path) -> None:
    pipe = tmp_path / "library.so"
    os.mkfifo(pipe)
    with pytest.raises(ProcessGone):
        names(service, FileKey((1, 2), pipe.stat().st_ino, (0,)), str(pipe), [0])


def test_a_table_is_made_once_for_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the parts of others are asked for in between."""
    made: list[ElfFile] = []
    monkeypatch.setattr(service_module, "_MOST_TABLE_BYTES", CHUNK_BYTES)
    monkeypatch.setattr(files_module, "make_chunks", lambda elf: made.append(elf) or bytes(3 * CHUNK_BYTES))
    service = Service(lines=False)
    paths = [Path(os.path.realpath(f"/lib/x86_64-linux-gnu/{name}")) for name in ("libc.so.6", "libm.so.6")]
    for first in range(3):
        for path in paths:
            answer = service.unwind_chunks(ReadUnwinding(opened_key(path), str(path), first))
            assert (answer.total, len(answer.chunks)) == (3, CHUNK_BYTES)
    assert len(made) == 2
    service.unwind_chunks(ReadUnwinding(opened_key(paths[0]), str(paths[0]), 0))
    assert len(made) == 3, "what has gone out is not kept"
