"""What the worker answers about real processes: maps, interpreters, names; and what it gives back."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from symbolizers import service as service_module
from symbolizers.errors import Malformed, ProcessGone, Reason, SymbolizeError
from symbolizers.frame import NATIVE, CodeObject, RawFrame
from symbolizers.inspection import MOST_MAPPINGS, VDSO
from symbolizers.process.identity import ProcessHandle, ProcessId, start_ticks_of
from symbolizers.process.maps import Mapping
from symbolizers.process.messages import MAX_MESSAGE_BYTES
from symbolizers.python.code import MAX_FILE_CHARACTERS, MAX_NAME_CHARACTERS
from symbolizers.questions import Codes, Failed, Inspect, Inspected, ReadCodes, ReadGenerated, encode
from symbolizers.service import Service
from tests.support.file_keys import file_of, key_of, names, opened_key, own_descriptors
from tests.support.process.targets import Target, running


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


def test_of_many_mappings_those_of_files_are_told(service: Service) -> None:
    program = (
        "import mmap, sys;"
        "kept = [mmap.mmap(-1, 4096, prot=prot) for _ in range(6000) for prot in (5, 1)];"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowded:
        assert crowded.stdout is not None
        crowded.stdout.readline()
        found = service.inspect(crowded.pid, None)
        crowded.communicate(b"")
    assert len(found.mappings) == MOST_MAPPINGS
    assert [each.start for each in found.mappings] == sorted(each.start for each in found.mappings)
    assert file_of(found, "libc.so").file is not None
    assert any("some of it has no names" in note for note in found.notes)


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


def test_who_generates_code_without_a_description_has_no_table(service: Service, python: Target) -> None:
    process = service.inspect(python.pid, None).process
    with pytest.raises(SymbolizeError, match="no runtime"):
        service.generated_chunks(ReadGenerated(process, 0))


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


def test_an_answer_of_the_longest_names_fits_into_a_message(
    service: Service, python: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = CodeObject("python", "\U0001f600" * MAX_NAME_CHARACTERS, "\U0001f600" * MAX_FILE_CHARACTERS, 1)
    frames = (RawFrame(1 << 56, 0, 0),) * 128
    monkeypatch.setattr(service, "read", lambda _process, frames: [longest] * len(frames))
    process = service.inspect(python.pid, None).process
    answer = service.answer(ReadCodes(process, frames))
    assert isinstance(answer, Codes)
    assert 0 < len(answer.found) < len(frames)
    assert len(encode(answer)) < MAX_MESSAGE_BYTES
