"""Short names of native functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.profile import Sample
from profiler.profile.model import Root
from profiler.profile.naming import with_names
from profiler.profile.short_names import short_name
from symbolizers.frame import NATIVE, Frame

NAMES = [
    ("main", "main"),
    (
        "void std::__introsort_loop<a::b<int*, c<int>>, long, d>(a::b<int*, c<int>>, long, d)",
        "std::__introsort_loop<…>",
    ),
    ("std::vector<int, std::allocator<int>>::push_back(int&&)", "std::vector<…>::push_back"),
    ("std::vector<int, std::allocator<int>>::push_back(int&&) (.constprop.0)", "std::vector<…>::push_back"),
    ("(anonymous namespace)::foo(int)", "(anonymous namespace)::foo"),
    ("int (anonymous namespace)::foo<int>(int)", "(anonymous namespace)::foo<…>"),
    ("Foo::operator()(int) const", "Foo::operator()"),
    ("Foo& Foo::operator<<<int>(int)", "Foo::operator<<<…>"),
    ("bool operator< <int>(Foo<int> const&, int)", "operator< <…>"),
    ("operator<<(std::ostream&, Foo const&)", "operator<<"),
    ("Foo::operator->()", "Foo::operator->"),
    ("Foo::operator std::string()", "Foo::operator std::string"),
    ("operator new(unsigned long)", "operator new"),
    ("main::'lambda'(int)::operator()(int) const", "main::'lambda'::operator()"),
    ("main::{lambda(int)#1}::operator()(int) const", "main::{lambda#1}::operator()"),
    ("foo::~foo()", "foo::~foo"),
    ("void foo<int>(int) (.isra.0)", "foo<…>"),
    ("foo[abi:cxx11](int)", "foo[abi:cxx11]"),
    ("Foo::bar(void (*)(int))", "Foo::bar"),
    ("void (*get(int))(double)", "void (*get(int))(double)"),
    ("unsigned long f<(A)1>(int)", "f<…>"),
    ("f<&A::operator->>(int)", "f<…>"),
    ("non-virtual thunk to Foo::bar(int)", "non-virtual thunk to Foo::bar(int)"),
    ("guard variable for main::x<int>", "guard variable for main::x<int>"),
    ("core::ptr::drop_in_place<std::rt::lang_start<()>::{{closure}}>", "core::ptr::drop_in_place<…>"),
    ("<alloc::vec::Vec<u8> as core::fmt::Debug>::fmt", "<alloc::vec::Vec<…> as core::fmt::Debug>::fmt"),
    ("<T as core::convert::Into<U>>::into", "<T as core::convert::Into<…>>::into"),
    ("<test::Foo as test::Bar<fn() -> u8>>::baz", "<test::Foo as test::Bar<…>>::baz"),
    ("main.(*Server).Serve", "main.(*Server).Serve"),
    ("main.Map[go.shape.int]", "main.Map[go.shape.int]"),
    ("f(", "f("),
    ("f<", "f<"),
    ("a<b", "a<b"),
    ("()", "()"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "short"), NAMES)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short


@given(st.text("<>()a: ->operator~[]{}'as,", max_size=60))
def test_any_name_can_be_shortened(name: str) -> None:
    short = short_name(name)
    assert bool(short) == bool(name)
    assert short.count("\0") == 0


def test_it_ends_soon_whatever_the_brackets() -> None:
    for name in ("<" * 1024, "(" * 1024, "<" * 512 + ">" * 512, "f<" * 341 + ">" * 341, "<a as " * 170):
        assert short_name(name)


def test_only_native_frames_are_shortened() -> None:
    native, other = Frame(NATIVE, "f<int>(int)", "lib.so"), Frame("python", "f<int>(int)", "x.py", 1)
    unnamed = Frame(NATIVE, "[anon:a(b)]")
    samples = [Sample(Root(b"x", 1), (native, other, unnamed), 1)]
    (sample,) = with_names(samples, full_paths=True)
    assert sample.frames == (native._replace(name="f<…>"), other, unnamed)
