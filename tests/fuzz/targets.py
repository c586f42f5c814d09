"""All targets of the fuzz lane."""

from __future__ import annotations

from typing import Final

from tests.fuzz import elf_targets, generated_targets, python_targets, text_targets, wing_targets
from tests.fuzz.target import Target

TARGETS: Final[tuple[Target, ...]] = (
    *elf_targets.TARGETS,
    *generated_targets.TARGETS,
    *python_targets.TARGETS,
    *wing_targets.TARGETS,
    *text_targets.TARGETS,
)
