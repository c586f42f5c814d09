"""Bytes of the ring buffer to value types. Pure; the layout comes from profiler/bpf/records.h."""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import cast

from profiler.capture.header import read_header
from profiler.capture.records import CodeName, ProcessEvent, RawSample, StackCopy
from symbolizers.frame import RawFrame
from symbolizers.process.identity import ProcessId
from symbolizers.taken import TakenName

_RECORDS = read_header("records.h")
_HEAD = _RECORDS.structs["sample_head"]
_FRAME = _RECORDS.structs["interpreter_frame"]
_NAME = _RECORDS.structs["name_head"]
_TEXTS = tuple(f"texts[{number}].bytes" for number in range(_RECORDS.defines["MAX_TEXTS"]))
_TEXT_LEFT = _RECORDS.defines["TEXT_LEFT"]
_EVENT = _RECORDS.structs["process_event"]
_TYPES = _RECORDS.enums["record_type"]
_SAMPLE, _EXEC, _EXIT = _TYPES["RECORD_SAMPLE"], _TYPES["RECORD_EXEC"], _TYPES["RECORD_EXIT"]
_CODE_NAME, _COPY = _TYPES["RECORD_NAME"], _TYPES["RECORD_COPY"]
_COPY_HEAD = _RECORDS.structs["copy_head"].layout
_make_frame = cast("Callable[[tuple[int, ...]], RawFrame]", partial(tuple.__new__, RawFrame))
"""As `RawFrame._make`, but in a third of the time: it is the innermost loop of all decoding."""
_REPEAT = struct.Struct(_RECORDS.structs["repeat"].layout.format.removesuffix("QQ") + "16s")
"""With the hash in one piece."""
_STACK = struct.Struct("<2Q")
_STACK_AT = _HEAD.layout.size - _STACK.size
_NO_STACK = bytes(_STACK.size)
REPEAT_TYPE = struct.pack("<I", _TYPES["RECORD_REPEAT"])
"""With this begins a record that refers to an earlier one."""
_TYPE = struct.Struct("<I")


class WalkStatus(IntEnum):
    """How the walk over an interpreter's frames ended; mirrors ``enum walk_status``."""

    COMPLETE = 0
    TRUNCATED = 1
    FAULT = 2
    TORN = 3
    ROOT_FAULT = 4


class UserEnd(IntEnum):
    """How the stack of user addresses ended; mirrors ``enum user_end``."""

    ROOT = 0
    DEEP = 1
    FAULT = 2
    LOST = 3


class WireError(ValueError):
    """A record does not match records.h: the kernel side and this one were not built together."""


def decode(record: bytes) -> RawSample | StackCopy | CodeName | ProcessEvent:
    """The value in one `record` that refers to no other. Raises `WireError`."""
    try:
        (kind,) = _TYPE.unpack_from(record)
        if kind == _SAMPLE:
            return _sample(record)
        if kind == _COPY:
            return _stack_copy(record)
        if kind == _CODE_NAME:
            return _code_name(record)
        if kind in (_EXEC, _EXIT):
            _, pid, time_ns, start_ns, uid, _ = _EVENT.layout.unpack_from(record)
            process = ProcessId.from_start_ns(pid, start_ns)
            return ProcessEvent(process, time_ns, start_ns, kind == _EXIT, uid)
    except struct.error as error:
        raise WireError(f"record of {len(record)} bytes: {error}") from None
    raise WireError(f"record type {kind}")


def decode_repeat(record: bytes) -> tuple[int, int, bytes]:
    """Of a sample that refers to an earlier one: CPU, time and the stack's hash. Raises `WireError`."""
    try:
        _, cpu, time_ns, stack = _REPEAT.unpack(record)
    except struct.error as error:
        raise WireError(f"record of {len(record)} bytes: {error}") from None
    return cpu, time_ns, stack


def _sample(record: bytes) -> RawSample:
    head = dict(zip(_HEAD.fields, _HEAD.layout.unpack_from(record), strict=True))
    user_count, kernel_count = head["user_frames"], head["kernel_frames"]
    frames_at = _HEAD.layout.size
    user_at = frames_at + head["interpreter_frames"] * _FRAME.layout.size
    kernel_at = user_at + user_count * 8
    if kernel_at + kernel_count * 8 > len(record):
        raise WireError(f"sample of {len(record)} bytes claims more frames than it holds")
    return RawSample(
        process=ProcessId.from_start_ns(head["pid"], head["start_ns"]),
        tid=head["tid"],
        cpu=head["cpu"],
        time_ns=head["time_ns"],
        start_ns=head["start_ns"],
        comm=head["comm"].split(b"\0", 1)[0],
        walk_status=head["walk_status"],
        interpreter=tuple(map(_make_frame, _FRAME.layout.iter_unpack(record[frames_at:user_at]))),
        user=struct.unpack_from(f"<{user_count}Q", record, user_at),
        kernel=struct.unpack_from(f"<{kernel_count}Q", record, kernel_at),
        parent=ProcessId.from_start_ns(head["parent_pid"], head["parent_start_ns"]),
        thread_pointer=head["thread_pointer"],
        thread_comm=head["thread_comm"].split(b"\0", 1)[0],
        uid=head["uid"],
        walkers=head["walkers"],
        user_end=head["user_end"],
        lacks_table=bool(head["lacks_table"]),
        cgroup=head["cgroup"],
        stack=b"" if record[_STACK_AT:frames_at] == _NO_STACK else record[_STACK_AT:frames_at],
    )


def _stack_copy(record: bytes) -> StackCopy:
    _, cpu, time_ns, ip, sp, fp, argument, is_exact, frames = _COPY_HEAD.unpack_from(record)
    return StackCopy(
        cpu=cpu,
        time_ns=time_ns,
        ip=ip,
        sp=sp,
        fp=fp,
        argument=argument,
        is_exact=bool(is_exact),
        frames=frames,
        content=record[_COPY_HEAD.size :],
    )


def _code_name(record: bytes) -> CodeName:
    head = dict(zip(_NAME.fields, _NAME.layout.unpack_from(record), strict=True))
    texts: list[bytes | None] = []
    at = _NAME.layout.size
    for field in _TEXTS:
        size = head[field]
        if size == _TEXT_LEFT:
            texts.append(None)
            continue
        if at + size > len(record):
            raise WireError(f"name of {len(record)} bytes claims longer texts than it holds")
        texts.append(record[at : at + size])
        at += size
    return CodeName(
        process=ProcessId.from_start_ns(head["pid"], head["start_ns"]),
        start_ns=head["start_ns"],
        name=TakenName(head["address"], head["checksum"], head["first_line"], head["details"], tuple(texts)),
        parent=ProcessId.from_start_ns(head["parent_pid"], head["parent_start_ns"]),
        uid=head["uid"],
    )
