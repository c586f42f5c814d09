"""MiniDebugInfo: the symbols of a stripped file, as a small xz-compressed ELF file in its .gnu_debugdata."""

from __future__ import annotations

import lzma

from symbolizers.elf.headers import Section
from symbolizers.elf.source import Source
from symbolizers.errors import Malformed

SECTION = b".gnu_debugdata"

_MAX_PACKED_BYTES = 8 << 20
_MAX_BYTES = 32 << 20
"""A browser's are some 4 MB, and 25 MB unpacked."""
_MAX_DECODER_BYTES = 80 << 20  # xz -9, the most that its presets ask for, needs 65 MiB


def decompress(source: Source, section: Section) -> bytes:
    """The ELF file in a .gnu_debugdata section. Raises `Malformed` when broken or larger than 32 MiB."""
    if section.size > _MAX_PACKED_BYTES:
        raise Malformed(f".gnu_debugdata of {section.size} bytes")
    data = source.read(section.offset, section.size)
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DECODER_BYTES)
        content = decoder.decompress(data, _MAX_BYTES)
    except lzma.LZMAError as error:
        raise Malformed(f".gnu_debugdata: {error}") from error
    if not decoder.eof:
        raise Malformed(f".gnu_debugdata: cut off, or more than {_MAX_BYTES} bytes")
    return content
