"""What the rest of pidflame knows about a language: plain values that cost next to nothing to import.

A language is a folder beside this file. Its module ``descriptor`` holds one `LanguageDescriptor` called
``DESCRIPTOR``; `symbolizers.registry` finds it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from symbolizers.base import Language
    from symbolizers.taken import TakenCode, TakenName

Shades = tuple[str, str, str, str]
"""Four near colours of one hue, each ``#rrggbb``, so that neighbours in a flame graph differ."""


class Palette(Struct, frozen=True):
    """The colours of a language's frames: on a light page under dark text, on a dark one under light text."""

    light: Shades
    dark: Shades


class LanguageDescriptor(Struct, frozen=True):
    """One language. `name` (a lower-case word) is the kind of its frames, and the X of three headers.

    These are in profiler/bpf: ``walk_X.h`` defines the program ``on_X``, ``name_X.h`` the program
    ``on_name_X``, ``X_layout.h`` the ``enum X_kind`` and the ``struct X_layout``. `title` is the name for
    people. `load` gives a fresh `Language`. It imports what that needs only when it is called, and the main
    process never calls it. `name_code` makes a code object of what the second program took, None of too
    little.
    """

    name: str
    title: str
    load: Callable[[], Language]
    name_code: Callable[[TakenName], TakenCode | None]
    palette: Palette
    code_kinds: tuple[int, ...]
    """The kinds of `RawFrame`s that are code: numbers below `FIRST_ANNOTATION_KIND`, used by no other."""
    program: str
    """A regular expression of the names of programs that are this interpreter and nothing else."""
    markers: Mapping[int, str] = field(default_factory=dict)
    """The kinds of annotations that show as a marker in their place, each with its text: ``[gc]``."""
    work: Mapping[str, str] = field(default_factory=dict)
    """C functions of the interpreter, by name, that show as a marker in their place by default: ``[gc]``.

    No other program has functions of these names. Where others may, the file is told, too: the program's, or
    that of its source, as in ``collect (gcmodule.c)``."""
    task_kind: int | None = None
    """The kind of annotation that is the running task: `address` and `owner` are its address and identity."""
    import_roots: tuple[str, ...] = ()
    """Regular expressions of the folders that code is imported from, which a file's short name leaves out."""
    frame_type: str = ""
    """What OpenTelemetry calls its frames (``profile.frame.type``), unless it is `name`."""
    debug_packages: Mapping[str, str] = field(default_factory=dict)
    """Packages (regular expressions) without a ``PACKAGE-dbgsym``, each with that of their symbols."""
    pseudo_files: tuple[str, ...] = ()
    """Prefixes of pseudo file names: ``<frozen os>``."""
