"""Targets of the fuzz lane: the code cache of a runtime that lies about it."""

from __future__ import annotations

from functools import cache
from typing import Final

from symbolizers.elf.unwind_rules import MOST_ROWS
from symbolizers.hotspot.blobs import CodeCache
from symbolizers.hotspot.structs import Library
from symbolizers.hotspot.table import read_table
from symbolizers.inspection import CHUNK_BYTES, CHUNK_ROWS
from tests.fuzz.memory import Image, seeds
from tests.fuzz.target import Target
from tests.support.hotspot_forge import BIAS, JDK_17, JDK_25, ForgedJvm, Piece

_LAYOUTS: Final = (JDK_17, JDK_25)
_METHOD = Piece(
    b"\x55\x48\x83\xec\x20" + b"\x90" * 30 + b"\x48\x83\xc4\x20\x5d\xc3", frame_words=6, complete=5
)
_STUB = Piece(b"\x55\x48\x8b\xec" + b"\x90" * 30 + b"\xc9\xc3", "StubRoutines (1)", complete=-1)


@cache
def _hotspot(variant: int) -> tuple[Image, Library]:
    heaps = [[_METHOD, _STUB, _METHOD], [_METHOD._replace(used=False), _METHOD]]
    jvm = ForgedJvm(heaps, _LAYOUTS[variant])
    library = jvm.library()
    return Image(jvm.memory.pages), library


def _run_hotspot(data: bytes) -> None:
    image, library = _hotspot(data[0] % len(_LAYOUTS) if data else 0)
    memory = image.with_lies(data[:1] + b"\0" + data[2:])
    table = read_table(CodeCache(library, BIAS, memory), {})
    count, rest = divmod(len(table.chunks), CHUNK_BYTES)
    assert not rest
    assert count * CHUNK_ROWS <= MOST_ROWS


TARGETS: Final = (Target("hotspot", lambda: seeds(len(_LAYOUTS)), _run_hotspot),)
