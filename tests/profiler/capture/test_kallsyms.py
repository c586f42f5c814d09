"""What BCC reads when it compiles the sampler, and as whom."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from profiler.capture import compiler
from profiler.capture.compiler import compile_here
from profiler.capture.kallsyms import without_kallsyms
from profiler.capture.program import program_text
from symbolizers.registry import LANGUAGES

SYMBOL_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_void_p)


def in_a_thread(work: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def credentials(task: str) -> dict[str, str]:
    lines = Path(f"/proc/{task}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {name: fields[name] for name in ("Uid", "CapEff", "CapPrm")}


@pytest.mark.root
def test_one_thread_is_nobody_with_its_capabilities_and_root_again_after() -> None:
    before = credentials("self")

    def inside() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        with without_kallsyms():
            here, others = credentials("thread-self"), credentials("self")
        return here, others, credentials("thread-self")

    here, others, after = in_a_thread(inside)
    assert here == {**before, "Uid": "0\t65534\t0\t65534"}
    assert others == before
    assert after == before


def bytes_read_to_compile() -> int:
    """Bytes of files that this thread has read; it must do nothing else."""
    compile_here(program_text(LANGUAGES))
    io = Path("/proc/thread-self/io").read_text().splitlines()
    return int(io[0].removeprefix("rchar: "))


def looks_only_as_root() -> bool:
    """Whether the machine's libbcc reads the kernel's symbols as root alone: 0.26 does so, 0.31 does not."""
    each_symbol = ctypes.CDLL("libbcc.so.0").bcc_procutils_each_ksym

    def inside() -> int:
        with without_kallsyms():
            result: int = each_symbol(SYMBOL_CALLBACK(lambda *_: None), None)
            return result

    return bool(in_a_thread(inside) == -1)


@pytest.mark.root
def test_the_kernels_symbols_are_not_read_to_compile_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/proc/kallsyms", "rb") as file:
        symbols_bytes = len(file.read())
    in_a_thread(bytes_read_to_compile)  # imports modules
    without = in_a_thread(bytes_read_to_compile)
    monkeypatch.setattr(compiler, "without_kallsyms", nullcontext)
    saved = in_a_thread(bytes_read_to_compile) - without
    if looks_only_as_root():
        assert saved > 0.9 * symbols_bytes
    else:  # then it costs time, and nothing else
        assert abs(saved) < 0.1 * symbols_bytes < 0.1 * without
