"""The list of languages: a folder of this package that has a module `descriptor` is one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Final

import symbolizers
from symbolizers.base import Language
from symbolizers.descriptor import LanguageDescriptor


def find_descriptors() -> tuple[LanguageDescriptor, ...]:
    """The descriptor of every language that is installed, by name."""
    packages = sorted(module.name for module in iter_modules(symbolizers.__path__) if module.ispkg)
    modules = [f"symbolizers.{name}.descriptor" for name in packages]
    return tuple(import_module(module).DESCRIPTOR for module in modules if find_spec(module) is not None)


LANGUAGES: Final = find_descriptors()

LANGUAGE_OF_KIND: Final[Mapping[int, str]] = {
    kind: language.name for language in LANGUAGES for kind in language.code_kinds
}
"""The language of a captured frame that is code, by its kind."""

PROGRAMS: Final = tuple(language.program for language in LANGUAGES)
"""Regular expressions of the names of programs that are interpreters."""

NAMERS: Final = {kind: language.name_code for language in LANGUAGES for kind in language.code_kinds}
"""What makes a code object of a name that was taken at the interrupt, by the kind of its frame."""

MARKERS: Final[Mapping[int, str]] = {
    kind: text for language in LANGUAGES for kind, text in language.markers.items()
}
"""The text that an annotation shows as, by its kind; kinds that are not here do not show."""

WORK: Final[Mapping[str, str]] = {
    name: text for language in LANGUAGES for name, text in language.work.items()
}
"""The markers that interpreters' own C functions show as, by the function's name."""

DEBUG_PACKAGES: Final[Mapping[str, str]] = {
    package: name for language in LANGUAGES for package, name in language.debug_packages.items()
}
"""As `LanguageDescriptor.debug_packages`."""

TASK_KINDS: Final = frozenset(language.task_kind for language in LANGUAGES if language.task_kind is not None)
"""The kinds of annotations that say which task runs."""


def languages() -> tuple[Language, ...]:
    """A fresh set of every language that is symbolized. Lifetime: the machine."""
    return tuple(language.load() for language in LANGUAGES)
