"""Reads CPython's dicts, and the attributes of plain objects, from the memory of a process.

Both are a table of keys, with the values in it or, where the objects of a class share the keys, beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from symbolizers.base import AddressSpace
from symbolizers.errors import Malformed
from symbolizers.layout import Row
from symbolizers.python.objects import PythonObjects, checked, word_in

MAX_ENTRIES: Final = 1 << 15
MAX_ATTRIBUTES: Final = 256

DICT_FLAG: Final = 1 << 29
_MANAGED_DICT_FLAG: Final = 1 << 4
_INLINE_VALUES_FLAG: Final = 1 << 2
"""Of ``tp_flags`` (Include/object.h), as in `symbolizers.python.objects`."""

_DICT_BEFORE_BYTES: Final = 24
_VALUES_BEFORE_BYTES: Final = 32
"""How far before an object the pointers to its dict and (3.11) its values are (pycore_object.h)."""
_MAX_OBJECT_BYTES: Final = 1 << 16
_MAX_INDEX_BYTES: Final = 1 << 20
_SEARCHED_AT_ONCE: Final = 256
_WORD: Final = struct.Struct("<Q")

Entries = list[tuple[int, int]]
"""Addresses of keys and of their values, in the order in which they were inserted."""


class PythonDicts(PythonObjects):
    """Reads dicts and attributes, too. `places` is a row of `symbolizers.python.layouts_threads`."""

    def __init__(self, row: Row, places: Row, memory: AddressSpace) -> None:
        super().__init__(row, places, memory)
        self._attributes = ATTRIBUTES[places.capabilities["attributes"]]

    def entries(self, address: int, *, most: int = MAX_ENTRIES) -> Entries:
        """What the dict at `address` holds. Raises `Malformed` if it ever had more than `most` entries."""
        self.expect(address, DICT_FLAG)
        keys, values = (self.word(address + self.places[name]) for name in ("dict_keys", "dict_values"))
        return self._table(keys, values, most)

    def attributes(self, address: int) -> Entries:
        """What the instance of a class at `address` has in its ``__dict__``: `MAX_ATTRIBUTES` at most."""
        return self._attributes(self, address, self.word(address + self.row["object_type"]))

    def find(self, entries: Sequence[tuple[int, int]], name: bytes) -> int:
        """The address of the value under the ASCII key `name`. Raises `Malformed` where there is none."""
        size = self.row["unicode_ascii_data"] + len(name)
        for start in range(0, len(entries), _SEARCHED_AT_ONCE):
            chunk = entries[start : start + _SEARCHED_AT_ONCE]
            keys = self.memory.read_many([(checked(key), size) for key, _ in chunk])
            for (_, value), key in zip(chunk, keys, strict=True):
                if isinstance(key, bytes) and self._is(key, name):
                    return value
        raise Malformed(f"no {name.decode()} among {len(entries)} keys")

    def _is(self, key: bytes, name: bytes) -> bool:
        (length,) = _WORD.unpack_from(key, self.row["unicode_length"])
        return bool(length == len(name)) and key.endswith(name)

    def _table(self, keys: int, values: int, most: int) -> Entries:
        """The entries under `keys`, their values in the array at `values` unless that is 0."""
        places = self.places
        head = self.memory.read(checked(keys), places["keys_indices"])
        count = word_in(head, places["keys_entry_count"])
        if count > most:
            raise Malformed(f"a dict of {count} entries")
        if not count:
            return []
        # Entries of tables that hold only strings as keys have no hash.
        layout = _BARE if places.has("keys_kind") and head[places["keys_kind"]] else _HASHED
        start = keys + places["keys_indices"] + self._index_bytes(head)
        found = list(layout.iter_unpack(self.memory.read(start, count * layout.size)))
        if values:
            array = self.memory.read(checked(values + places["values_first"]), count * _WORD.size)
            found = [(key, value) for (key, _), (value,) in zip(found, _WORD.iter_unpack(array), strict=True)]
        return [(key, value) for key, value in found if key and value]

    def _index_bytes(self, head: bytes) -> int:
        """How much room the indices take that come before the entries."""
        if self.places.has("keys_log2_index_bytes"):
            size = 1 << min(head[self.places["keys_log2_index_bytes"]], 63)
        else:
            slots = word_in(head, self.places["keys_size"])
            size = slots * (1 if slots <= 0xFF else 2 if slots <= 0xFFFF else 4)
        if size > _MAX_INDEX_BYTES:
            raise Malformed(f"a dict with {size} bytes of indices")
        return size

    def _dict_pointer(self, address: int, type_address: int) -> Entries:
        """Up to 3.10: the type says where in the object a pointer to its dict is."""
        offset = self.word(type_address + self.places["type_dictoffset"])
        return self._own(self.word(address + _within_object(offset)))

    def _values_or_dict(self, address: int, type_address: int) -> Entries:
        """3.11: values without a dict, or else a dict, both pointed at from before the object."""
        self.expect(address, _MANAGED_DICT_FLAG)
        values = self.word(address - _VALUES_BEFORE_BYTES)
        if values:
            return self._shared(type_address, values)
        return self._own(self.word(address - _DICT_BEFORE_BYTES))

    def _tagged_pointer(self, address: int, type_address: int) -> Entries:
        """3.12: one pointer for both; a pointer to values is stored less one, so it is odd."""
        self.expect(address, _MANAGED_DICT_FLAG)
        pointer = self.word(address - _DICT_BEFORE_BYTES)
        if pointer & 1:
            return self._shared(type_address, pointer + 1)
        return self._own(pointer)

    def _inline_values(self, address: int, type_address: int) -> Entries:
        """3.13: a dict, or, where there is none (yet), values behind the object."""
        flags = self.expect(address, _MANAGED_DICT_FLAG)
        pointer = self.word(address - _DICT_BEFORE_BYTES)
        if pointer or not flags & _INLINE_VALUES_FLAG:
            return self._own(pointer)
        size = _within_object(self.word(type_address + self.places["type_basicsize"]))
        return self._shared(type_address, address + size)

    def _own(self, address: int) -> Entries:
        return self.entries(address, most=MAX_ATTRIBUTES)

    def _shared(self, type_address: int, values: int) -> Entries:
        """The array at `values` under the keys that all objects of the type share."""
        keys = self.word(type_address + self.places["type_cached_keys"])
        return self._table(keys, values, MAX_ATTRIBUTES)


ATTRIBUTES: Final[Mapping[str, Callable[[PythonDicts, int, int], Entries]]] = MappingProxyType(
    {
        "dict_pointer": PythonDicts._dict_pointer,
        "values_or_dict": PythonDicts._values_or_dict,
        "tagged_pointer": PythonDicts._tagged_pointer,
        "inline_values": PythonDicts._inline_values,
    }
)
"""What a row's capability ``attributes`` names."""

_BARE: Final = struct.Struct("<QQ")
_HASHED: Final = struct.Struct("<8xQQ")


def _within_object(offset: int) -> int:
    if not 0 < offset <= _MAX_OBJECT_BYTES:
        raise Malformed(f"{offset} is not in an object")
    return offset
