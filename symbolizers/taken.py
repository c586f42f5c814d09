"""Names that the kernel took at the interrupt at which their code object was first seen.

Like a name that is read later, it is what the target says: only its length is known to be bounded.
"""

from __future__ import annotations

from typing import NamedTuple

from symbolizers.frame import CodeObject


class TakenName(NamedTuple):
    """What names a code object, as bytes of the target's memory; see ``name_head`` in profiler/bpf/records.h.

    `address` and `checksum` are those of the `RawFrame`. A text is None where it was left to the reader. Each
    language's ``name_X.h`` says which text is which, and what `details` holds.
    """

    address: int
    checksum: int
    first_line: int
    details: int
    texts: tuple[bytes | None, ...]


class TakenCode(NamedTuple):
    """A code object without a line table. Not `is_whole`: the reader can say more about its name or file."""

    code: CodeObject
    is_whole: bool
