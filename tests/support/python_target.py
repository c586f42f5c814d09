"""The target of python_live.py: says what its code objects and stacks are, then stays as it is.

One line of JSON: ``codes``, a list of [address, qualified name, file, first line, co_lines], and ``stacks``,
by thread a list of [qualified name, line], leaf first; ``freed``, addresses where code objects were.
It ends when stdin does.
"""

import _thread
import asyncio
import gc
import importlib
import json
import os
import sys
import threading
from types import CodeType, FunctionType

for module in ("argparse", "dataclasses", "decimal", "http.client", "inspect", "pydoc", "typing"):
    importlib.import_module(module)

kept = []


def code_objects():
    pending = [function.__code__ for function in gc.get_objects() if type(function) is FunctionType]
    pending.append(surrogate)
    seen = {}
    while pending:
        code = pending.pop()
        if id(code) not in seen:
            seen[id(code)] = code
            pending += [constant for constant in code.co_consts if type(constant) is CodeType]
    return list(seen.values())


def described(code):
    return [id(code), code.co_qualname, code.co_filename, code.co_firstlineno, list(code.co_lines())]


def stack(frame):
    found = []
    while frame is not None:
        found.append([frame.f_code.co_qualname, frame.f_lineno])
        frame = frame.f_back
    return found


def truth():
    frames = sys._current_frames()
    frames[threading.get_ident()] = sys._getframe(1)
    stacks = {thread: stack(frame) for thread, frame in frames.items()}
    kept.extend(code_objects())
    codes = [described(code) for code in kept]
    # These fill the heap's gaps. In a gap, an object below could be alone in pages that vanish with it.
    kept.extend(compile("pass", f"gap {number}", "exec") for number in range(400))
    short_lived = [compile("pass", f"file {number}", "exec") for number in range(400)]
    freed = [id(code) for code in short_lived[::2]]
    # Every other one stays, so that the allocator keeps the pages.
    kept.extend(short_lived[1::2])
    short_lived.clear()
    return json.dumps({"codes": codes, "stacks": stacks, "freed": freed}) + "\n"


def leaf(*values):
    # C calls on one line: the stack stays as it is when it is taken.
    return values, sys.stdout.write(truth()), sys.stdout.flush(), os.read(0, 1)


def works(started, blocked):
    return started.release(), blocked.acquire()


def outer():
    def функция(n):
        if n:
            return функция(n - 1)
        return next(名前())

    def 名前():
        yield (
            lambda: 𐌀().été(
                1,
                2,
            )
        )()

    return функция(3)


class 𐌀:
    def été(self, *values):
        class Body:
            for value in values[:1]:
                leaf(
                    1,
                    value + len("two"),
                )

        return Body


async def coroutine():
    await asyncio.sleep(0)
    return outer()


surrogate = compile("pass", "f", "exec").replace(co_filename="/tmp/\udcff\udcfe.py", co_qualname="\ud800")
started, blocked = _thread.allocate_lock(), _thread.allocate_lock()
started.acquire()
blocked.acquire()
threading.Thread(target=works, args=(started, blocked), daemon=True).start()
started.acquire()
asyncio.run(coroutine())
