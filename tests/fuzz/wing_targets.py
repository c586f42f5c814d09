"""Ruby and PHP: iseqs, methods, functions and their lines, in forged memory."""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

from symbolizers.base import AddressSpace
from symbolizers.checksum import checksum
from symbolizers.frame import CAPTURE_KIND_SHIFT, CodeObject, RawFrame
from symbolizers.layout import Row
from symbolizers.php.functions import PhpSymbolizer
from symbolizers.php.kinds import PHP_FUNCTION, PHP_INTERNAL
from symbolizers.php.layouts import LAYOUTS as PHP_LAYOUTS
from symbolizers.ruby.iseqs import BODY_WORDS, METHOD_WORDS, RubySymbolizer
from symbolizers.ruby.kinds import RUBY_CFUNC, RUBY_ISEQ
from symbolizers.ruby.layouts import LAYOUTS as RUBY_LAYOUTS
from symbolizers.ruby.objects import RubyObjects
from tests.fuzz.memory import PAGE_BYTES, Image, Lying, seeds
from tests.fuzz.target import Target
from tests.support.php_heap import PhpHeap
from tests.support.ruby_heap import RubyHeap

_RUBY_ROWS: Final = tuple(RUBY_LAYOUTS)
_PHP_ROWS: Final = tuple(PHP_LAYOUTS)
_BASE: Final = 0x7F12_0000_0000
_HEAP_BYTES: Final = 1 << 17


def _check(code: CodeObject) -> None:
    assert len(code.name) <= 4 * 4 * 4200
    assert len(code.file) <= 4 * 4200
    assert len(code.starts) == len(code.lines) <= 1 << 18


@cache
def _ruby(variant: int) -> tuple[Image, RubyHeap, int, int]:
    heap = RubyHeap(_RUBY_ROWS[variant % len(_RUBY_ROWS)], _BASE, _HEAP_BYTES)
    method = heap.method(heap.klass(b"App::Job"))
    outer = heap.iseq(b"run")
    iseq = heap.iseq(b"block in run", outer)
    places = range(0, _HEAP_BYTES, PAGE_BYTES)
    pages = {(_BASE + at) // PAGE_BYTES: heap.content[at : at + PAGE_BYTES] for at in places}
    return Image(pages), heap, iseq if variant % 2 else outer, method


def _words(memory: AddressSpace, address: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", memory.read(address, 8 * count))


def _ruby_frame(row: Row, memory: Lying, iseq: int, method: int) -> RawFrame:
    """What the walker captures of a frame that runs `iseq`, or, without one, a C function, for `method`."""
    body = (0,) * BODY_WORDS
    if iseq:
        (at,) = _words(memory, iseq + row["iseq_body"], 1)
        body = _words(memory, at, BODY_WORDS)
    kind = RUBY_ISEQ if iseq else RUBY_CFUNC
    identity = checksum((*body, *_words(memory, method + 8, METHOD_WORDS)))
    return RawFrame(kind << CAPTURE_KIND_SHIFT | (iseq or method), 0, identity, method)


def _run_ruby(data: bytes) -> None:
    image, heap, iseq, method = _ruby(data[0] % (2 * len(_RUBY_ROWS)) if data else 0)
    memory = image.with_lies(data)
    objects = RubyObjects(heap.row, memory, heap.symbols)
    symbolizer = RubySymbolizer(heap.row, memory, objects, lines=True)
    for chosen in (iseq, 0):
        _check(symbolizer.read(_ruby_frame(heap.row, memory, chosen, method)))


@cache
def _php(variant: int) -> tuple[Image, PhpHeap, RawFrame, RawFrame]:
    heap = PhpHeap(_PHP_ROWS[variant % len(_PHP_ROWS)])
    scope = heap.class_(b"class@anonymous\0/srv/app.php:3$1f")
    user, internal = heap.function(b"run", scope=scope), heap.internal(b"usort", scope=scope)
    frames = heap.frame_of(user), heap.frame_of(internal, PHP_INTERNAL)
    return Image(heap.memory.pages), heap, *frames


def _run_php(data: bytes) -> None:
    image, heap, user, internal = _php(data[0] % len(_PHP_ROWS) if data else 0)
    memory = image.with_lies(data)
    now = PhpHeap(heap.row, memory)
    for frame in (
        now.frame_of(user.owner, PHP_FUNCTION),
        now.frame_of(internal.address % (1 << CAPTURE_KIND_SHIFT), PHP_INTERNAL),
    ):
        _check(PhpSymbolizer(heap.row, memory, lines=True).read(frame))


TARGETS: Final = (
    Target("ruby_code", lambda: seeds(2 * len(_RUBY_ROWS)), _run_ruby, most_bytes=200),
    Target("php_code", lambda: seeds(len(_PHP_ROWS)), _run_php, most_bytes=200),
)
