"""The kernel's BPF objects, through the distribution's libbpf: the only file that calls it.

It is a small library (0.4 MB) that BCC depends on. What it returns is a descriptor, or an error as a negative
number, from version 1.0 on.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache

from profiler.capture.compiled import INSTRUCTION_BYTES, MapShape
from profiler.errors import PrerequisiteError

PERF_EVENT, RAW_TRACEPOINT = 7, 17
"""Types of programs (``enum bpf_prog_type``)."""
_LIBRARY = "libbpf.so.1"
_LICENSE = b"GPL"
_NAME_BYTES = 15
_LOG_BYTES = 1 << 16
_MOST_LINES = 3
"""Of what the kernel says about a program that it refuses: the last ones tell why."""


def _types() -> bytes:
    """BTF (Documentation/bpf/btf.rst) of a static function without parameters that returns an int."""
    names = b"\0int\0f\0"
    integer = struct.pack("<4I", 1, 1 << 24, 4, 1 << 24 | 32)
    prototype = struct.pack("<3I", 0, 13 << 24, 1)
    function = struct.pack("<3I", 5, 12 << 24, 2)
    types = integer + prototype + function
    return struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names)) + types + names


_TYPES = _types()
_FUNCTION = 3
"""The function's number among the types."""
_FUNCTIONS = struct.Struct("<4I")
"""Two ``struct bpf_func_info``: where a function begins, and its type."""


class _LoadOptions(ctypes.Structure):
    """``struct bpf_prog_load_opts`` (bpf/bpf.h of libbpf 1.0; later fields come behind these)."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_info", ctypes.c_void_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_char_p),
    )


class _MapOptions(ctypes.Structure):
    """``struct bpf_map_create_opts``, as far as it is used here."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
    )


@cache
def library() -> ctypes.CDLL:
    """libbpf, silent. Raises `PrerequisiteError` where it is missing."""
    try:
        found = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise PrerequisiteError(
            f"{_LIBRARY} is missing ({error}): install it with 'apt-get install libbpf1'"
        ) from None
    found.libbpf_set_print(None)
    return found


def library_version() -> str:
    """As ``major.minor``. Raises `PrerequisiteError` where the library is missing."""
    found = library()
    return f"{found.libbpf_major_version()}.{found.libbpf_minor_version()}"


