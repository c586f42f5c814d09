"""What the rest of pidflame knows about CPython."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from symbolizers.descriptor import LanguageDescriptor, Palette
from symbolizers.python.kinds import NAME, PYTHON_CODE, PYTHON_TASK

if TYPE_CHECKING:
    from symbolizers.base import Language
    from symbolizers.taken import TakenCode, TakenName


def _load() -> Language:
    from symbolizers.python.language import PythonLanguage

    return PythonLanguage()


def _name(taken: TakenName) -> TakenCode | None:
    from symbolizers.python.taken import code_of

    return code_of(taken)


DESCRIPTOR: Final = LanguageDescriptor(
    name=NAME,
    title="Python",
    load=_load,
    name_code=_name,
    palette=Palette(
        light=("#e7ba54", "#f7b95d", "#eec55e", "#fbc563"),
        dark=("#875f05", "#925f18", "#8e6915", "#97691f"),
    ),
    code_kinds=(PYTHON_CODE,),
    program=r"python[\d.]*[dt]*",
    task_kind=PYTHON_TASK,
    frame_type="cpython",
    import_roots=(
        r"(?:site|dist)-packages",
        r"lib(?:64)?/python\d+\.\d+t?",  # a standard library, t: of a free-threaded build
        r"[^/]+\.(?:zip|egg|pyz)",  # imported from an archive
    ),
    pseudo_files=("<",),
)
