"""What a comparison says, in words and figures: the one place, for every format of a diff."""

from __future__ import annotations

from profiler.export.text import frame_text, losses_text, printable, root_name, title_text
from profiler.export.tree import TOTAL
from profiler.profile.diff import LEVEL, Basis, Change, Diff, Difference, Node
from profiler.profile.diff_tree import Level
from profiler.profile.matching import Program
from profiler.profile.model import Profile, Root

MARKS = {
    Change.NEW: "+ ",
    Change.MORE: "▲ ",
    Change.LESS: "▼ ",
    Change.GONE: "− ",  # noqa: RUF001 - a minus sign, beside a plus sign
    Change.DOUBTFUL: "? ",
    Change.UNSTEADY: "~ ",
    Change.NOISE: "",
}
"""What stands before the name, so that nobody needs the colours. Changes come first."""

WORDS = {
    Change.NEW: "new",
    Change.MORE: "more",
    Change.LESS: "less",
    Change.GONE: "gone",
    Change.DOUBTFUL: "the lost samples may explain it",
    Change.UNSTEADY: "recordings of one side differ as much",
    Change.NOISE: "chance may explain it",
}

_STEPS = (0.01, 0.03, 0.1)
"""Changes of the share of everything, from which on a colour is stronger."""
_SPREAD_WORTH_SAYING = 1.5
_EXAMPLE = 0.2
_ENOUGH_RECORDINGS = 6


def node_text(node: Node) -> str:
    """The program or the function, with the mark of the verdict on it."""
    return MARKS[node.total.verdict] + level_text(node.level)


def level_text(level: Level | None) -> str:
    """The program, with both names of a renamed one, or the function; None is the root of all."""
    if level is None:
        return TOTAL
    if isinstance(level, Program):
        names = dict.fromkeys(root_name(Root(comm, 0)) for comm in level)
        return " → ".join(names)
    return frame_text(level)


def strength(difference: Difference, whole: float) -> int:
    """How strong its colour is, 0 to 3, where `whole` is the share of everything."""
    if difference.verdict not in (Change.MORE, Change.LESS):
        return 0
    return sum(abs(difference.change) >= step * whole for step in _STEPS)


def shares_text(difference: Difference) -> str:
    """``20.00 % → 25.10 %``."""
    return f"{100 * difference.share_before:.2f} % → {100 * difference.share_after:.2f} %"


def change_text(difference: Difference) -> str:
    """``+5.10 (+4.02 to +6.19)``: the change in points, and its interval."""
    ends = (difference.change, difference.low, difference.high)
    change, low, high = (f"{100 * each:+.2f}" for each in ends)
    return f"{change} ({low} to {high})"


def p_text(p: float) -> str:
    """The corrected probability, to the figures that matter."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < LEVEL else f"p = {p:.2f}"


def details(node: Node) -> str:
    """What the title of a node's box says below its name, in lines."""
    total = node.total
    own = f" · {node.own.before:,} → {node.own.after:,} self" if any(node.own) else ""
    return (
        f"{WORDS[total.verdict]}, {p_text(total.p)}\n"
        f"{shares_text(total)} · {change_text(total)} points\n"
        f"{total.before:,} → {total.after:,} samples{own}"
    )


def basis_text(by: Basis) -> str:
    """What percentages are of."""
    if by == Basis.SAMPLES:
        return "by samples: percentages are of all samples"
    return "by time: percentages are of one CPU's time"


def title(diff: Diff) -> str:
    """Both recordings in a line; what was recorded is named once if it is the same."""
    before, after = title_text(diff.before), title_text(diff.after)
    return f"{before}, compared" if before == after else f"{before} → {after}"


def recording_lines(diff: Diff) -> tuple[str, str]:
    """When and how the recordings of each side were made, and their losses."""
    before, after = diff.recordings
    return _recording_line(diff.before, before), _recording_line(diff.after, after)


def _recording_line(profile: Profile, recordings: int) -> str:
    started = printable(profile.started_at).replace("T", " ", 1)
    how = f"{profile.duration_s:,.1f} s at {profile.frequency_hz:,} Hz"
    several = f"{recordings:,} recordings · " if recordings > 1 else ""
    return f"{several}{started} · {how} · {losses_text(profile.losses)}"


def summary(diff: Diff) -> str:
    """One sentence: how many functions differ, and what could have been seen."""
    verdicts = diff.verdicts
    found = {change: verdicts[change] for change in MARKS if change.significant and verdicts[change]}
    functions = "1 function" if len(diff.functions) == 1 else f"{len(diff.functions):,} functions"
    said = f"no difference in {functions} that chance would not explain"
    if found:
        counts = ", ".join(f"{count:,} {change.value}" for change, count in found.items())
        said = f"{sum(found.values()):,} of {functions} changed ({counts})"
    if doubtful := verdicts[Change.DOUBTFUL]:
        said += f"; {doubtful:,} may have, but for the lost samples"
    if unsteady := verdicts[Change.UNSTEADY]:
        said += f"; {unsteady:,} differ as much between recordings of one side"
    least = 100 * diff.detectable(_EXAMPLE)
    return f"{said}; in a function of {100 * _EXAMPLE:.0f} %, {least:.1f} points would show"


def notes(diff: Diff) -> list[str]:
    """What a reader should know before drawing conclusions; mostly little."""
    said = []
    if diff.spread >= _SPREAD_WORTH_SAYING:
        said.append(
            f"Functions vary {diff.spread:.1f} times as much between these recordings as independent samples"
            " would, and are judged by that: the load, the input or much of the code differs."
        )
    if 2 < sum(diff.recordings) < _ENOUGH_RECORDINGS:
        said.append(
            "So few recordings hardly tell how much a function varies from run to run; three of each side do."
        )
    if any(diff.unseen):
        before, after = diff.unseen
        said.append(
            f"{before:,} and {after:,} samples have no stack. What they could explain is doubtful, even if it"
            " differs among the others."
        )
    if diff.before.event != diff.after.event:
        events = f"{printable(diff.before.event)} and {printable(diff.after.event)}"
        said.append(f"The recordings count different things: {events}.")
    if diff.left_out:
        said.append(f"{diff.left_out:,} places of the call tree with the fewest samples are left out.")
    return said
