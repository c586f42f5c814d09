"""Says which package's import a folded stack belongs to: that of the innermost import on it.

The stacks are those of ``python -c "import PACKAGE"``, recorded with ``--lines`` and ``--full-paths``. No
frame says what an extension module imports, so that this counts as a part of the extension module.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import NamedTuple

STANDARD_LIBRARY = "(standard library)"
NO_NAME = "(a marker in the place of the module)"
_FRAME = re.compile(r"(.+?) \((.+):(\d+)\)")
_MARKERS = ("[changed]", "[exited]", "[would fault]")
_FIND = "_find_and_load"
_FROM_LIST = "_handle_fromlist"
_EXTENSION = ("ExtensionFileLoader.create_module", "ExtensionFileLoader.exec_module")
_BOOTSTRAP = "<frozen importlib"
_SITE_PACKAGES = "/site-packages/"
_STANDARD_FOLDER = re.compile(r"<frozen (?!importlib)|/usr/lib/python3\.\d+/(?!dist-packages)")


class StackFrame(NamedTuple):
    """A frame of a folded line; a frame without a line is its whole text, with no file."""

    name: str
    file: str = ""
    line: int = 0


def parse(stack: str) -> list[StackFrame]:
    """The frames of a folded stack, without the process."""
    frames = []
    for text in stack.split(";")[1:]:
        found = _FRAME.fullmatch(text)
        frames.append(StackFrame(found[1], found[2], int(found[3])) if found else StackFrame(text))
    return frames


def package_of(module: str) -> str:
    """What a module counts as: the first two parts of its name, or the standard library."""
    first, _, rest = module.partition(".")
    if first in sys.stdlib_module_names or first.startswith("_sysconfigdata"):
        return STANDARD_LIBRARY
    return f"{first}.{rest.partition('.')[0]}" if rest else first


def module_of(file: str) -> str:
    """The module of a file below site-packages; empty for any other."""
    _, found, path = file.partition(_SITE_PACKAGES)
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") if found else ""


def package_of_file(file: str) -> str:
    """The package of a module's file; empty for a pseudo file, such as that of generated code."""
    if module := module_of(file):
        return package_of(module)
    return STANDARD_LIBRARY if _STANDARD_FOLDER.match(file) else ""


def package_of_stack(frames: Sequence[StackFrame], modules: AbstractSet[str], program: str) -> str | None:
    """The package whose import runs, or `NO_NAME`; None where the program's import does not run.

    `modules` are the names of all that is imported, `program` is the module that ``-c`` imports.
    """
    finds = [place for place, frame in enumerate(frames) if _is_bootstrap(frame) and frame.name == _FIND]
    if not finds or frames[0].name != "<module>":
        return None
    if any(frame.name in _MARKERS for frame in frames[finds[-1] :]):
        return NO_NAME
    importer = finds[-1]
    while _is_bootstrap(frames[importer]):
        importer -= 1
    by_extension = any(frame.name in _EXTENSION for frame in frames[importer : finds[-1]])
    if not by_extension and (ran := _innermost_module(frames[finds[-1] :])):
        return ran
    if frames[importer].name in _MARKERS:
        return NO_NAME
    by_list = any(frame.name == _FROM_LIST for frame in frames[importer : finds[-1]])
    imported = {package_of(name) for name in _imported(frames[importer], by_list, modules)}
    if len(imported) == 1:
        return imported.pop()
    return _innermost_module(frames[: importer + 1]) or package_of(program)


def _is_bootstrap(frame: StackFrame) -> bool:
    return frame.file.startswith(_BOOTSTRAP)


def _innermost_module(frames: Sequence[StackFrame]) -> str:
    for frame in reversed(frames):
        if frame.name == "<module>" and (package := package_of_file(frame.file)):
            return package
    return ""


def _imported(importer: StackFrame, by_list: bool, modules: AbstractSet[str]) -> set[str]:
    """The modules that the running import statement names; none where it is a call, or a C function's."""
    names: set[str] = set()
    for first, last, base, listed in _imports(importer.file):
        if first <= importer.line <= last:
            within = {f"{base}.{name}" for name in listed} & modules
            names |= within if by_list and within else {base}
    return names


@cache
def _imports(file: str) -> tuple[tuple[int, int, str, tuple[str, ...]], ...]:
    """First and last line, module and listed names of each import statement of a file."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError):
        return ()
    found: list[tuple[int, int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += ((node.lineno, node.end_lineno or node.lineno, each.name, ()) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            listed = tuple(each.name for each in node.names)
            found.append((node.lineno, node.end_lineno or node.lineno, _base(file, node), listed))
    return tuple(found)


def _base(file: str, node: ast.ImportFrom) -> str:
    """The whole name of the module that a ``from`` statement names."""
    if not node.level:
        return node.module or ""
    parts = module_of(file).split(".")
    is_package = file.endswith("/__init__.py")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])
