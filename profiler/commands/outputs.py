"""The files of a command: chosen or refused before anything is done, written and reported afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import BinaryIO

from profiler.commands.output_file import Contents, Destination, NamedFile, open_destination, rescue
from profiler.commands.talk import say, say_error, show_status
from profiler.errors import UsageError
from profiler.export.registry import Format, format_for, formats_of
from profiler.profile.model import Profile


def _write_stats(profile: Profile, stream: BinaryIO) -> None:
    from profiler.export.stats import to_json  # here, as below: no sample waits for what is said at the end

    stream.write(to_json(profile).encode())


_STATS = Format("stats", (".json",), _write_stats)
_LAST_RESORT = format_for("", "folded")
"""What a recording is kept as if its own exporter fails."""


def output_files(outputs: Sequence[str], format_name: str | None) -> list[tuple[str, Format]]:
    """What to write and how: by default the recording and a page of it. Raises `UsageError`."""
    formats = formats_of(outputs, format_name)
    name = datetime.now().strftime("pidflame-%Y%m%d-%H%M%S")
    return [*zip(outputs or [name + each.suffixes[0] for each in formats], formats, strict=True)]


class Outputs:
    """All outputs of a recording. Lifetime: from before anything is recorded until they are in place."""

    def __init__(
        self,
        files: Sequence[tuple[str, Format]],
        stats: str | None = None,
        *,
        force: bool,
        numbered: bool = False,
    ) -> None:
        """Opens them. Raises `UsageError` for what can't be written, or is in the way without `force`.

        `numbered`: nobody has asked for these names, and `files` get numbers where they are taken.
        """
        self._waiting: list[tuple[Destination, Format]] = []
        places: set[tuple[int, int, str]] = set()
        try:
            for path, format_ in [*files, *([(stats, _STATS)] if stats else [])]:
                is_ours = numbered and format_ is not _STATS
                destination = open_destination(path, replace=force, numbered=is_ours)
                self._waiting.append((destination, format_))
                if isinstance(destination, NamedFile):
                    if destination.place in places:
                        raise UsageError(f"{path} is given twice; give each output its own file")
                    places.add(destination.place)
        except BaseException:
            self.close()
            raise

    def deliver(self, profile: Profile, contents: Callable[[Format], Contents] | None = None) -> bool:
        """Writes all, and says on stderr what a person should know. Returns whether all are in their places.

        Each is tried, whatever became of the others. What can't be written in its place is kept in another.
        `contents` gives what a format writes, if that is not made of the `profile`.
        """

        def written(format_: Format) -> Contents:
            if contents is None or format_ is _STATS:
                return partial(format_.write, profile)
            return contents(format_)

        from profiler.commands.findings import say_findings, say_losses

        say_findings(profile)
        delivered = True
        while self._waiting:
            destination, format_ = self._waiting[0]
            if isinstance(destination, NamedFile):
                show_status(f"writing {destination.path} …")
            delivered &= _deliver(destination, format_, written)
            _close(destination)
            del self._waiting[0]
        say_losses(profile)
        return delivered

    def unwritten(self) -> list[str]:
        """The paths of those that are not in their places yet."""
        return [destination.path for destination, _ in self._waiting]

    def close(self) -> None:
        """Removes what is not in its place. Safe to call twice."""
        for destination, _ in self._waiting:
            _close(destination)


def _deliver(destination: Destination, format_: Format, written: Callable[[Format], Contents]) -> bool:
    try:
        destination.write(written(format_))
    except Exception as error:  # an exporter's own, too: the other outputs are written all the same
        if not isinstance(error, OSError):
            import traceback  # here: hardly any recording needs it

            say(traceback.format_exc(), end="")
        _close(destination)  # first: it may take the room that a rescue file needs
        say_error(f"cannot write {destination.path}: {_reason(error)}; {_rescued(format_, written)}")
        return False
    if isinstance(destination, NamedFile):
        say(
            f"wrote {destination.path}"
            + (" (open it in a browser)" if format_.name in ("svg", "html") else "")
        )
    return True


def _rescued(format_: Format, written: Callable[[Format], Contents]) -> str:
    """Writes a rescue file; returns what to say of it."""
    what = "its contents are" if format_ is _STATS else "the recording is"
    reason = ""
    for each in [format_] if format_ is _STATS else dict.fromkeys([format_, _LAST_RESORT]):
        try:
            return f"{what} in {rescue(written(each), each.suffixes[0])}"
        except Exception as error:  # the last of these is said
            reason = _reason(error)
    return f"{what} lost, since no other folder takes a file: {reason}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def _close(destination: Destination) -> None:
    try:
        destination.close()
    except OSError as error:
        say_error(f"cannot remove the temporary file of {destination.path}: {_reason(error)}")
