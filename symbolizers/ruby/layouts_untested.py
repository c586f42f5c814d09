"""Rows of Rubies that no machine here has: taken from what others publish, and never run.

All come from the structures that rbspy's ruby-structs (0.43) has for each release, made by bindgen from
Ruby's own headers. A C-compatible compiler's offsets of these agree with the rows of layouts.py for 2.7, 3.1,
3.3 and 3.4. Structures that are private to C files are assumed to be as in the row that a row is `like`,
except for a fiber's: these Rubies show no fiber's resumer.
"""

from __future__ import annotations

from typing import Final

from symbolizers.layout import ABSENT, Row

_SOURCE: Final = "vm_core.h, iseq.h, method.h, id.h and ruby.h of {}, as published by rbspy"
_UNTESTED: Final = {"tested": "no"}
_NO_IDS: Final = {"class_path_id": ABSENT, "class_attached_id": ABSENT}

UNTESTED: Final = (
    Row(
        name="ruby-2.6",
        versions=((2, 6), (2, 6)),
        like="ruby-2.7",
        source=_SOURCE.format("2.6.0, 2.6.3 and 2.6.10"),
        fields={"fiber_prev": ABSENT, "last_operator_id": 164, **_NO_IDS},
        capabilities=_UNTESTED,
    ),
    Row(
        name="ruby-2.5.4",
        versions=((2, 5, 4), (2, 5)),
        like="ruby-2.6",
        source=_SOURCE.format("2.5.4 to 2.5.9"),
        fields={
            "vm_threads": 320,
            "running": 288,
            "frame_size": 48,
            "body_local_iseq": 144,
            "body_parent_iseq": 136,
            "body_lines": 112,
            "body_lines_count": 200,
            "body_lines_index": ABSENT,
            "line_entry_size": 12,
            "line_entry_line": 4,
            "line_entry_position": 0,
            "last_operator_id": 166,
        },
        capabilities={"line_table": "positions"},
    ),
    Row(
        name="ruby-2.5",
        versions=((2, 5), (2, 5, 3)),
        like="ruby-2.5.4",
        source=_SOURCE.format("2.5.0 to 2.5.3"),
        fields={"vm_threads": 312},
    ),
    Row(
        name="ruby-3.0",
        versions=((3, 0), (3, 0)),
        like="ruby-3.1",
        source=_SOURCE.format("3.0.0, 3.0.4 and 3.0.7"),
        fields={
            "fiber_prev": ABSENT,
            "frame_size": 56,
            "line_entry_size": 8,
            "last_operator_id": 168,
            **_NO_IDS,
        },
        capabilities=_UNTESTED,
    ),
    Row(
        name="ruby-3.2",
        versions=((3, 2), (3, 2)),
        like="ruby-3.3",
        source=_SOURCE.format("3.2.0, 3.2.8 and 3.2.11") + "; where a class has its name is not known",
        fields={
            "ractor_node": 568,
            "ractor_threads": 304,
            "running": 520,
            "native_id": 8,
            "fiber_prev": ABSENT,
            "frame_size": 64,
            "class_path": ABSENT,
            "class_attached": ABSENT,
        },
        capabilities=_UNTESTED,
    ),
    Row(
        name="ruby-4.0",
        versions=((4, 0), (4, 0, 5)),
        like="ruby-3.4",
        source=_SOURCE.format("4.0.0 to 4.0.5"),
        fields={
            "ractor_node": 360,
            "ractor_threads": 184,
            "running": 312,
            "fiber_prev": ABSENT,
            "body_local_iseq": 176,
            "body_parent_iseq": 168,
            "class_attached": 136,
            "last_operator_id": 171,
        },
        capabilities=_UNTESTED,
    ),
    Row(
        name="ruby-4.0.6",
        versions=((4, 0, 6), (4, 0)),
        like="ruby-4.0",
        source=_SOURCE.format("4.0.6"),
        fields={"ractor_node": 368, "running": 320},
    ),
)
"""In the order in which they are like each other; all have the capability ``tested`` set to ``no``."""
