"""Shortened file names: what is cut, what stays, and that no two files of a process become one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.profile.model import Root, Sample, Thread
from profiler.profile.naming import with_names
from profiler.profile.paths import short_file
from symbolizers.frame import NATIVE, Frame
from symbolizers.registry import LANGUAGES
from tests.support.export_samples import ANY_TEXT, SAMPLES
from tests.support.slowness import slowness

PIECES = ("", "a", "b", "lib", "python3.11", "site-packages", "x.zip", "gems", "ruby", "3.1.0", "<f>", "c.py")
FILES = st.lists(st.sampled_from(PIECES), max_size=7).map("/".join) | ANY_TEXT


@pytest.mark.parametrize(
    ("file", "short"),
    [
        ("/usr/lib/python3.11/json/decoder.py", "json/decoder.py"),
        ("/usr/lib/python2.7/site-packages/yaml/reader.py", "yaml/reader.py"),
        ("/usr/lib/python3/dist-packages/apt/cache.py", "apt/cache.py"),
        ("/srv/venv/lib64/python3.13t/site-packages/pkg/a/b/c.py", "pkg/a/b/c.py"),
        ("venv/lib/python3.9/site-packages/six.py", "six.py"),
        ("site-packages/six.py", "six.py"),
        ("/opt/lib/python3.9/site-packages/app/lib/python3.2/old.py", "old.py"),
        ("/usr/lib/python311.zip/zipfile.py", "zipfile.py"),
        ("/srv/app.pyz/pkg/sub/mod.py", "pkg/sub/mod.py"),
        ("/var/lib/gems/3.1.0/gems/rack-2.2.4/lib/rack/builder.rb", "rack/builder.rb"),
        ("/srv/bundle/ruby/3.1.0/bundler/gems/my-1a2b3c/lib/my.rb", "my.rb"),
        ("/usr/lib/ruby/3.1.0/set.rb", "set.rb"),
        ("/usr/lib/ruby/vendor_ruby/rubygems/specification.rb", "rubygems/specification.rb"),
        ("/usr/local/lib/site_ruby/3.1.0/x/y.rb", "x/y.rb"),
        ("/srv/shop/orders/views.py", "orders/views.py"),
        ("/srv/views.py", "/srv/views.py"),
        ("/views.py", "/views.py"),
        ("shop/orders/views.py", "shop/orders/views.py"),
        ("/srv/zip/a.py", "zip/a.py"),
        ("/srv/my-site-packages/a.py", "my-site-packages/a.py"),
        ("/srv/site-packages/", "site-packages/"),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
        ("<string>", "<string>"),
        ("<internal:/usr/lib/ruby/vendor_ruby/rubygems/core_ext/kernel_require.rb>",) * 2,
        ("(eval at /usr/lib/ruby/3.3.0/erb.rb:429)",) * 2,
        ("", ""),
    ],
)
def test_a_file_is_called_as_it_is_imported(file: str, short: str) -> None:
    language = "ruby" if "ruby" in file or file.endswith(".rb") else "python"
    assert short_file(language, file) == short


def python(file: str) -> Frame:
    return Frame("python", "main", file, 1)


def test_two_files_of_a_process_stay_two() -> None:
    one, other, third = (
        python("/srv/a/app/run.py"),
        python("/srv/b/app/run.py"),
        python("/srv/c/app/other.py"),
    )
    samples = [Sample(Root(b"x", 1), (one, other, third), 2), Sample(Root(b"x", 2), (one,), 3)]
    first, second = with_names(samples, full_names=True)
    assert first == Sample(Root(b"x", 1), (one, other, python("app/other.py")), 2)
    assert second == Sample(Root(b"x", 2), (python("app/run.py"),), 3)


def test_only_source_files_are_shortened() -> None:
    module = Frame(NATIVE, "f", "/usr/lib/python3.11/lib-dynload/_json.so")
    source = Frame(NATIVE, "g", "/home/build/src/module/scan.c", 7)
    ruby = Frame("ruby", "Set#add", "/usr/lib/ruby/3.1.0/set.rb", 500)
    thread = Thread(b"worker", 9)
    (sample,) = with_names([Sample(Root(b"x", 1), (module, source, ruby), 1, thread)], full_names=True)
    shown = module, source._replace(file="module/scan.c"), ruby._replace(file="set.rb")
    assert sample == Sample(Root(b"x", 1), shown, 1, thread)


@given(st.lists(FILES, max_size=12), st.integers(1, 2))
def test_different_functions_stay_different(files: list[str], pid: int) -> None:
    samples = [Sample(Root(b"x", pid), (python(file),), 1) for file in files]
    shown = [sample.frames[0].file for sample in with_names(samples, full_names=True)]
    assert len(set(shown)) == len(set(files))


@given(st.lists(SAMPLES, max_size=6))
def test_nothing_but_files_changes(samples: list[Sample]) -> None:
    for before, after in zip(samples, with_names(samples, full_names=True), strict=True):
        assert (after.root, after.count) == (before.root, before.count)
        assert [frame._replace(file="") for frame in after.frames] == [
            frame._replace(file="") for frame in before.frames
        ]


@pytest.mark.parametrize(
    "piece", ["/", "a", ".zip", "/gems/a", "/lib/python3.1", "/ruby/3.1.0", "ruby/1", "1."]
)
def test_the_time_for_a_hostile_name_grows_with_its_length_only(piece: str) -> None:
    file = "/" + piece * (1_000_000 // len(piece))
    began_s = time.process_time()
    for language in LANGUAGES:
        short_file(language.name, file)
    assert time.process_time() - began_s < 5 * slowness()
