"""What becomes of a recording where BCC is missing, or the kernel refuses a part of the sampler."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from profiler.capture import bcc_source
from profiler.capture.bcc_source import BccSource, import_bcc
from profiler.capture.header import BPF_DIRECTORY
from profiler.capture.source import Sampling
from profiler.errors import PrerequisiteError
from symbolizers.service import Service
from tests.support.bcc_recorder import Recorder

HZ = 100
SYS_SETRESUID, NOBODY = 117, 65534


class RefusedBpf:
    """BCC on a kernel that takes the programs or not, but never gives the event."""

    PERF_EVENT, RAW_TRACEPOINT = 7, 17
    accepted = True

    def __init__(self, *, text: bytes, cflags: list[str]) -> None:
        assert b"int on_sample(" in text
        assert f"-I{BPF_DIRECTORY}" in cflags
        if not self.accepted:
            raise Exception("Failed to compile BPF module")

    def attach_raw_tracepoint(self, *, tp: str, fn_name: str) -> None:
        assert tp.startswith("sched_process_")


def test_a_kernel_that_refuses_the_program_is_a_prerequisite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RefusedBpf, "accepted", False)
    monkeypatch.setattr(bcc_source, "import_bcc", lambda: SimpleNamespace(BPF=RefusedBpf))
    source = BccSource(Sampling(HZ))
    with pytest.raises(PrerequisiteError, match="CAP_BPF"):
        source.load()
    source.close()


def test_an_event_that_the_kernel_does_not_give_is_a_prerequisite(monkeypatch: pytest.MonkeyPatch) -> None:
    source = BccSource(Sampling(HZ, event="cycles"))
    monkeypatch.setattr(source, "_bpf", RefusedBpf(text=b"int on_sample()", cflags=[f"-I{BPF_DIRECTORY}"]))
    monkeypatch.setattr(source, "_program", SimpleNamespace(fd=-1))
    with pytest.raises(PrerequisiteError, match="cycles needs hardware counters, cpu-clock does not"):
        source.start()


def test_another_module_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PyPI's unrelated package would be found first in the same way."""
    (tmp_path / "bcc.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "bcc", None)  # so that the test's end restores what was there
    del sys.modules["bcc"]
    with pytest.raises(PrerequisiteError, match="python3-bpfcc"):
        import_bcc()


def test_no_module_of_that_name_is_a_prerequisite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcc", None)
    with pytest.raises(PrerequisiteError, match="python3-bpfcc"):
        import_bcc()


@pytest.mark.live
def test_a_walker_that_the_kernel_refuses_costs_the_names_alone() -> None:
    """A thread without the privilege loads it: the kernel itself says no."""
    source = BccSource(Sampling(HZ, targets=(os.getpid(),)))
    inspection = Service(lines=False).inspect(os.getpid(), None)

    def configure_as_nobody() -> None:
        changed = ctypes.CDLL(None).syscall(SYS_SETRESUID, *map(ctypes.c_long, (-1, NOBODY, -1)))
        assert changed == 0
        source.configure(os.getpid(), inspection.process.start_ns(), inspection.interpreters, user=0)

    with closing(source):
        source.load()
        source.start()
        thread = Thread(target=configure_as_nobody)
        thread.start()
        thread.join()
        recorder = Recorder(source)
        recorder.until(lambda: burn() and len(recorder.samples(os.getpid())) >= 5)
        assert not any(sample.interpreter for sample in recorder.samples(os.getpid()))
        assert any(sample.user for sample in recorder.samples(os.getpid()))
        (note,) = source.notes()
        assert note.startswith("this kernel refuses the walker for python")


def burn() -> bool:
    end_s = time.monotonic() + 0.1
    while time.monotonic() < end_s:
        pass
    return True
