"""The one list of languages, and which language a captured frame belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from symbolizers.base import Language
from symbolizers.frame import CaptureKind
from symbolizers.python import PythonLanguage
from symbolizers.ruby import RubyLanguage


def languages() -> tuple[Language, ...]:
    """A fresh set of every language that is symbolized. Lifetime: the machine."""
    return (PythonLanguage(), RubyLanguage())


LANGUAGE_OF_KIND: Mapping[int, str] = {
    CaptureKind.PYTHON_CODE: "python",
    CaptureKind.RUBY_ISEQ: "ruby",
    CaptureKind.RUBY_CFUNC: "ruby",
}
