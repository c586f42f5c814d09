"""Where CPython keeps asyncio's tasks and what a coroutine waits for.

Rows beside those of `symbolizers.python.layouts`, for user space alone, of builds with a GIL. Before 3.14 a
task does not say who waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layout import Layouts, Row

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "task_awaited_by": 8,
        "task_is_task": 1,
        "task_awaited_by_is_set": 1,
        "task_coroutine": 8,
        "coroutine_frame": 8,
        "coroutine_state": 1,
        "coroutine_awaiting_state": 1,
        "coroutine_cleared_state": 1,
        "frame_stack_pointer": 8,
        "awaited_below_top": 8,
        "int_size": 8,
        "int_size_bit": 1,
        "int_digits": 4,
    }
)
"""Every field of a row, with the alignment that its value must have (1: a byte or a number).

``task_is_task`` and ``task_awaited_by_is_set`` are bytes that are 0 or not; the first stands in futures too.
A coroutine holds its frame, at ``coroutine_frame``. While the byte ``coroutine_state`` is
``coroutine_awaiting_state``, what it awaits is on the stack of that frame, ``awaited_below_top`` bytes below
its top. It is over in the state ``coroutine_cleared_state``.
"""

TASKS: Final = Layouts(
    Row(
        name="tasks-3.14",
        versions=((3, 14), (3, 14)),
        source="section .AsyncioDebug of a 3.14.10 build; internal headers of libpython3.14-dev 3.14.10",
        fields={
            "task_awaited_by": 96,
            "task_is_task": 108,
            "task_awaited_by_is_set": 109,
            "task_coroutine": 128,
            "coroutine_frame": 72,
            "coroutine_state": 67,
            "coroutine_awaiting_state": 255,
            "coroutine_cleared_state": 4,
            "frame_stack_pointer": 64,
            "awaited_below_top": 8,
            "int_size": 16,
            "int_size_bit": 3,
            "int_digits": 24,
        },
    ),
    Row(
        name="tasks-3.15",
        versions=((3, 15), (3, 15)),
        like="tasks-3.14",
        source="section .AsyncioDebug of a 3.15.2 build; internal headers of libpython3.15-dev 3.15.2",
        fields={"coroutine_awaiting_state": 2, "coroutine_cleared_state": 5, "awaited_below_top": 16},
    ),
)
"""Oldest first."""
