"""Turns a profile's values into text: the one place, for every format.

Names come from targets, which are hostile: whatever a process calls itself or its functions, a text from
this file has no control characters, no `;` inside a name, and a bounded length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Thread, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, INLINED, KERNEL, MARKER, NATIVE, Frame

MAX_NAME_CHARACTERS = 512
MAX_LINE = (1 << 31) - 1
"""The perf map of a target can name any number."""
UNNAMED = "[unnamed]"
_SUFFIXES = {KERNEL: "k", GENERATED: "j", INLINED: "i"}
"""What says the kind behind a name."""
ELLIPSIS = "…"
WARNED_PROGRAMS = 5
"""How many programs have a warning of their own."""
SHOWN_HIT = 3
"""How many functions a warning names."""

ADVICE = {
    Reason.WOULD_FAULT: "--keep-partial keeps the rest of their stacks",
    Reason.UNSUPPORTED: "'pidflame doctor' tells what can't be read",
}
"""What can be done about a loss, by its reason."""

_UNPRINTABLE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # invisible, or changes direction
    "\u2028\u2029"  # end a line for some readers
    "\ud800-\udfff"  # lone surrogates: no encoding takes them
    "\ufff9-\ufffb\ufffe\uffff"  # annotations; XML forbids the last two
    "\U000e0000-\U000e007f"  # tags: invisible text
    "]"
)


def printable(text: str) -> str:
    r"""`text` on one line, as people can read it: what can't be printed becomes \xNN, \uNNNN, \UNNNNNNNN.

    The result is valid in UTF-8 and in XML 1.0. Printable text, spaces and backslashes stay as they are.
    """
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _name(text: str) -> str:
    """A name between two semicolons: cut at its end if it is too long, and never empty."""
    name = printable(text[: MAX_NAME_CHARACTERS + 1]).replace(";", ":")
    if len(name) > MAX_NAME_CHARACTERS:
        name = name[: MAX_NAME_CHARACTERS - 1] + ELLIPSIS
    return name if name.strip() else UNNAMED


def _file(text: str) -> str:
    """A file's path between two semicolons: cut at its start if it is too long, as its end tells more."""
    path = printable(text[-MAX_NAME_CHARACTERS - 1 :]).replace(";", ":")
    if len(path) > MAX_NAME_CHARACTERS:
        path = ELLIPSIS + path[1 - MAX_NAME_CHARACTERS :]
    return path


def root_text(root: Root) -> str:
    """``comm (pid)``, or ``comm (N ended)``; bytes of comm that are not UTF-8 show as \\xNN.

    A group is ``NAME``, or ``NAME × N`` if it is of N processes.
    """
    if root.is_group:
        return f"{root_name(root)} × {root.processes}" if root.processes > 1 else root_name(root)
    which = f"{root.processes} ended" if root.processes else str(root.pid)
    return f"{root_name(root)} ({which})"


def root_name(root: Root) -> str:
    """The name alone."""
    return _name(root.comm.decode("utf-8", "backslashreplace"))


def program_text(roots: Collection[Root]) -> str:
    """``comm (pid)`` for one process, ``comm × 40`` for several of one program; each root once."""
    count = sum(root.processes or 1 for root in roots)
    first = next(iter(roots))
    return f"{root_name(first)} × {count:,}" if count > 1 else root_text(first)


def container_text(container: str) -> str:
    """``[container NAME]``, before its processes."""
    return f"[container {_name(container)}]"


def thread_text(thread: Thread) -> str:
    """``thread NAME (tid)``, where other formats would show a frame."""
    return f"thread {thread_name(thread)} ({thread.tid})"


def thread_name(thread: Thread) -> str:
    """The name alone: the language's, or else the kernel's."""
    return _name(thread.name or thread.comm.decode("utf-8", "backslashreplace"))


def title_text(profile: Profile) -> str:
    """What was recorded, and where."""
    return f"{printable(profile.command) or 'CPU profile'} on {printable(profile.host) or 'unknown host'}"


def frame_text(frame: Frame) -> str:
    """One frame of a folded line: ``name (file:line)``, ``symbol (module)``, ``symbol_[k]`` or a marker.

    Generated code is ``name_[j]``, with a place where its runtime tells one, and inlined functions are
    ``name (file:line)_[i]``. Whatever a target calls a function, only kernel frames end with ``_[k]``, and
    only markers are ``[…]``.
    """
    if frame.kind in (GENERATED, INLINED):
        return f"{_with_place(_name(frame.name), frame)}_[{_SUFFIXES[frame.kind]}]"
    if frame.kind in (KERNEL, MARKER) or not frame.file:
        return marked_name(frame)
    return _with_place(_name(frame.name), frame)


def function_name(frame: Frame) -> str:
    """The name alone, for formats that hold the kind and the place of a frame beside it."""
    return _name(frame.name)


def marked_name(frame: Frame) -> str:
    """As `frame_text` but for the place, for formats that hold files and lines, and no kinds."""
    name = _name(frame.name)
    if frame.kind in _SUFFIXES:
        return f"{name}_[{_SUFFIXES[frame.kind]}]"
    if frame.kind == MARKER or (frame.kind == NATIVE and not frame.file):
        return name
    # Nor does what a target calls its function pass for a marker, or for the kernel.
    return f"{name} ()" if name.endswith("]") and name != UNNAMED else name


def file_text(frame: Frame) -> str:
    """The file of `frame`, see `Frame.file`; empty where none is known."""
    return "" if frame.kind in (KERNEL, MARKER) else _file(frame.file)


