"""What the compiler's process writes: maps and programs that no descriptor is in yet."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from profiler.capture.compiled import (
    CompiledProgram,
    CompiledSampler,
    MapShape,
    MapUse,
    decode_sampler,
)

LOAD_MAP = struct.pack("<BBhi", 0x18, 0x11, 0, 0) + bytes(8)
SAMPLER = CompiledSampler(
    {"lost": MapShape(6, 4, 8, 2, 0), "targets": MapShape(1, 4, 4, 16384, 0)},
    {"on_exit": CompiledProgram(LOAD_MAP * 2, (MapUse(0, "targets"), MapUse(2, "lost")))},
)


def test_it_comes_back_as_it_was() -> None:
    assert decode_sampler(SAMPLER.encode()) == SAMPLER


def test_descriptors_are_put_where_maps_are_used() -> None:
    linked = SAMPLER.programs["on_exit"].linked({"lost": 7, "targets": 70_000})
    assert list(struct.iter_unpack("<BBhi", linked))[::2] == [
        (0x18, 0x11, 0, 70_000),
        (0x18, 0x11, 0, 7),
    ]
    with pytest.raises(KeyError):
        SAMPLER.programs["on_exit"].linked({"lost": 7})


def changed(path: tuple[str, ...], value: object) -> bytes:
    document = json.loads(SAMPLER.encode())
    place: Any = document
    for key in path[:-1]:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SAMPLER.encode()[:-1],
        changed(("maps",), {}),
        changed(("maps", "lost", "kind"), "6"),
        changed(("programs", "on_exit", "instructions"), "AAAA"),
        changed(("programs", "on_exit", "maps", "0", "at"), 4),
        changed(("programs", "on_exit", "maps", "0", "at"), -1),
        changed(("programs", "on_exit", "maps", "1", "name"), "losses"),
    ],
)
def test_what_no_compiler_has_written_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of msgspec, json or ours
        decode_sampler(data)
