"""A strict fake address space, and CPython objects laid out in it from a layout row."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from symbolizers.checksum import checksum
from symbolizers.errors import FaultReason, ReadFault, SymbolizeError
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.layout import Row
from symbolizers.python.kinds import PYTHON_CODE
from tests.support.reads import read_each

PAGE_BYTES = 4096


class FakeMemory:
    """Pages that were written are resident, all others would fault. Counts calls.

    `before_read_many` runs before each batch: a target that goes on working meanwhile.
    """

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}
        self.calls = 0
        self.before_read_many: Callable[[], None] = lambda: None

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address`; its pages become resident, zero elsewhere."""
        for index, byte in enumerate(data):
            page, offset = divmod(address + index, PAGE_BYTES)
            self.pages.setdefault(page, bytearray(PAGE_BYTES))[offset] = byte

    def evict(self, address: int) -> None:
        """Make the page of `address` non-resident; what it held is gone."""
        del self.pages[address // PAGE_BYTES]

    def read(self, address: int, size: int) -> bytes:
        self.calls += 1
        return self._read(address, size)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        self.calls += 1
        self.before_read_many()
        return read_each(self._read, ranges)

    def _read(self, address: int, size: int) -> bytes:
        assert size > 0, "a read of nothing"
        assert address + size <= 1 << 64, "a read past the end of all addresses"
        data = bytearray()
        while len(data) < size:
            page, offset = divmod(address + len(data), PAGE_BYTES)
            if page not in self.pages:
                raise ReadFault(address + len(data), FaultReason.WOULD_FAULT)
            data += self.pages[page][offset : offset + size - len(data)]
        return bytes(data)


_LINE_TABLES = {
    "lnotab_unsigned": bytes([4, 1]),
    "lnotab": bytes([4, 1]),
    "ranges": bytes([4, 0, 4, 1]),
    "locations": bytes([0x80 | 10 << 3 | 1, 0, 0, 0x80 | 11 << 3, 0, 0]),
}


@dataclass
class PythonHeap:
    """Builds code objects and their parts in `memory` as `row` describes them."""

    row: Row
    memory: FakeMemory = field(default_factory=FakeMemory)
    next_address: int = 0x7F12_0000_0010
    code_type: int = 0
    str_type: int = 0
    bytes_type: int = 0

    def __post_init__(self) -> None:
        self.code_type = self.add_type("code", flags=1 << 18)
        self.str_type = self.add_type("str", flags=1 << 28)
        self.bytes_type = self.add_type("bytes", flags=1 << 27)

    def allocate(self, size: int) -> int:
        """An address for `size` bytes, as obmalloc aligns it."""
        address = self.next_address
        self.next_address = (address + size + 15) & ~15
        return address

    @property
    def name_field(self) -> str:
        """The field of a code object for the name that is shown."""
        return "code_qualname" if self.row.has("code_qualname") else "code_name"

    @property
    def line_table(self) -> bytes:
        """A line table of the row's format: four bytes of code on the first line, then the next line."""
        return _LINE_TABLES[self.row.capabilities["line_table"]]

    def words(self, address: int, values: dict[str, int]) -> None:
        """Write each 64-bit value at the row's offset of that name, if it has one, from `address`."""
        for name, value in values.items():
            if self.row.has(name):
                self.memory.write(address + self.row[name], struct.pack("<Q", value))

    def add_type(self, name: str, *, flags: int) -> int:
        text = name.encode() + b"\0"
        text_address = self.allocate(len(text))
        self.memory.write(text_address, text)
        address = self.allocate(self.row["type_flags"] + 8)
        self.words(address, {"object_refcount": 1, "type_name": text_address, "type_flags": flags})
        return address

    def add_name(self, text: str) -> int:
        """An object of the type that names have in this version."""
        if self.row.capabilities["strings"] == "bytes":
            return self.add_bytes(text.encode("utf-8", "surrogateescape"))
        return self.add_str(text)

    def add_str(self, text: str, *, legacy: bool = False, type_address: int = 0, at: int = 0) -> int:
        """A string object of `text`, in the narrowest width; `legacy`: characters in their own block."""
        widest = max(map(ord, text), default=0)
        width = 1 if widest < 0x100 else 2 if widest < 0x10000 else 4
        data = b"".join(ord(character).to_bytes(width, "little") for character in text)
        ascii_only = widest < 0x80
        state = width << self.row["unicode_kind_bit"] | ascii_only << self.row["unicode_ascii_bit"]
        if not legacy:
            state |= 1 << self.row["unicode_compact_bit"]
        offset = self.row["unicode_ascii_data" if ascii_only else "unicode_compact_data"]
        head_size = self.row["unicode_legacy_data"] + 8
        address = at or self.allocate(head_size if legacy else offset + len(data) + width)
        self.words(
            address,
            {
                "object_refcount": 1,
                "object_type": type_address or self.str_type,
                "unicode_length": len(text),
                "unicode_state": state,
            },
        )
        if legacy:
            data_address = self.allocate(len(data) + width)
            self.words(address, {"unicode_legacy_data": data_address})
            self.memory.write(data_address, data + bytes(width))
        else:
            self.memory.write(address + offset, data + bytes(width))
        return address

    def add_bytes(self, data: bytes) -> int:
        address = self.allocate(self.row["bytes_data"] + len(data) + 1)
        self.words(address, {"object_refcount": 1, "object_type": self.bytes_type, "bytes_size": len(data)})
        self.memory.write(address + self.row["bytes_data"], data + b"\0")
        return address

    def add_code(
        self, file: int, name: int, *, table: int = 0, first_line: int = 1, arguments: int = 0
    ) -> int:
        """A code object of names `file` and `name` and a bytes object `table`."""
        row = self.row
        address = self.allocate(row["code_linetable"] + 64)
        self.words(
            address,
            {
                "object_refcount": 2,
                "object_type": self.code_type,
                "code_checksum": arguments,
                "code_filename": file,
                self.name_field: name,
                "code_linetable": table or self.add_bytes(b""),
            },
        )
        self.memory.write(address + row["code_first_line"], struct.pack("<i", first_line))
        return address

    def frame(self, address: int, position: int = 0) -> RawFrame:
        """What the walker captures of a frame that runs the code object at `address`."""
        count = self.row["code_checksum_words"]
        data = self.memory.read(address + self.row["code_checksum"], 8 * count)
        tagged = PYTHON_CODE << CAPTURE_KIND_SHIFT | address
        return RawFrame(tagged, position, checksum(struct.unpack(f"<{count}Q", data)))