def line_number(frame: Frame) -> int:
    """The line in `file_text`, or 0; one that is beyond 31 bits is the last."""
    return min(max(frame.line, 0), MAX_LINE) if file_text(frame) else 0


def is_of_module(frame: Frame) -> bool:
    """Whether its file is the name of a module, and no source."""
    return frame.kind == NATIVE and frame.line <= 0


def _with_place(name: str, frame: Frame) -> str:
    """``name (file:line)``, as far as that is known."""
    if not frame.file:
        return name
    if frame.line <= 0:
        return f"{name} ({_file(frame.file)})"
    return f"{name} ({_file(frame.file)}:{frame.line})"


def counted_text(counts: Mapping[Reason, int], what: str, form: str = ",") -> str:
    """``22 dropped (would_fault 20, exited 2)``, most first; ``0 dropped`` where nothing was.

    `form` is the format of the numbers.
    """
    reasons = sorted((-count, reason.value) for reason, count in counts.items() if count)
    total = f"{sum(counts.values()):{form}} {what}"
    if not reasons:
        return total
    return f"{total} ({', '.join(f'{name} {-count:{form}}' for count, name in reasons)})"


def losses_text(losses: Losses) -> str:
    """The ledger of a run on one line, for titles and summaries."""
    return " · ".join(
        (
            f"{losses.samples:,} samples",
            f"{losses.symbolized:,} symbolized",
            *([counted_text(losses.partial, "partial")] if any(losses.partial.values()) else []),
            counted_text(losses.dropped, "dropped"),
            f"{losses.lost:,} lost",
        )
    )


NO_SAMPLE = (
    "no sample was taken: only what uses a CPU is sampled, and all that was recorded slept, waited, or ended"
    " too soon; record for longer, or at a higher frequency (-F)"
)


def warnings(losses: Losses) -> list[str]:
    """A sentence for each program with a loss that matters, those with most samples first; mostly none.

    That nothing was sampled at all is one, too.
    """
    if not losses.samples + losses.lost:
        return [NO_SAMPLE]
    programs: dict[bytes, list[ProcessLosses]] = {}
    for row in losses.per_process:
        if row.verdict.significant:
            programs.setdefault(row.root.comm, []).append(row)
    groups = sorted(programs.values(), key=lambda rows: -sum(row.samples for row in rows))
    sentences = [_program_warning(rows) for rows in groups[:WARNED_PROGRAMS]]
    more = len(groups) - WARNED_PROGRAMS
    if more > 0:
        unit = "program" if more == 1 else "programs"
        sentences.append(f"{more} more {unit} lost samples that matter; --stats marks their processes")
    if losses.rest.significant:
        reasons: Counter[str] = Counter(lost=losses.lost)
        for row in losses.per_process:
            if not row.verdict.significant:
                reasons.update(_by_name(row.dropped))
                reasons.update(_by_name(row.partial))
        another = "another " if groups else ""
        sentences.append(
            f"{another}{_share_text(losses.rest)} of all samples don't show what ran ({_names(reasons)}):"
            " it looks smaller than it was"
        )
    return sentences


def _program_warning(rows: Sequence[ProcessLosses]) -> str:
    """The warning about the processes of one program whose losses matter."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(_by_name(row.dropped))
        counts.update(_by_name(row.partial))
    features = {feature.value: None for row in rows for feature in row.verdict.unlike}
    unlike = " and ".join(features)
    consequence = (
        f"they are unlike the kept ones (by {unlike}): some of its functions look much smaller than they are"
        if unlike
        else "its functions look smaller than they are"
    )
    shares = _share_text(rows[0].verdict) if len(rows) == 1 else _shares_text(rows)
    of = f"{program_text([row.root for row in rows])}'s samples"
    lack = "lack the name of the function that ran" if any(map(_is_partial, rows)) else "were dropped"
    hit = _hit_most(rows)
    near = f"; most were in or near {', '.join(map(frame_text, hit))}" if hit else ""
    dropped = {reason for row in rows for reason, count in row.dropped.items() if count}
    advice = "".join(f"; {text}" for reason, text in ADVICE.items() if reason in dropped)
    return f"{shares} of {of} {lack} ({_names(counts)}): {consequence}{near}{advice}"


def _is_partial(row: ProcessLosses) -> bool:
    return any(row.partial.values())


def _hit_most(rows: Sequence[ProcessLosses]) -> list[Frame]:
    """The functions that losses hit most, of processes that each name a few; those of large losses first."""
    weights: Counter[Frame] = Counter()
    for row in rows:
        for place, function in enumerate(row.hit):
            weights[function] += round(row.verdict.share * row.samples) // (place + 1) + 1
    return [function for function, _ in weights.most_common(SHOWN_HIT)]


def _shares_text(rows: Sequence[ProcessLosses]) -> str:
    """``12.3 % (8.1 to 20.4 of each process)``: the share of all, and the least and the most of one."""
    shares = [row.verdict.share for row in rows]
    samples = sum(row.samples for row in rows)
    share = sum(row.verdict.share * row.samples for row in rows) / samples
    return f"{100 * share:.1f} % ({100 * min(shares):.1f} to {100 * max(shares):.1f} of each process)"


def _by_name(counts: Mapping[Reason, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in counts.items()}


def _share_text(verdict: Verdict) -> str:
    """``12.3 % (10.1 to 14.8)``: the share and its interval."""
    return f"{100 * verdict.share:.1f} % ({100 * verdict.low:.1f} to {100 * verdict.high:.1f})"


def _names(counts: Mapping[str, int]) -> str:
    """The names of what was counted, most first."""
    return ", ".join(
        name for count, name in sorted((-count, name) for name, count in counts.items()) if count
    )
