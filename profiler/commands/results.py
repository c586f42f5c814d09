"""What a recording becomes: a profile, as the options want it, and the file that was written meanwhile."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from profiler.commands.output_file import Contents
from profiler.commands.scratch import Scratch
from profiler.export.registry import RECORDING, Format, needs_recording
from profiler.profile.model import Profile
from profiler.profile.naming import places_with_names, with_names
from profiler.profile.slices import CannotKeep
from profiler.profile.view import View

if TYPE_CHECKING:
    from profiler.run.journal import Journal


def shown_as(profile: Profile, *, full_names: bool, full_paths: bool) -> Profile:
    """The profile with the names that its reader wants."""
    samples = with_names(profile.samples, full_names=full_names, full_paths=full_paths)
    places = places_with_names(profile.places, full_names=full_names, full_paths=full_paths)
    return replace(profile, samples=samples, places=places)


class Results:
    """The file of a recording, if any output needs one. Lifetime: until the outputs are written."""

    def __init__(
        self, files: Sequence[tuple[str, Format]], view: View, *, full_names: bool, full_paths: bool
    ) -> None:
        """`view` is what the outputs show. Raises `UsageError` if no folder takes the file."""
        self._scratch = Scratch() if needs_recording(format_ for _, format_ in files) else None
        self.shown_as = partial(shown_as, full_names=full_names, full_paths=full_paths)
        self._view = view
        self._is_usual = view == View() and not full_names and not full_paths
        self._journal: Journal | None = None
        self._failure = ""

    def journal(self) -> Journal | None:
        """Writes the file; None if there is none."""
        if self._scratch is None:
            return None
        # These take their time to be imported, and sampling has begun.
        from profiler.profile.writer import RecordingWriter
        from profiler.run.journal import Journal

        try:
            self._journal = Journal(RecordingWriter(self._scratch.path))
        except CannotKeep as error:
            self._failure = str(error)
        return self._journal

    def contents(self, profile: Profile) -> Callable[[Format], Contents]:
        """Gives what is written in a format, of a recording with this `profile` as it is shown.

        It raises OSError if the file could not be written. What shows times and threads goes without then.
        """
        failure = self._failure or (self._journal.failure if self._journal is not None else "")
        if self._scratch is not None and not failure and self._is_usual:
            _keep_summary(self._scratch.path, profile)

        @cache
        def detailed(path: str) -> Profile:
            from profiler.profile.recording import read_profile

            view = replace(self._view, threads=True, times=True, places=True)
            return self.shown_as(read_profile(path, view))

        def contents(format_: Format) -> Contents:
            if self._scratch is None or (failure and format_ is not RECORDING):
                return partial(format_.write, profile)
            if failure:
                raise OSError(errno.EIO, f"the recording could not be kept while it went on ({failure})")
            if format_ is RECORDING:
                return self._scratch.copy
            return partial(format_.write, detailed(self._scratch.path) if format_.detailed else profile)

        return contents

    def close(self) -> None:
        """Removes the file. Safe to call twice."""
        if self._scratch is not None:
            self._scratch.close()


def _keep_summary(path: str, profile: Profile) -> None:
    """Writes the summary of what is shown into a recording, which is whole without it."""
    from profiler.profile.summary import FACT, summary_of, summary_text
    from profiler.profile.writer import add_fact

    with suppress(CannotKeep):  # a full disk, say; a report counts again then
        add_fact(path, FACT, summary_text(summary_of(profile.samples)))
