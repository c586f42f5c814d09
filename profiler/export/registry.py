"""The one list of output formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.profile.model import Profile


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a profile. `write` neither opens nor closes the stream."""

    name: str
    suffixes: tuple[str, ...]
    """Lower case, with the dot."""
    write: Callable[[Profile, BinaryIO], None]


def _known(name: str, *suffixes: str) -> Format:
    """The format of the module `name`, which is imported when it is used."""

    def write(profile: Profile, stream: BinaryIO) -> None:
        import_module(f"profiler.export.{name}").write(profile, stream)

    return Format(name, suffixes, write)


FORMATS: tuple[Format, ...] = (_known("svg", ".svg"), _known("folded", ".folded"))


class UnknownFormat(UsageError):
    """No format has this name, or this file's suffix; the message lists the known ones."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self.asked = asked

    def __str__(self) -> str:
        known = ", ".join(f"{known.name} ({' '.join(known.suffixes)})" for known in FORMATS)
        return f"no output format for {self.asked!r}; known formats: {known}"


def format_for(path: str, name: str | None = None) -> Format:
    """The format called `name`; without a name, the one that the suffix of `path` selects.

    Raises `UnknownFormat`.
    """
    if name is not None:
        found = [known for known in FORMATS if known.name == name]
    else:
        suffix = PurePath(path).suffix.lower()
        found = [known for known in FORMATS if suffix in known.suffixes]
    if not found:
        raise UnknownFormat(path if name is None else name)
    return found[0]
