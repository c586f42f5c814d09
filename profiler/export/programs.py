"""The processes of a recording by program: those of one name.

A busy machine runs thousands of processes of a few programs. Each alone is too narrow for its functions to be
seen; together they tell what the program does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from profiler.export.text import container_text, program_text, root_name, root_text, thread_name, thread_text
from profiler.export.tree import PROCESS, PROGRAM, THREAD, Level
from profiler.profile.model import Root, Sample, Thread

MOST_PROCESSES = 100
"""How many processes of a program have a box of their own, the biggest; the others share one."""


class Programs:
    """Says where processes and threads stand in a flame graph, the biggest first.

    `merged` and `apart` are each an `OriginOf`. Programs and processes are known by their texts: those that
    no text tells apart are one. Processes under a container stay apart: their container is the box of all.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        origins: Counter[tuple[Root, Thread | None]] = Counter()
        for sample in samples:
            origins[sample.root, sample.thread] += sample.count
        self._sizes: Counter[tuple[str, ...]] = Counter()
        roots: defaultdict[str, dict[str, Root]] = defaultdict(dict)
        for (root, thread), count in origins.items():
            name, process = root_name(root), root_text(root)
            around = container_text(root.container) if root.container else ""
            keys: list[tuple[str, ...]] = [(around, name, process), (around, "") if around else (name,)]
            if not around:
                roots[name][process] = root
            if thread is not None:
                keys += [(around, name, process, thread_text(thread)), (name, "", thread_name(thread))]
            self._sizes.update(dict.fromkeys(keys, count))
        several = {name: found for name, found in roots.items() if len(found) > 1}
        self._texts = {name: program_text(found.values()) for name, found in several.items()}
        self._rest = {name: rest for name, found in several.items() if (rest := self._smallest(name, found))}

    def texts(self, root: Root) -> tuple[str, ...]:
        """Those of the process and, if it has several, of its program: ``python3 (77)``, ``python3 × 40``."""
        program = self._texts.get(root_name(root)) if self.is_several(root) else None
        return (root_text(root), program) if program else (root_text(root),)

    def is_several(self, root: Root) -> bool:
        """Whether its program has other processes."""
        return not root.container and root_name(root) in self._texts

    def merged(self, root: Root, thread: Thread | None) -> tuple[Level, ...]:
        """The program in the place of its processes; threads of one name are one, too."""
        name = root_name(root)
        if not self.is_several(root):
            return self._process(root, thread)
        program = self._program(name)
        if thread is None:
            return (program,)
        text = f"thread {thread_name(thread)}"
        return program, Level((-self._sizes[name, "", thread_name(thread)], text, 0), text, THREAD)

    def apart(self, root: Root, thread: Thread | None) -> tuple[Level, ...]:
        """The program, if it has several processes, and the process on it."""
        name = root_name(root)
        if not self.is_several(root):
            return self._process(root, thread)
        rest = self._rest.get(name, {})
        if root_text(root) not in rest:
            return self._program(name), *self._process(root, thread)
        more = f"{sum(each.processes or 1 for each in rest.values()):,} more processes"
        return self._program(name), Level((1, "", 0), more, PROCESS)

    def _program(self, name: str) -> Level:
        return Level((-self._sizes[name,], name, 0), self._texts[name], PROGRAM)

    def _process(self, root: Root, thread: Thread | None) -> tuple[Level, ...]:
        name, text = root_name(root), root_text(root)
        around = container_text(root.container) if root.container else ""
        levels = [Level((-self._sizes[around, name, text], name, root.pid or -root.processes), text, PROCESS)]
        if around:
            levels.insert(0, Level((-self._sizes[around, ""], around, 0), around, PROCESS))
        if thread is not None:
            size = self._sizes[around, name, text, thread_text(thread)]
            levels.append(Level((-size, thread_name(thread), thread.tid), thread_text(thread), THREAD))
        return tuple(levels)

    def _smallest(self, name: str, roots: dict[str, Root]) -> dict[str, Root]:
        """Those without a box of their own, by text."""
        if len(roots) <= MOST_PROCESSES + 1:
            return {}
        biggest_first = sorted(roots, key=lambda text: (-self._sizes["", name, text], text))
        return {text: roots[text] for text in biggest_first[MOST_PROCESSES:]}
