"""Records as the kernel side lays them out."""

from __future__ import annotations

import struct

from profiler.capture.header import read_header
from profiler.capture.records import CodeName, ProcessEvent, RawSample, StackCopy

_HEADER = read_header("records.h")
_HEAD = _HEADER.structs["sample_head"].layout
_FRAME = _HEADER.structs["interpreter_frame"].layout
_EVENT = _HEADER.structs["process_event"].layout
_NAME = _HEADER.structs["name_head"].layout
_REPEAT = _HEADER.structs["repeat"].layout
_COPY = _HEADER.structs["copy_head"].layout
_TYPES = _HEADER.enums["record_type"]


def encoded(record: RawSample | StackCopy | CodeName | ProcessEvent) -> bytes:
    """The bytes of a record as the kernel side lays them out."""
    if isinstance(record, CodeName):
        name, parent = record.name, record.parent
        sizes = (_HEADER.defines["TEXT_LEFT"] if text is None else len(text) for text in name.texts)
        ids = (_TYPES["RECORD_NAME"], record.process.pid, record.start_ns, parent.start_ns(), name.address)
        head = _NAME.pack(
            *ids, name.checksum, parent.pid, name.first_line, name.details, record.uid, 0, *sizes
        )
        return head + b"".join(text or b"" for text in name.texts)
    if isinstance(record, StackCopy):
        registers = (record.ip, record.sp, record.fp, record.argument)
        ids = (_TYPES["RECORD_COPY"], record.cpu, record.time_ns)
        return _COPY.pack(*ids, *registers, record.is_exact, record.frames) + record.content
    if isinstance(record, ProcessEvent):
        kind = _TYPES["RECORD_EXIT" if record.exited else "RECORD_EXEC"]
        return _EVENT.pack(kind, record.process.pid, record.time_ns, record.start_ns, record.uid, 0)
    counts = (len(record.interpreter), len(record.user), len(record.kernel))
    ids = (record.cpu, record.process.pid, record.tid, record.time_ns, record.start_ns)
    ids = (*ids, record.parent.start_ns(), record.thread_pointer)
    rest = (record.comm, record.thread_comm, record.parent.pid, record.uid, *counts, record.user_end)
    rest = (
        *rest,
        record.walk_status,
        record.walkers,
        record.lacks_table,
        0,
        record.cgroup,
        *struct.unpack("<2Q", record.stack or bytes(16)),
    )
    head = _HEAD.pack(_TYPES["RECORD_SAMPLE"], *ids, *rest)
    frames = b"".join(_FRAME.pack(*frame) for frame in record.interpreter)
    return head + frames + b"".join(each.to_bytes(8, "little") for each in (*record.user, *record.kernel))


def encoded_repeat(stack: bytes, *, time_ns: int = 0, cpu: int = 0) -> bytes:
    """The short record of a sample with this stack."""
    return _REPEAT.pack(_TYPES["RECORD_REPEAT"], cpu, time_ns, *struct.unpack("<2Q", stack))