class Map:
    """A map of the kernel. Keys and values are bytes of the sizes in its shape."""

    def __init__(self, name: str, shape: MapShape, inner: Map | None = None) -> None:
        """Makes it. A map of maps holds such as `inner`. Raises OSError where the kernel refuses it."""
        self.shape = shape
        self.fd = -1
        options = _MapOptions(sz=ctypes.sizeof(_MapOptions), map_flags=shape.flags)
        if inner is not None:
            options.inner_map_fd = inner.fd
        sizes = (shape.key_bytes, shape.value_bytes, shape.entries)
        named = name.encode()[:_NAME_BYTES]
        self.fd = _checked(library().bpf_map_create(shape.kind, named, *sizes, ctypes.byref(options)))

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Raises OSError where the map is full, or has no such place."""
        assert (len(key), len(value)) == (self.shape.key_bytes, self.shape.value_bytes)
        _checked(library().bpf_map_update_elem(self.fd, key, value, ctypes.c_uint64(0)))

    def update(self, keys: bytes, values: bytes) -> None:
        """Puts in all of these, one behind the other, by one call where the kernel can. Raises OSError."""
        key_bytes, value_bytes = self.shape.key_bytes, self.shape.value_bytes
        number = len(keys) // key_bytes
        assert (len(keys), len(values)) == (number * key_bytes, number * value_bytes)
        count = ctypes.c_uint32(number)
        if library().bpf_map_update_batch(self.fd, keys, values, ctypes.byref(count), None) < 0:
            for each in range(number):
                key = keys[each * key_bytes : (each + 1) * key_bytes]
                self[key] = values[each * value_bytes : (each + 1) * value_bytes]

    def __getitem__(self, key: bytes) -> bytes:
        """Raises OSError where there is nothing."""
        assert len(key) == self.shape.key_bytes
        value = ctypes.create_string_buffer(self.shape.value_bytes)
        _checked(library().bpf_map_lookup_elem(self.fd, key, value))
        return value.raw

    def freeze(self) -> None:
        """From now on nobody writes to it: the verifier trusts what is in a map that programs only read."""
        _checked(library().bpf_map_freeze(self.fd))

    def discard(self, key: bytes) -> None:
        """Removes the key if it is there."""
        assert len(key) == self.shape.key_bytes
        library().bpf_map_delete_elem(self.fd, key)

    def is_empty(self) -> bool:
        """Whether a hash has no key."""
        first = ctypes.create_string_buffer(self.shape.key_bytes)
        return bool(library().bpf_map_get_next_key(self.fd, None, first) < 0)

    def sum(self, key: bytes) -> int:
        """The sum over all CPUs of a number of 64 bits in a per-CPU map. Raises OSError."""
        assert (len(key), self.shape.value_bytes) == (self.shape.key_bytes, ctypes.sizeof(ctypes.c_uint64))
        numbers = (ctypes.c_uint64 * _checked(library().libbpf_num_possible_cpus()))()
        _checked(library().bpf_map_lookup_elem(self.fd, key, numbers))
        return sum(numbers)

    def close(self) -> None:
        os.close(self.fd)


def load_program(kind: int, name: str, instructions: bytes, *, callback_at: int = 0) -> int:
    """The descriptor of a program that the kernel has verified.

    From the instruction `callback_at` on there may be a function that it hands to the kernel to call. Raises
    OSError, with the end of what the verifier said, where the kernel refuses it.
    """
    options = _LoadOptions(sz=ctypes.sizeof(_LoadOptions))
    if callback_at:
        functions = _FUNCTIONS.pack(0, _FUNCTION, callback_at, _FUNCTION)
        options.func_info_rec_size, options.func_info_cnt = len(functions) // 2, 2
        told = ctypes.create_string_buffer(functions)
        options.func_info = ctypes.addressof(told)
        options.prog_btf_fd = _checked(library().bpf_btf_load(_TYPES, ctypes.c_size_t(len(_TYPES)), None))
        try:
            return _load(kind, name, instructions, options)
        finally:
            os.close(options.prog_btf_fd)
    return _load(kind, name, instructions, options)


def _load(kind: int, name: str, instructions: bytes, options: _LoadOptions) -> int:
    count = len(instructions) // INSTRUCTION_BYTES
    arguments = (kind, name.encode()[:_NAME_BYTES], _LICENSE, instructions, ctypes.c_size_t(count))
    fd: int = library().bpf_prog_load(*arguments, ctypes.byref(options))
    if fd >= 0:
        return fd
    # The log costs the verifier time, and one that is full would be an error of its own.
    log = ctypes.create_string_buffer(_LOG_BYTES)
    options.log_level, options.log_size, options.log_buf = 1, _LOG_BYTES, ctypes.addressof(log)
    library().bpf_prog_load(*arguments, ctypes.byref(options))
    said = " / ".join(log.value.decode(errors="replace").strip().splitlines()[-_MOST_LINES:])
    raise OSError(-fd, f"{os.strerror(-fd)}: {said}" if said else os.strerror(-fd))


def attach_raw_tracepoint(name: str, program: int) -> int:
    """Runs the program whenever the kernel passes the tracepoint, as long as the descriptor is open.

    Raises OSError.
    """
    return _checked(library().bpf_raw_tracepoint_open(name.encode(), program))


def run_program(program: int) -> None:
    """Runs a raw tracepoint's program once, here and now, without its argument. Raises OSError."""
    options = ctypes.c_size_t(ctypes.sizeof(ctypes.c_size_t))  # its own size, and no other option
    _checked(library().bpf_prog_test_run_opts(program, ctypes.byref(options)))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
