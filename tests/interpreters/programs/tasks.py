"""Tasks of asyncio that await each other: ``tasks.py SECONDS`` burns, ``tasks.py wait`` stops inside.

Before it stops it says, as JSON, the address of the task that runs. ``tasks.py short SECONDS`` has many tasks
of one function that are over soon, and two others await them. It runs on every CPython from 3.14 on.
"""

import asyncio
import json
import os
import sys
import time

MOMENT = 0.5
"""A task lives this much longer than it burns (s): its last samples are looked at after its burning."""


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(999))


def stop():
    print(json.dumps({"task": id(asyncio.current_task())}), flush=True)
    os.read(0, 1)


async def innermost():
    if sys.argv[1] == "wait":
        await asyncio.sleep(MOMENT)  # until all others await
        stop()
    else:
        for _ in range(20):
            burn(float(sys.argv[1]) / 20)
            await asyncio.sleep(0)
        await asyncio.sleep(MOMENT)


async def of_the_named():
    await innermost()


async def awaiting(task):
    await task


async def of_the_nameless():
    await awaiting(asyncio.create_task(of_the_named(), name="n\u00e4med;1"))


async def awaited_twice(task):
    await task


async def other(task):
    await task


async def alone(seconds):
    burn(seconds)
    await asyncio.sleep(MOMENT)


def burn_one(seconds):
    burn(seconds)


def burn_other(seconds):
    burn(seconds)


async def short(function):
    function(0.02)


async def awaits_one():
    await asyncio.create_task(short(burn_one))


async def awaits_other():
    await asyncio.create_task(short(burn_other))


async def many(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        await awaits_one()
        await awaits_other()


async def main():
    if sys.argv[1] == "short":
        await many(float(sys.argv[2]))
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(of_the_nameless())
    if sys.argv[1] != "wait":
        shared = asyncio.create_task(alone(float(sys.argv[1])), name="shared")
        await asyncio.gather(awaited_twice(shared), other(shared))


asyncio.run(main())
