"""Ruby's objects in a target's memory: strings, arrays, the table of ids, the names of classes.

Everything is read while the target goes on, and nothing is believed: types are checked, lengths bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from symbolizers.base import AddressSpace
from symbolizers.errors import Malformed
from symbolizers.layout import Row
from symbolizers.ruby.labels import method_label
from symbolizers.values import MAX_TEXT_BYTES, pointer, text_of, word_at

OBJECT_BYTES: Final = 40
"""The size of the smallest slot. A slot lies on two pages only if both belong to its heap."""

TYPE_MASK: Final = 0x1F
T_CLASS: Final = 0x02
T_MODULE: Final = 0x03
T_STRING: Final = 0x05
T_ARRAY: Final = 0x07
T_IMEMO: Final = 0x1A
IMEMO_MASK: Final = 0xF01F
IMEMO_METHOD: Final = 6 << 12 | T_IMEMO
IMEMO_ISEQ: Final = 7 << 12 | T_IMEMO
"""enum ruby_value_type and enum imemo_type: the same in all versions so far."""

_MAX_VARIABLES: Final = 1024
_MAX_UNKNOWN_VARIABLES: Final = 64
_MAX_KNOWN_IDS: Final = 4096
_DELETED: Final = (1 << 64) - 1
"""The hash of a deleted entry of a table (st.c)."""
_EMBEDDED_STRING_MASK: Final = 0x1F
_LARGEST_SLOT_BYTES: Final = 640
"""From 3.2 on, there are slots of 40, 80, … 640 bytes."""
_PLUS_ID: Final = ord("+")
"""The id of a one-character operator is that character."""


class RubyObjects:
    """Reads objects of one process. Lifetime: its address space; remembers only which id is which name."""

    def __init__(self, row: Row, memory: AddressSpace, global_symbols: int) -> None:
        """`global_symbols` is the address of `ruby_global_symbols`, 0 unknown: then no id has a name."""
        self._row = row
        self._memory = memory
        self._global_symbols = global_symbols
        self._names: dict[int, str] = {}

    def read_object(self, address: int, *types: int) -> bytes:
        """The slot of the object at `address`, which must be of one of `types`; raises `Malformed`."""
        content = self._memory.read(pointer(address), OBJECT_BYTES)
        if word_at(content, 0) & TYPE_MASK not in types:
            raise Malformed(f"object at {address:#x} is of another type")
        return content

    def string(self, address: int) -> str:
        """The text of the String at `address`; bytes that are not UTF-8 come as ``\\xNN``.

        A text longer than `MAX_TEXT_BYTES` ends in ``…`` there.
        """
        row = self._row
        content = self.read_object(address, T_STRING)
        flags = word_at(content, 0)
        if flags >> row["string_heap_bit"] & 1:
            length = word_at(content, row["string_length"])
            if not length:
                return ""
            start = word_at(content, row["string_pointer"])
            data = self._memory.read(start, min(length, MAX_TEXT_BYTES))
        elif row.has("string_embedded_length_bit"):
            length = flags >> row["string_embedded_length_bit"] & _EMBEDDED_STRING_MASK
            start = row["string_embedded"]
            if start + length > OBJECT_BYTES:
                raise Malformed(f"string of {length} bytes in an object of {OBJECT_BYTES}")
            data = content[start : start + length]
        else:
            length = word_at(content, row["string_length"])
            start = row["string_embedded"]
            if start + length > _LARGEST_SLOT_BYTES:
                raise Malformed(f"string of {length} bytes in an object")
            data = self._memory.read(address + start, length) if length else b""
        return text_of(data, is_whole=length <= MAX_TEXT_BYTES)

    def array_element(self, address: int, index: int) -> int:
        """The value at `index` of the Array at `address`. Raises `Malformed` past its end."""
        row = self._row
        content = self.read_object(address, T_ARRAY)
        flags = word_at(content, 0)
        embedded = flags >> row["array_embedded_bit"] & 1
        if embedded:
            mask = (1 << row["array_embedded_length_bits"]) - 1
            length = flags >> row["array_embedded_length_bit"] & mask
        else:
            length = word_at(content, row["array_length"])
        if index >= length:
            raise Malformed(f"element {index} of an array of {length}")
        if embedded:
            start = address + row["array_embedded"]
        else:
            start = pointer(word_at(content, row["array_pointer"]))
        return word_at(self._memory.read(start + 8 * index, 8), 0)

    def path(self, address: int) -> str:
        """The path that an iseq gives: a String, or an Array of it and the real path."""
        if word_at(self.read_object(address, T_STRING, T_ARRAY), 0) & TYPE_MASK == T_ARRAY:
            address = self.array_element(address, 0)
        return self.string(address)

    def name(self, id_: int) -> str:
        """The name that the number `id_` stands for. Raises `Malformed`; ``?`` without a table of names."""
        if not self._global_symbols:
            return "?"
        if _PLUS_ID not in self._names:
            if self._read_name(_PLUS_ID) != "+":
                raise Malformed("the supposed table of names is none")
            self._names[_PLUS_ID] = "+"
        known = self._names.get(id_)
        if known is None:
            known = self._read_name(id_)
            if len(self._names) < _MAX_KNOWN_IDS:
                self._names[id_] = known
        return known

    def method_name(self, owner: int, name: str) -> str:
        """``Class#name``, or ``Module.name`` for one of the singleton's; `name` alone if nameless."""
        content = self.read_object(owner, T_CLASS, T_MODULE)
        flags = word_at(content, 0)
        is_singleton = False
        if flags & TYPE_MASK == T_CLASS and flags >> self._row["class_singleton_bit"] & 1:
            owner = self._class_field(owner, content, "class_attached", "__attached__")
            if not owner or owner % 8:
                return name
            content = self._memory.read(pointer(owner), OBJECT_BYTES)
            if word_at(content, 0) & TYPE_MASK not in (T_CLASS, T_MODULE):
                return name
            is_singleton = True
        path = self._class_field(owner, content, "class_path", "__classpath__")
        return method_label(self.string(path) if path else "", name, is_singleton=is_singleton)

    def _read_name(self, id_: int) -> str:
        row = self._row
        number = id_ if id_ <= row["last_operator_id"] else id_ >> row["id_scope_bits"]
        table = self._memory.read(self._global_symbols, row["symbols_ids"] + 8)
        (last_id,) = struct.unpack_from("<I", table, row["symbols_last_id"])
        if not 0 < number <= last_id:
            raise Malformed(f"{id_:#x} is no id")
        block, index = divmod(number, row["ids_per_block"])
        names = self.array_element(word_at(table, row["symbols_ids"]), block)
        return self.string(self.array_element(names, index * row["ids_block_stride"]))

    def _class_field(self, address: int, content: bytes, field: str, variable: str) -> int:
        """What the class at `address` (its slot: `content`) has in `field`, or in a hidden `variable`."""
        if self._row.has(field):
            return word_at(self._memory.read(address + self._row[field], 8), 0)
        return self._class_variable(content, variable) if self._row.has("class_ext") else 0

    def _class_variable(self, content: bytes, name: str) -> int:
        """The value that the class with slot `content` keeps as hidden variable `name`, 0 for none."""
        unknown = 0
        for key, value in self._class_variables(content):
            if key not in self._names:
                unknown += 1
                if unknown > _MAX_UNKNOWN_VARIABLES:
                    break
            if self.name(key) == name:
                return value
        return 0

    def _class_variables(self, content: bytes) -> Iterator[tuple[int, int]]:
        """Ids and values of a class's variables in the order they were set, the first 1024 of them."""
        row = self._row
        extension = pointer(word_at(content, row["class_ext"]))
        table = word_at(self._memory.read(extension + row["ext_variables"], 8), 0)
        if not table:
            return
        head = self._memory.read(pointer(table), row["table_entries"] + 8)
        first, bound = word_at(head, row["table_first"]), word_at(head, row["table_bound"])
        count = min(bound - first, _MAX_VARIABLES)
        if count <= 0:
            return
        size = row["entry_size"]
        entries = self._memory.read(word_at(head, row["table_entries"]) + first * size, count * size)
        for at in range(0, len(entries), size):
            if word_at(entries, at + row["entry_hash"]) != _DELETED:
                yield word_at(entries, at + row["entry_key"]), word_at(entries, at + row["entry_value"])
