"""A pool of spawned processes that each do some tasks and are replaced, as Celery's workers are."""

from __future__ import annotations

import json
import multiprocessing
import re
import sys

TASKS_A_PROCESS = 20
WORK = re.compile(r"(\w+)@(\w+)\.(\w{2,3})")


def task(number: int) -> int:
    """Some parsing, some compiling, some searching; a fraction of a second."""
    found = 0
    for turn in range(40):
        rows = [{"name": f"user{row}@host{row % 7}.org", "turn": turn} for row in range(200)]
        text = json.dumps(json.loads(json.dumps(rows)), indent=1)
        found += len(WORK.findall(text))
        source = "\n".join(f"def function_{row}(x): return x + {row} + {number}" for row in range(30))
        names: dict[str, object] = {}
        exec(compile(source, f"<task {number}>", "exec"), names)
        found += len(names)
    return found


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, maxtasksperchild=TASKS_A_PROCESS) as pool:
        done = pool.map(task, range(int(sys.argv[1])), chunksize=1)
    print(sum(done))
