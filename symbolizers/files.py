"""The files that targets have mapped: each opened once, recognised once, and named from its symbols.

Every method touches files of targets and so may wait: only the worker calls them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from symbolizers.base import Language, RuntimeFile
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed, Malformed, UnsupportedVersion
from symbolizers.frame import Frame
from symbolizers.inspection import VDSO, FileContents, FileKey, Unsupported
from symbolizers.native.symbols import NativeSymbols, vdso_symbols
from symbolizers.native.unnamed import VDSO_PATH, mapping_frame, module_name
from symbolizers.process.files import FileUnavailable, mapped_as, open_mapping
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import Mapping
from symbolizers.process.prefetch import FilePart

_MAX_FILES = 4096


@dataclass(slots=True)
class OpenFile:
    """An opened file of a target. Lifetime: the file; the descriptor stays open for its symbols."""

    key: FileKey
    fd: int
    elf: ElfFile
    path: str
    runtimes: tuple[tuple[Language, RuntimeFile], ...]
    """The interpreters in it."""
    notes: tuple[str, ...]
    unsupported: tuple[Unsupported, ...]
    symbols: NativeSymbols | None = None

    def parts(self, bias: int) -> Iterator[FilePart]:
        """The parts of the file, each with its place in a process that maps it at load bias `bias`."""
        for each in self.elf.segments:
            start = each.address + bias
            yield FilePart(start, start + each.file_size, self.fd, each.offset)

    def contents(self) -> FileContents:
        """What it holds, in whichever process it is mapped."""
        interpreters = tuple(runtime.attach(0) for _, runtime in self.runtimes)
        return FileContents(self.key, self.elf.code_distance(), interpreters, self.notes)

    def name(self, offset: int) -> Frame:
        """The symbol at `offset` (bytes) of the file."""
        if self.symbols is None:
            self.symbols = NativeSymbols(self.elf, module_name(self.path))
        try:
            return self.symbols.name(self.elf.address_of_offset(offset))
        except Malformed:  # mapped beyond what the file says about itself
            return mapping_frame(self.path, offset)


class OpenFiles:
    """A cache of opened files, by identity. Lifetime: the worker process."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._languages = languages
        self._files: dict[FileKey, OpenFile | None] = {}
        self._vdso: NativeSymbols | None = None

    def find(self, handle: ProcessHandle, mapping: Mapping) -> OpenFile | None:
        """The file behind `mapping`, opened at most once; None for memory and for what can't be read.

        That one process has no such file there (any more) says nothing of the next.
        """
        key = file_key(mapping)
        if key is None or key == VDSO:
            return None
        if key not in self._files:
            try:
                fd = open_mapping(handle, mapping)
            except (FileUnavailable, Changed):
                return None
            self._keep(key, fd, mapping.path)
        return self._files[key]

    def names(self, file: FileKey, path: str, offsets: Sequence[int]) -> list[Frame]:
        """Frames for `offsets` (bytes) in `file`, mapped as `path`. `Malformed` where it can't be had."""
        if file == VDSO:
            symbols = self._vdso = self._vdso or vdso_symbols()
            if symbols is None:
                raise Malformed("the vDSO has no symbols")
            return [symbols.name(offset) for offset in offsets]
        known = self.find_by_name(file, path)
        return [known.name(offset) for offset in offsets]

    def find_by_name(self, key: FileKey, path: str) -> OpenFile:
        """The file that is or was mapped as `path`, by its name here if no process has it mapped any more.

        Raises `Malformed` where it can't be had, or another one has that name.
        """
        if key not in self._files:
            *device, inode = key
            mapping = Mapping(0, 0, True, False, True, 0, (device[0], device[1]), inode, path)
            self._keep(key, _open_by_name(mapping), path)
        known = self._files[key]
        if known is None:
            raise Malformed("the file is no ELF file")
        return known

    def _keep(self, key: FileKey, fd: int, path: str) -> None:
        """Recognises the file and keeps it open, or remembers that there is nothing in it."""
        if len(self._files) >= _MAX_FILES:
            self._evict()
        self._files[key] = self._recognise(key, fd, path)

    def _evict(self) -> None:
        evicted = self._files.pop(next(iter(self._files)))
        if evicted is not None:
            os.close(evicted.fd)
            evicted.fd = -1  # a process may still hold it

    def _recognise(self, key: FileKey, fd: int, path: str) -> OpenFile | None:
        try:
            elf = ElfFile.from_fd(fd)
        except Malformed:
            os.close(fd)
            return None
        runtimes: list[tuple[Language, RuntimeFile]] = []
        notes: list[str] = []
        unsupported: list[Unsupported] = []
        for language in self._languages:
            try:
                runtime = language.recognise(elf)
            except (UnsupportedVersion, Malformed) as error:
                notes.append(str(error))
                if isinstance(error, UnsupportedVersion):
                    unsupported.append(Unsupported(error.language, error.version, error.supported))
                continue
            if runtime is not None:
                runtimes.append((language, runtime))
        return OpenFile(key, fd, elf, path, tuple(runtimes), tuple(notes), tuple(unsupported))


def _open_by_name(mapping: Mapping) -> int:
    """A descriptor of the file of `mapping`, by its name here. Raises `Malformed` where it can't be had."""
    try:
        with open_process(os.getpid()) as own:
            fd = open_mapping(own, mapping)
    except (FileUnavailable, Changed) as error:
        raise Malformed(str(error)) from None
    with suppress(OSError):
        if mapped_as(fd) == (mapping.device, mapping.inode):
            return fd
    os.close(fd)
    raise Malformed(f"{mapping.path!r} is another file now")


def file_key(mapping: Mapping) -> FileKey | None:
    """What tells the file of `mapping` from others; None for memory without a file."""
    if mapping.inode:
        return (*mapping.device, mapping.inode)
    return VDSO if mapping.path == VDSO_PATH else None
