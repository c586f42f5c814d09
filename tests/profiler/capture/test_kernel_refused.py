"""What becomes of a recording where BCC is missing, or the kernel refuses a part of the sampler."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from profiler.capture.bcc_package import find_bcc
from profiler.capture.kernel_source import KernelSource
from profiler.capture.loading import Loading
from profiler.capture.program import Part
from profiler.capture.source import Sampling
from profiler.errors import PrerequisiteError
from symbolizers.service import Service
from tests.support.source_recorder import Recorder

HZ = 100
SYS_SETRESUID, NOBODY = 117, 65534


def as_nobody(work: Callable[[], None]) -> list[Exception]:
    """Runs `work` in a thread without the privilege, so that the kernel says no; what it raised."""
    raised: list[Exception] = []

    def run() -> None:
        changed = ctypes.CDLL(None).syscall(SYS_SETRESUID, *map(ctypes.c_long, (-1, NOBODY, -1)))
        assert changed == 0
        try:
            work()
        except Exception as error:
            raised.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return raised


@pytest.mark.live
def test_a_kernel_that_refuses_the_sampler_is_a_prerequisite() -> None:
    with closing(KernelSource(Sampling(HZ))) as source:
        (error,) = as_nobody(source.load)
    assert isinstance(error, PrerequisiteError)
    assert "Operation not permitted" in str(error)
    assert "CAP_BPF" in str(error)


@pytest.mark.live
def test_what_was_refused_in_a_thread_is_said_where_it_is_waited_for() -> None:
    loading = Loading(HZ)
    with closing(KernelSource(Sampling(HZ), loading)) as source:
        assert as_nobody(loading.begin) == []
        with pytest.raises(PrerequisiteError, match="Operation not permitted"):
            source.load()


@pytest.mark.live
@pytest.mark.parametrize("event", ["cpu-clock", "cycles"])
def test_an_event_that_the_kernel_does_not_give_is_a_prerequisite(event: str) -> None:
    with closing(KernelSource(Sampling(HZ, event=event))) as source:
        source.load()
        (error,) = as_nobody(source.start)
    assert isinstance(error, PrerequisiteError)
    assert "cycles needs hardware counters, cpu-clock does not" in str(error)


def test_another_module_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PyPI's unrelated package would be found first in the same way."""
    (tmp_path / "bcc.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bcc", raising=False)
    with pytest.raises(PrerequisiteError, match="is not the BPF Compiler Collection"):
        find_bcc()


def test_no_module_of_that_name_is_a_prerequisite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcc", None)
    with pytest.raises(PrerequisiteError, match="python3-bpfcc"):
        find_bcc()


@pytest.mark.live
def test_a_walker_that_the_kernel_refuses_costs_the_names_alone() -> None:
    loading = Loading(HZ)
    source = KernelSource(Sampling(HZ, targets=(os.getpid(),)), loading)
    inspection = Service(lines=False).inspect(os.getpid(), None)

    def configure() -> None:
        source.configure(os.getpid(), inspection.process.start_ns(), inspection.interpreters, user=0)

    with closing(source):
        source.load()
        loading.wait(Part.WALKERS)
        source.start()
        assert as_nobody(configure) == []
        recorder = Recorder(source)
        recorder.until(lambda: burn() and len(recorder.samples(os.getpid())) >= 5)
        assert not any(sample.interpreter for sample in recorder.samples(os.getpid()))
        assert any(sample.user for sample in recorder.samples(os.getpid()))
        (note,) = source.notes()
        assert note.startswith("the walker for python can't be loaded (")


def burn() -> bool:
    end_s = time.monotonic() + 0.1
    while time.monotonic() < end_s:
        pass
    return True
