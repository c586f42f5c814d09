"""placeholder contract; the ELF room fills it."""

from __future__ import annotations


class ElfFile: ...
