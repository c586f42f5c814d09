"""The names that a reader wants: short ones, unless that would make two functions one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from profiler.profile.frames import distinct, with_frames
from profiler.profile.model import Sample
from profiler.profile.paths import short_file_frame
from profiler.profile.places import Place, by_frame
from profiler.profile.short_names import short_name_frame
from symbolizers.frame import Frame


def with_names(
    samples: Iterable[Sample], *, full_names: bool = False, full_paths: bool = False
) -> tuple[Sample, ...]:
    """`samples` with the names of native frames and the files of interpreted ones shortened, none merged.

    Two files of one process that would get the same short name keep their full names, so that no two
    functions are counted as one. Between processes the same short name may stand for two files: the
    process is in the stack too, and the same program looks the same from every virtual environment.
    """
    samples = tuple(samples)
    if full_names and full_paths:
        return samples
    named = distinct(samples)
    if not full_names:
        named = {at: short_name_frame(frame) for at, frame in named.items()}
    if full_paths:
        return tuple(with_frames(sample, named) for sample in samples)
    shown = {at: short_file_frame(frame) for at, frame in named.items()}
    files: dict[str, set[str]] = defaultdict(set)
    for at, frame in named.items():
        files[shown[at].file].add(frame.file)
    unclear = {at for at in named if len(files[shown[at].file]) > 1}
    return tuple(_with_clear_files(samples, named, shown, unclear))


def _with_clear_files(
    samples: Iterable[Sample], frames: Mapping[int, Frame], shown: dict[int, Frame], unclear: set[int]
) -> Iterator[Sample]:
    """`samples` with their frames as `shown`, unless an `unclear` one is of two files in its process."""
    own: dict[int, set[int]] = defaultdict(set)
    """By pid, those of the unclear ones that it has."""
    for sample in samples if unclear else ():
        own[sample.root.pid].update(unclear.intersection(map(id, sample.frames)))
    shown_in = {}
    for pid, ids in own.items():
        files: dict[str, set[str]] = defaultdict(set)
        for at in ids:
            files[shown[at].file].add(frames[at].file)
        kept = {at: frames[at] for at in ids if len(files[shown[at].file]) > 1}
        shown_in[pid] = {**shown, **kept} if kept else shown
    for sample in samples:
        yield with_frames(sample, shown_in.get(sample.root.pid, shown))


def places_with_names(
    places: Mapping[Frame, Place], *, full_names: bool, full_paths: bool
) -> dict[Frame, Place]:
    """The same by the names that `with_names` gives; a file may have its whole path or a short one."""
    found = {**places}
    if not full_names:
        found = by_frame((short_name_frame(frame), place) for frame, place in found.items())
    if not full_paths:
        found |= by_frame((short_file_frame(frame), place) for frame, place in found.items())
    return found
