"""Raw samples for tests, each with keywords for what matters about it."""

from __future__ import annotations

from profiler.capture.records import NO_PROCESS, KnownStack, RawSample, Repeated, StackCopy
from symbolizers.frame import RawFrame
from symbolizers.inspection import FileKey
from symbolizers.process.identity import ProcessId


def told_file(inode: int) -> FileKey:
    """The key of a file that the kernel has told of."""
    return FileKey((8, 1), inode, (0,))


def raw_sample(
    *,
    pid: int = 7,
    tid: int | None = None,
    cpu: int = 0,
    time_ns: int = 0,
    start_ns: int = 1_000_000_000,
    comm: bytes = b"app",
    walk_status: int = 0,
    interpreter: tuple[RawFrame, ...] = (),
    user: tuple[int, ...] = (),
    kernel: tuple[int, ...] = (),
    parent: ProcessId = NO_PROCESS,
    thread_pointer: int = 0,
    thread_comm: bytes = b"",
    uid: int = 0,
    walkers: int = 1,
    user_end: int = 0,
    lacks_table: bool = False,
    stack: bytes = b"",
    cgroup: int = 0,
    copy: StackCopy | None = None,
) -> RawSample:
    """A sample of process `pid`, which started at `start_ns`; of its main thread without a `tid`."""
    return RawSample(
        process=ProcessId.from_start_ns(pid, start_ns),
        tid=pid if tid is None else tid,
        cpu=cpu,
        time_ns=time_ns,
        start_ns=start_ns,
        comm=comm,
        walk_status=walk_status,
        interpreter=interpreter,
        user=user,
        kernel=kernel,
        parent=parent,
        thread_pointer=thread_pointer,
        thread_comm=thread_comm,
        uid=uid,
        walkers=walkers,
        user_end=user_end,
        lacks_table=lacks_table,
        stack=stack,
        cgroup=cgroup,
        copy=copy,
    )


def repeated(sample: RawSample, count: int = 1) -> Repeated:
    """So many more samples that equal this one."""
    return Repeated(kept(sample), ((sample.cpu, sample.time_ns),) * count)


def kept(sample: RawSample) -> KnownStack:
    """What is kept of it."""
    return KnownStack(sample.process, sample.stack, b"", lambda _: sample)
