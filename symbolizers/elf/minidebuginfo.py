"""MiniDebugInfo: the symbols of a stripped file, as a small xz-compressed ELF file in its .gnu_debugdata."""

from __future__ import annotations

import lzma

from symbolizers.errors import Malformed

SECTION = b".gnu_debugdata"

_MAX_BYTES = 32 << 20
_MAX_DECODER_BYTES = 80 << 20  # xz -9, the most that its presets ask for, needs 65 MiB


def decompress(data: bytes) -> bytes:
    """The ELF file in a .gnu_debugdata section. Raises `Malformed` when broken or larger than 32 MiB."""
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DECODER_BYTES)
        content = decoder.decompress(data, _MAX_BYTES)
    except lzma.LZMAError as error:
        raise Malformed(f".gnu_debugdata: {error}") from error
    if not decoder.eof:
        raise Malformed(f".gnu_debugdata: cut off, or more than {_MAX_BYTES} bytes")
    return content
