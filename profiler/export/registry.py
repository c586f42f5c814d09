"""The one list of output formats."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.profile.model import Profile


class Format(Struct, frozen=True):
    """A way to write a profile. `write` neither opens nor closes the stream."""

    name: str
    suffixes: tuple[str, ...]
    """Lower case, with the dot."""
    write: Callable[[Profile, BinaryIO], None]
    detailed: bool = False
    """Whether it is made of a recording: `write` wants samples by thread, with `times_ms`."""


@contextmanager
def _without_collections() -> Iterator[None]:
    """Millions of tuples are made, which form no cycles: to look for some takes a sixth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _known(name: str, *suffixes: str, detailed: bool = False) -> Format:
    """The format of the module `name`, which is imported when it is used."""

    def write(profile: Profile, stream: BinaryIO) -> None:
        module = import_module(f"profiler.export.{name}")
        with _without_collections():
            module.write(profile, stream)

    return Format(name, suffixes, write, detailed)


def _refuse(profile: Profile, stream: BinaryIO) -> None:
    raise UsageError("a recording is written while it is recorded; copy its file to have it elsewhere")


RECORDING = Format("pidflame", (".pidflame",), _refuse, detailed=True)
"""The recording itself. Whoever has recorded it copies it; it can't be made of a profile."""
FORMATS: tuple[Format, ...] = (
    _known("svg", ".svg"),
    _known("folded", ".folded"),
    _known("html", ".html", detailed=True),
    _known("speedscope", ".speedscope.json", detailed=True),
    _known("pprof", ".pb.gz", ".pprof", detailed=True),
    _known("firefox", ".json.gz", detailed=True),
    _known("otlp", ".otlp", detailed=True),
)
"""Those that are made of a profile."""
ALL = (*FORMATS, RECORDING)


def formats_of(outputs: Sequence[str], name: str | None) -> list[Format]:
    """What to write to each of the `outputs`, with the format called `name` if there is one.

    Without outputs: what is written by default. Raises `UnknownFormat`.
    """
    if not outputs:
        return [format_for("", name)] if name else [RECORDING, format_for("", "html")]
    return [format_for(path, name or ("folded" if path == "-" else None)) for path in outputs]


def needs_recording(formats: Iterable[Format]) -> bool:
    """Whether any of them is made of one."""
    return any(format_.detailed for format_ in formats)


class UnknownFormat(UsageError):
    """No format has this name, or this file's suffix; the message lists the known ones."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self.asked = asked

    def __str__(self) -> str:
        known = ", ".join(f"{known.name} ({' '.join(known.suffixes)})" for known in ALL)
        return f"no output format for {self.asked!r}; the file's suffix, or -f, chooses one of {known}"


def format_for(path: str, name: str | None = None) -> Format:
    """The format called `name`; without a name, the one that the suffix of `path` selects, of two the longer.

    Raises `UnknownFormat`.
    """
    if name is not None:
        found = [known for known in ALL if known.name == name]
    else:
        # The longest suffix first. A name that is nothing but a suffix has none.
        file = PurePath(path).name.lower()[1:]
        by_suffix = {suffix: known for known in ALL for suffix in known.suffixes}
        found = [by_suffix[suffix] for suffix in sorted(by_suffix, key=len)[::-1] if file.endswith(suffix)]
    if not found:
        raise UnknownFormat(path if name is None else name)
    return found[0]
