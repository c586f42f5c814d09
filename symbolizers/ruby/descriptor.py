"""What the rest of pidflame knows about Ruby."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from symbolizers.descriptor import LanguageDescriptor, Palette
from symbolizers.ruby.kinds import NAME, RUBY_CFUNC, RUBY_GARBAGE, RUBY_ISEQ

if TYPE_CHECKING:
    from symbolizers.base import Language
    from symbolizers.taken import TakenCode, TakenName


def _load() -> Language:
    from symbolizers.ruby.language import RubyLanguage

    return RubyLanguage()


def _name(taken: TakenName) -> TakenCode | None:
    from symbolizers.ruby.taken import code_of

    return code_of(taken)


DESCRIPTOR: Final = LanguageDescriptor(
    name=NAME,
    title="Ruby",
    load=_load,
    name_code=_name,
    palette=Palette(
        light=("#ee81aa", "#ed87bf", "#fa8aaf", "#fa8fc0"),
        dark=("#9e295f", "#9e3073", "#aa3262", "#aa3873"),
    ),
    code_kinds=(RUBY_ISEQ, RUBY_CFUNC),
    program=r"ruby[\d.]*",
    markers={RUBY_GARBAGE: "[gc]"},
    import_roots=(
        r"gems/[^/]+/lib",
        r"ruby/\d+\.\d+\.\d+",
        r"(?:vendor|site)_ruby(?:/\d+\.\d+\.\d+)?",
    ),
    pseudo_files=("<", "("),  # <internal:gc>, (eval at …)
)
