"""Golden pairs: one small profile with every kind of frame and of trouble, in every format.

``PIDFLAME_BLESS=1`` writes the files anew; look at the difference before you keep it. A missing file is
a failure.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from msgspec.structs import replace

from profiler.export import diff_html, otlp
from profiler.export.registry import FORMATS, Format
from profiler.profile.diff import compare
from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Sample, Thread
from symbolizers.errors import Reason
from symbolizers.frame import KERNEL, MARKER, NATIVE, Frame
from tests.support.page_reader import PageData
from tests.support.readers.messages import otlp_profiles, pprof_profile

DATA = Path(__file__).parent / "data"

WEB = Root(b"gunicorn", 2211)
HOSTILE = Root(b"\xff;\n<evil>", 66)
MAIN = Frame("python", "<module>", "/srv/app.py", 1)
VIEW = Frame("python", "OrderView.get", "/srv/views.py", 40)
READ = (
    Frame(NATIVE, "read", "libc.so.6"),
    Frame(KERNEL, "do_syscall_64"),
    Frame(KERNEL, "vfs_read"),
)

PROFILE = Profile(
    samples=(
        Sample(WEB, (MAIN, VIEW), 30),
        Sample(WEB, (MAIN, VIEW, *READ), 12),
        Sample(WEB, (MAIN, Frame("python", "len")), 3),
        Sample(Root(b"gunicorn", 301), (MAIN,), 4),
        Sample(
            Root(b"puma: cluster 0", 881),
            (Frame("ruby", "<main>", "config.ru", 1), Frame("ruby", "Array#each")),
            20,
        ),
        Sample(Root(b"celery", 55), (MAIN,), 3, Thread(b"celery", 55)),
        Sample(Root(b"celery", 55), (MAIN,), 6, Thread(b"beat;", 57)),
        Sample(Root(b"node", 3130), (Frame(NATIVE, "[node+0x1c3f0]"),), 9),
        Sample(
            HOSTILE,
            (
                Frame(MARKER, "[truncated]"),
                Frame("python", "a;b\n<script>alert(1)</script>", "x;y\u2028.py", 3),
                Frame("python", "日本語 12", "", 0),
                Frame(NATIVE, "\udcff\u202egnp.exe", ""),
                Frame(NATIVE, "", "lib;c.so"),
            ),
            2,
        ),
    ),
    losses=Losses(
        samples=111,
        symbolized=89,
        dropped={Reason.WOULD_FAULT: 20, Reason.EXITED: 2, Reason.STALLED: 0},
        lost=1,
        per_process=(
            ProcessLosses(WEB, 65, 45, {Reason.WOULD_FAULT: 20}),
            ProcessLosses(HOSTILE, 2, 2, {}, "PHP 9.1 is not supported"),
        ),
    ),
    host="web-01",
    started_at="2026-11-23T01:07:03+01:00",
    duration_s=2.55,
    frequency_hz=20,
    cpus=2,
    command="whole system",
    notes=("22 of 111 samples could not be symbolized.",),
)


def _page_data(contents: bytes) -> str:
    """The tables of the page, without its own script and style."""
    data = PageData(contents.decode("utf-8"))
    tables = {
        name: table for name, table in data.head.items() if name not in ("columns", "kinds", "verdicts")
    }
    values = {**tables, **data.columns}.items()
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in values)


def _without_script(contents: bytes) -> str:
    """The picture without its own script, which would fill the golden file."""
    text = contents.decode("utf-8")
    return re.sub(r"<script><!\[CDATA\[.*\]\]></script>", "<script/>", text, flags=re.DOTALL)


def _lines(document: object) -> str:
    """JSON, with each list of plain values on one line."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return re.sub(r"\[\n[^\[\]{}]*\]", lambda match: " ".join(match[0].split()), text)


SHOWN: Mapping[str, tuple[str, Callable[[bytes], str]]] = {
    "svg": ("export.svg", _without_script),
    "folded": ("export.folded", bytes.decode),
    "html": ("export.html", _page_data),
    "speedscope": ("export.speedscope.json", lambda contents: _lines(json.loads(contents))),
    "pprof": ("export.pprof.json", lambda contents: _lines(MessageToDict(pprof_profile(contents)))),
    "firefox": ("export.firefox.json", lambda contents: _lines(json.loads(gzip.decompress(contents)))),
    "otlp": (
        "export.otlp.json",
        lambda contents: _lines(MessageToDict(otlp_profiles(contents))).replace(otlp.version(), "VERSION"),
    ),
}
"""By format: the golden file, and what it holds, as text that a person can review."""


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_output_is_as_blessed(known: Format) -> None:
    stream = BytesIO()
    known.write(PROFILE, stream)
    name, show = SHOWN[known.name]
    check(name, show(stream.getvalue()))


def test_a_comparison_is_as_blessed() -> None:
    stream = BytesIO()
    fewer = tuple(sample for sample in PROFILE.samples if sample.root != HOSTILE)
    later = replace(PROFILE, samples=(*fewer, Sample(WEB, (MAIN, *READ), 90)), host="web-02", notes=())
    diff_html.write(compare(PROFILE, later), stream)
    check("diff.html", _page_data(stream.getvalue()))


def check(name: str, text: str) -> None:
    """It is what the golden file of this name holds."""
    golden = DATA / name
    if os.environ.get("PIDFLAME_BLESS") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
