"""What the rest of pidflame knows about CPython."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from symbolizers.descriptor import LanguageDescriptor, Palette
from symbolizers.python.kinds import NAME, PYTHON_CODE, PYTHON_TASK

if TYPE_CHECKING:
    from symbolizers.base import Language
    from symbolizers.taken import TakenCode, TakenName


_WITH_COLLECT: Final = ("2.7", "3.4m", "3.5m", "3.6m", "3.7m", *(f"3.{minor}" for minor in range(4, 10)))
_COLLECTING: Final = (
    *("PyGC_Collect", "_PyGC_Collect", "_PyGC_CollectNoFail", "_PyGC_CollectIfEnabled", "_Py_RunGC"),
    *("collect_generations", "collect_with_callback"),  # until 3.9
    *("gc_collect_generations", "gc_collect_with_callback", "gc_collect_main"),  # from 3.10 on
    *("gc_collect_young", "gc_collect_increment", "gc_collect_full", "gc_collect_region"),  # from 3.14 on
    "gc_collect_internal",  # without the GIL
    # Until 3.9, in a function whose name is not CPython's alone.
    "collect (gcmodule.c)",
    *(f"collect (python{version})" for version in _WITH_COLLECT),
    *(f"collect (libpython{version}.so.1.0)" for version in _WITH_COLLECT),
)
"""C functions that collect garbage, each of which may be inlined into another.

From Modules/gcmodule.c (2.7 to 3.12), and Python/gc.c, gc_free_threading.c and ceval_gil.c.
"""
_ENDING: Final = ("Py_FinalizeEx", "Py_Finalize", "_Py_Finalize")
"""C functions that end the interpreter, from Python/pylifecycle.c."""


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
    work=dict.fromkeys(_COLLECTING, "[gc]") | dict.fromkeys(_ENDING, "[interpreter exit]"),
    task_kind=PYTHON_TASK,
    frame_type="cpython",
    import_roots=(
        r"(?:site|dist)-packages",
        r"lib(?:64)?/python\d+\.\d+t?",  # a standard library, t: of a free-threaded build
        r"[^/]+\.(?:zip|egg|pyz)",  # imported from an archive
    ),
    debug_packages={r"(?:lib)?(python\d\.\d+)(?:-minimal|-stdlib)?": r"\1-dbg"},
    pseudo_files=("<",),
)
