"""The sampler as a compiler left it: instructions, and the maps that they use by name. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

INSTRUCTION_BYTES = 8
_IMMEDIATE = struct.Struct("<i")
_IMMEDIATE_AT = 4


class MapShape(Struct, frozen=True):
    """What the kernel wants to know of a map: its type (``enum bpf_map_type``), sizes in bytes, and flags.

    A map of no `entries` has as many as the machine needs: that is the ring buffer's, in bytes. `inner` names
    the map that all maps in it are like, but for their entries.
    """

    kind: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int
    inner: str = ""

    def with_entries(self, entries: int) -> MapShape:
        """The same with room for so many."""
        return replace(self, entries=entries)


class MapUse(Struct, frozen=True):
    """The instruction at index `at` loads the address of the map `name`."""

    at: int
    name: str


class CompiledProgram(Struct, frozen=True):
    """`instructions` (``struct bpf_insn``) lack the descriptors of the maps."""

    instructions: bytes
    maps: tuple[MapUse, ...]
    callback_at: int = 0
    """Where the function begins that the kernel calls again and again for the program, an index; 0: none."""

    def linked(self, descriptors: Mapping[str, int]) -> bytes:
        """The instructions with the `descriptors` of maps in place. Raises KeyError without one."""
        linked = bytearray(self.instructions)
        for use in self.maps:
            _IMMEDIATE.pack_into(linked, use.at * INSTRUCTION_BYTES + _IMMEDIATE_AT, descriptors[use.name])
        return bytes(linked)


class CompiledSampler(Struct, frozen=True):
    """All maps and programs, by name."""

    maps: Mapping[str, MapShape]
    programs: Mapping[str, CompiledProgram]

    def encode(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)


def decode_sampler(data: bytes) -> CompiledSampler:
    """What `CompiledSampler.encode` made. Raises ValueError for anything else."""
    sampler = msgspec.json.decode(data, type=CompiledSampler)
    for name, program in sampler.programs.items():
        count, rest = divmod(len(program.instructions), INSTRUCTION_BYTES)
        if rest or not all(0 <= use.at < count and use.name in sampler.maps for use in program.maps):
            raise ValueError(f"program {name} uses what is not there")
    return sampler
