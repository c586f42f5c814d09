"""The one list of languages, and which language a captured frame belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from symbolizers.base import AddressSpace, Interpreter, Language, Symbolizer, TaskReader, ThreadReader
from symbolizers.frame import CaptureKind
from symbolizers.python.language import PythonLanguage
from symbolizers.python.tasks import python_tasks
from symbolizers.python.threads import python_threads
from symbolizers.ruby.language import RubyLanguage


def languages() -> tuple[Language, ...]:
    """A fresh set of every language that is symbolized. Lifetime: the machine."""
    return (PythonLanguage(), RubyLanguage())


def thread_reader(interpreter: Interpreter, memory: AddressSpace) -> ThreadReader | None:
    """What reads the names of the threads of `interpreter`; None where the kernel has to know them.

    It does for Ruby, which tells it.
    """
    return python_threads(interpreter, memory) if interpreter.language == PythonLanguage.name else None


def task_reader(interpreter: Interpreter, memory: AddressSpace, symbolizer: Symbolizer) -> TaskReader | None:
    """What reads the tasks of `interpreter`; None where it has none that say who waits for them."""
    if interpreter.language == PythonLanguage.name:
        return python_tasks(interpreter, memory, symbolizer)
    return None


LANGUAGE_OF_KIND: Mapping[int, str] = {
    CaptureKind.PYTHON_CODE: "python",
    CaptureKind.RUBY_ISEQ: "ruby",
    CaptureKind.RUBY_CFUNC: "ruby",
}
