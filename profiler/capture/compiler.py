"""Compiles a part of the sampler, in a process of its own: ``python -m profiler.capture.compiler PART``.

The only file that imports bcc. The process writes a `CompiledSampler` to its stdout and ends, and with it go
the 150 MB that LLVM takes. BCC wants kernel headers; the programs here need none, so it is pointed at
profiler/bpf/include, a tree with the few names it asks for.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Mapping
from typing import Any

from profiler.capture.btf import Btf
from profiler.capture.compiled import INSTRUCTION_BYTES, CompiledProgram, CompiledSampler, MapShape, MapUse
from profiler.capture.header import BPF_DIRECTORY
from profiler.capture.kallsyms import without_kallsyms
from profiler.capture.program import Part, abilities, program_text, task_offsets
from symbolizers.process.own_name import WORKER, take_name
from symbolizers.registry import LANGUAGES

_QUICKLY = ("-O1", "-g0", "-Xclang", "-disable-llvm-passes")
"""Options that save a third of the compiler's time.

BCC itself optimizes what the compiler gives it, and nobody looks at the debugging information.
"""
# linux/bpf.h: struct bpf_insn, and the load of 64 bits whose source says that they are a map.
_INSTRUCTION = struct.Struct("<BBhi")
_LOAD_WIDE, _IS_MAP = 0x18, 1
_IS_FUNCTION = 4
_CALLBACK = 0x6C6F6F70
"""The number that stands for the function, see ``CALL_AGAIN`` in maps.h."""
_RINGBUF = 27
_ON, _EACH = "on_", "each_"
_INNER = {"tables": "chunks"}
"""Maps of maps, and the map that each map in them is like: maps.h has both."""


def compile_here(text: bytes) -> CompiledSampler:
    """Compiles `text`, see `program_text`, for this kernel, in this process.

    Raises `PrerequisiteError`, ImportError, or what bcc does: a bare Exception.
    """
    import bcc  # here, so that tests can import this file without it

    btf = Btf()
    os.environ["BCC_KERNEL_SOURCE"] = str(BPF_DIRECTORY)
    defines = {
        "TICK_NS": 1_000_000_000 // os.sysconf("SC_CLK_TCK"),
        "LANGUAGES": len(LANGUAGES),
        **task_offsets(btf),
        **abilities(btf),
    }
    options = [*_QUICKLY, f"-I{BPF_DIRECTORY}", *(f"-D{name}={value}" for name, value in defines.items())]
    with without_kallsyms():
        bpf = bcc.BPF(text=text, cflags=options)
    lib, module = bcc.lib, bpf.module
    maps: dict[str, MapShape] = {}
    names: dict[int, str] = {}
    _declare(lib)
    for number in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, number).decode()
        names[lib.bpf_table_fd_id(module, number)] = name
        maps[name] = _shape(lib, module, number, name)
    programs: dict[str, CompiledProgram] = {}
    for number in range(lib.bpf_num_functions(module)):
        function = lib.bpf_function_name(module, number)
        start, size = lib.bpf_function_start(module, function), lib.bpf_function_size(module, function)
        programs[function.decode()] = _program(ctypes.string_at(start, size), names)
    return CompiledSampler(maps, {name: _whole(name, programs) for name in programs if name.startswith(_ON)})


def _whole(name: str, programs: Mapping[str, CompiledProgram]) -> CompiledProgram:
    """The program `name`, with the function behind it that it calls again and again."""
    program, callback = programs[name], programs.get(_EACH + name.removeprefix(_ON))
    if callback is None:
        return program
    instructions = bytearray(program.instructions)
    start = len(instructions) // INSTRUCTION_BYTES
    for at in range(start):
        operation, registers, offset, value = _INSTRUCTION.unpack_from(instructions, at * INSTRUCTION_BYTES)
        if operation == _LOAD_WIDE and value == _CALLBACK:
            whose = (operation, registers | _IS_FUNCTION << 4, offset, start - at - 1)
            _INSTRUCTION.pack_into(instructions, at * INSTRUCTION_BYTES, *whose)
    maps = (*program.maps, *(MapUse(start + use.at, use.name) for use in callback.maps))
    return CompiledProgram(bytes(instructions) + callback.instructions, maps, start)


def _declare(lib: Any) -> None:
    """Says what functions that the bindings do not use take and return (bpf_module.h of libbcc)."""
    sizes = (lib.bpf_table_key_size_id, lib.bpf_table_leaf_size_id)
    for function in (lib.bpf_table_fd_id, lib.bpf_table_name, *sizes):
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    for function in sizes:
        function.restype = ctypes.c_size_t
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_num_tables.argtypes = [ctypes.c_void_p]
    lib.bpf_num_tables.restype = ctypes.c_size_t


def _shape(lib: Any, module: int, number: int, name: str) -> MapShape:
    kind = lib.bpf_table_type_id(module, number)
    return MapShape(
        kind,
        lib.bpf_table_key_size_id(module, number),
        lib.bpf_table_leaf_size_id(module, number),
        0 if kind == _RINGBUF else lib.bpf_table_max_entries_id(module, number),
        lib.bpf_table_flags_id(module, number),
        _INNER.get(name, ""),
    )


def _program(instructions: bytes, names: Mapping[int, str]) -> CompiledProgram:
    """BCC has put the descriptors of its own maps in: they are taken out, by name."""
    uses = []
    bare = bytearray(instructions)
    for at, (operation, registers, offset, value) in enumerate(_INSTRUCTION.iter_unpack(instructions)):
        if operation == _LOAD_WIDE and registers >> 4 == _IS_MAP:
            uses.append(MapUse(at, names[value]))
            _INSTRUCTION.pack_into(bare, at * INSTRUCTION_BYTES, operation, registers, offset, 0)
    return CompiledProgram(bytes(bare), tuple(uses))


def main() -> None:
    """Writes the compiled part to stdout, and why there is none to stderr."""
    take_name(WORKER)
    output = os.dup(1)
    os.dup2(2, 1)  # for what the compiler says
    try:
        data = compile_here(program_text(LANGUAGES, [Part(sys.argv[1])])).encode()
    except Exception as error:  # bcc raises bare Exception
        sys.exit(str(error))
    with open(output, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main()
