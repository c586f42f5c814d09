"""What the rest of pidflame knows of PHP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from symbolizers.descriptor import LanguageDescriptor, Palette
from symbolizers.php.kinds import (
    NAME,
    PHP_FUNCTION,
    PHP_INCLUDE,
    PHP_INCLUDE_ONCE,
    PHP_INTERNAL,
    PHP_REQUIRE,
    PHP_REQUIRE_ONCE,
)

if TYPE_CHECKING:
    from symbolizers.base import Language
    from symbolizers.taken import TakenCode, TakenName


def _load() -> Language:
    from symbolizers.php.language import PhpLanguage

    return PhpLanguage()


def _name(taken: TakenName) -> TakenCode | None:
    from symbolizers.php.taken import code_of

    return code_of(taken)


DESCRIPTOR: Final = LanguageDescriptor(
    name=NAME,
    title="PHP",
    load=_load,
    name_code=_name,
    palette=Palette(
        light=("#c0a3ee", "#cbabf0", "#bba6f4", "#d0b2f4"),
        dark=("#5d3f9a", "#68469c", "#563f9f", "#6d4da0"),
    ),
    code_kinds=(PHP_FUNCTION, PHP_INTERNAL, PHP_INCLUDE, PHP_INCLUDE_ONCE, PHP_REQUIRE, PHP_REQUIRE_ONCE),
    program=r"php(?:-fpm|-cgi)?[\d.]*",
    import_roots=("vendor", "usr/share/php"),
)
