"""Files and mappings by their keys, for tests of what the worker knows of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from symbolizers.frame import Frame
from symbolizers.inspection import CodeMapping, FileKey, Inspection
from symbolizers.process.syscalls import inode_generation
from symbolizers.questions import NameOffsets
from symbolizers.service import Service


def own_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def file_of(inspection: Inspection, name: str) -> CodeMapping:
    """The mapping of the file whose base name starts with `name`."""
    (found,) = [each for each in inspection.mappings if os.path.basename(each.path).startswith(name)]
    return found


def key_of(mapping: CodeMapping) -> FileKey:
    """Of a mapping of a file."""
    assert mapping.file is not None
    return mapping.file


def names(service: Service, file: FileKey, path: str, offsets: Sequence[int]) -> list[Frame]:
    """What the service calls them, without a process that maps the file."""
    return [frame for frame, _, _ in service.names(NameOffsets(file, path, tuple(offsets))).functions]


def opened_key(path: Path) -> FileKey:
    """The key of the file at `path` as the worker has it, once opened."""
    status = path.stat()
    device = os.major(status.st_dev), os.minor(status.st_dev)
    return FileKey(
        device, status.st_ino, (status.st_size, status.st_mtime_ns, status.st_ctime_ns), status.st_uid
    )


def told_key(path: Path) -> FileKey:
    """The key of the file at `path` as the kernel tells of it, where the file system has generations."""
    status = path.stat()
    with path.open("rb") as file:
        generation = inode_generation(file.fileno())
    assert generation is not None
    device = os.major(status.st_dev), os.minor(status.st_dev)
    return FileKey(device, status.st_ino, (generation,))
