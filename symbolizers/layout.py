"""Layout rows: where an interpreter version keeps what, as named offsets with their source.

A row is data. A later version is written as the difference from an earlier one (``like=``), and expanded
once, at import. What changes *meaning* between versions is a capability, a word that names the function
to use, so that no reader compares versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

MAX_OFFSET_BYTES: Final = 1 << 20
"""No structure of an interpreter is this large: a larger offset is a mistake or a lie."""

Version = tuple[int, ...]


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""The version has no such field. Not 0, which is an offset like any other."""

ABSENT_NUMBER: Final = (1 << 32) - 1
"""`ABSENT` where only a 32-bit number fits: what a walker is given."""


def displacement(address: int, root: int) -> int:
    """How far `address` is from `root` in a file, as a walker is told: a signed 32-bit number taken unsigned.

    `ABSENT_NUMBER` for the address 0, which is unknown.
    """
    return (address - root) % (1 << 32) if address else ABSENT_NUMBER


class Row(Struct, frozen=True):
    """Offsets (bytes) and small numbers of one interpreter version range.

    `versions`: the first and the last version it describes, both included, compared over as many
    numbers as they have: ``((3, 11), (3, 11))`` is every 3.11.x. `source`: where the numbers come from
    and how to derive them again. `like`: the name of an earlier row, to which this one is the difference.
    `flavour`: names builds of these versions whose structures differ (``free-threaded``); empty for the rest.
    """

    name: str
    versions: tuple[Version, Version]
    source: str
    fields: Mapping[str, int | Absent]
    capabilities: Mapping[str, str] = field(default_factory=dict)
    like: str = ""
    flavour: str = ""

    def __getitem__(self, name: str) -> int:
        """The number called `name`. Raises `KeyError` where the row has none, or has it `ABSENT`."""
        value = self.fields[name]
        if isinstance(value, Absent):
            raise KeyError(f"{self.name}: {name} is absent")
        return value

    def has(self, name: str) -> bool:
        """Whether this version has the field `name`, which the row must mention."""
        return self.fields[name] is not ABSENT

    def numbers(self) -> tuple[tuple[str, int], ...]:
        """Every field by name, `ABSENT` as `ABSENT_NUMBER`: plain numbers, for another process or program."""
        return tuple(
            (name, ABSENT_NUMBER if isinstance(value, Absent) else value)
            for name, value in self.fields.items()
        )

    def covers(self, version: Version) -> bool:
        """Whether `version` lies in the row's range."""
        first, last = self.versions
        return first <= version[: len(first)] and version[: len(last)] <= last

    def validate(self, alignments: Mapping[str, int]) -> None:
        """Check that the row has exactly the names of `alignments`, each a multiple of its alignment.

        Counts and sizes have alignment 1. Raises `ValueError`, which names the row and the field.
        """
        if different := sorted(set(alignments) ^ set(self.fields)):
            raise ValueError(f"{self.name}: missing or unknown fields: {', '.join(different)}")
        for name, value in self.fields.items():
            if isinstance(value, Absent):
                continue
            if not 0 <= value < MAX_OFFSET_BYTES or value % alignments[name]:
                raise ValueError(f"{self.name}: {name} = {value} is out of bounds or not aligned")


class Layouts:
    """The rows of one interpreter family, expanded and frozen; iterates in the order given."""

    def __init__(self, *rows: Row) -> None:
        """Expand `rows`, in which a ``like=`` names a row before it; raises `ValueError` otherwise."""
        expanded: dict[str, Row] = {}
        for row in rows:
            if row.name in expanded:
                raise ValueError(f"two rows are called {row.name}")
            expanded[row.name] = _expand(row, expanded)
        self._rows: Final = expanded

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def named(self, name: str) -> Row:
        """The row called `name`. Raises `KeyError`."""
        return self._rows[name]

    def find(self, version: Version, flavour: str = "") -> Row | None:
        """The row that describes `version` in this `flavour`, or None."""
        return next((row for row in self if row.flavour == flavour and row.covers(version)), None)

    def newest(self, flavour: str = "") -> Row | None:
        """The row of the highest versions in this `flavour`, or None."""
        return max(
            (row for row in self if row.flavour == flavour), key=lambda row: row.versions, default=None
        )

    @property
    def supported(self) -> str:
        """The minor versions that have a row, for people: ``3.11`` or ``3.9, 3.11 to 3.12 free-threaded``."""
        return ", ".join(
            dict.fromkeys(
                f"{_range_text(row.versions)} {row.flavour}".rstrip()
                for row in sorted(self, key=lambda row: row.versions)
            )
        )


def _expand(row: Row, earlier: Mapping[str, Row]) -> Row:
    fields: dict[str, int | Absent] = {}
    capabilities: dict[str, str] = {}
    if row.like:
        if row.like not in earlier:
            raise ValueError(f"{row.name} is like {row.like}, but no row before it has that name")
        fields.update(earlier[row.like].fields)
        capabilities.update(earlier[row.like].capabilities)
    fields.update(row.fields)
    capabilities.update(row.capabilities)
    return replace(row, fields=MappingProxyType(fields), capabilities=MappingProxyType(capabilities))


def _range_text(versions: tuple[Version, Version]) -> str:
    first, last = (".".join(map(str, version[:2])) for version in versions)
    return first if first == last else f"{first} to {last}"
