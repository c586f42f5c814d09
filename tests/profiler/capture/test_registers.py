"""The registers of user code, where the kernel is interrupted: they tell whether it keeps a frame pointer."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from profiler.capture.kernel_source import KernelSource
from profiler.capture.source import Sampling
from tests.support.elf_programs import build
from tests.support.source_recorder import Recorder

pytestmark = pytest.mark.live

IN_THE_KERNEL = r"""
#include <fcntl.h>
#include <stdio.h>

static char space[1 << 20];

/* A frame for a frame pointer to point at, if this were one: it is not on the stack. */
struct { void *frame; void *return_address; } elsewhere = {NULL, space};

/* read() by hand, with something else in the register that may hold a frame pointer. */
__attribute__((naked, noinline)) static long fill(int file, char *buffer, long size)
{
    __asm__("push %rbp; lea elsewhere(%rip), %rbp; xor %eax, %eax; syscall; mark: pop %rbp; ret");
}

extern char mark[];

int main(void)
{
    int zeros = open("/dev/zero", O_RDONLY);
    printf("%p\n", (void *)mark);
    fflush(stdout);
    while (fill(zeros, space, sizeof(space)) > 0)
        ;
    return 0;
}
"""


def test_code_without_a_frame_pointer_is_one_address_in_a_system_call_too(tmp_path: Path) -> None:
    program = build(tmp_path, "in_the_kernel", source=IN_THE_KERNEL)
    with (
        subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as target,
        closing(KernelSource(Sampling(100, targets=(target.pid,), with_children=False))) as source,
    ):
        try:
            assert target.stdout is not None
            mark = int(target.stdout.readline(), 16)
            source.load()
            source.start()
            recorder = Recorder(source)
            recorder.until(lambda: len(recorder.samples(target.pid)) >= 30)
        finally:
            target.kill()
    inside = [sample for sample in recorder.samples(target.pid) if sample.kernel]
    assert len(inside) >= 20
    assert {sample.user for sample in inside} == {(mark,)}
