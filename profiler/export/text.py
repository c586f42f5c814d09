"""Turns a profile's values into text: the one place, for every format.

Names come from targets, which are hostile: whatever a process calls itself or its functions, a text from
this file has no control characters, no `;` inside a name, and a bounded length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from profiler.profile.model import Losses, ProcessLosses, Root, Thread, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import KERNEL, MARKER, NATIVE, Frame

MAX_NAME_CHARACTERS = 512
UNNAMED = "[unnamed]"
ELLIPSIS = "…"
WARNED_PROCESSES = 5
"""How many processes have a warning of their own."""

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
    """``comm (pid)``, or ``comm (N ended)``; bytes of comm that are not UTF-8 show as \\xNN."""
    which = f"{root.processes} ended" if root.processes else str(root.pid)
    return f"{root_name(root)} ({which})"


def root_name(root: Root) -> str:
    """The name alone."""
    return _name(root.comm.decode("utf-8", "backslashreplace"))


def thread_text(thread: Thread) -> str:
    """``thread NAME (tid)``, where other formats would show a frame."""
    name = thread.name or thread.comm.decode("utf-8", "backslashreplace")
    return f"thread {_name(name)} ({thread.tid})"


def frame_text(frame: Frame) -> str:
    """One frame of a folded line: ``name (file:line)``, ``symbol (module)``, ``symbol_[k]`` or a marker.

    Whatever a target calls a function, only kernel frames end with ``_[k]``, and only markers are ``[…]``.
    """
    name = _name(frame.name)
    if frame.kind == KERNEL:
        return f"{name}_[k]"
    if frame.kind == MARKER or (frame.kind == NATIVE and not frame.file):
        return name
    if not frame.file:  # nor does what a target calls its function pass for a marker, or for the kernel
        return f"{name} ()" if name.endswith("]") and name != UNNAMED else name
    if frame.kind == NATIVE or frame.line <= 0:
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
    """A sentence for each loss that matters, the processes with most samples first; mostly none.

    That nothing was sampled at all is one, too.
    """
    if not losses.samples + losses.lost:
        return [NO_SAMPLE]
    rows = [row for row in losses.per_process if row.verdict.significant]
    sentences = [_process_warning(row) for row in rows[:WARNED_PROCESSES]]
    if len(rows) > WARNED_PROCESSES:
        more = len(rows) - WARNED_PROCESSES
        unit = "process" if more == 1 else "processes"
        sentences.append(f"{more} more {unit} lost samples that matter; --stats marks them")
    if losses.rest.significant:
        reasons: Counter[str] = Counter(lost=losses.lost)
        for row in losses.per_process:
            if not row.verdict.significant:
                reasons.update(_by_name(row.dropped))
                reasons.update(_by_name(row.partial))
        another = "another " if rows else ""
        sentences.append(
            f"{another}{_share_text(losses.rest)} of all samples don't show what ran ({_names(reasons)}):"
            " it looks smaller than it was"
        )
    return sentences


def _process_warning(row: ProcessLosses) -> str:
    reasons = _names(Counter(_by_name(row.dropped)) + Counter(_by_name(row.partial)))
    unlike = " and ".join(feature.value for feature in row.verdict.unlike)
    consequence = (
        f"they are unlike the kept ones (by {unlike}): some of its functions look much smaller than they are"
        if unlike
        else "its functions look smaller than they are"
    )
    share = _share_text(row.verdict)
    lack = "lack the name of the function that ran" if any(row.partial.values()) else "were dropped"
    near = f"; most were in or near {', '.join(map(frame_text, row.hit))}" if row.hit else ""
    advice = "".join(f"; {text}" for reason, text in ADVICE.items() if row.dropped.get(reason))
    return f"{share} of {root_text(row.root)}'s samples {lack} ({reasons}): {consequence}{near}{advice}"


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
