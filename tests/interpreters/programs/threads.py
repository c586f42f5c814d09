"""A thread that compresses without the GIL beside one that holds it, then a fork: ``threads.py SECONDS``.

It runs on every CPython from 2.7 on. It first burns alone, so that pidflame knows it by the time when it
matters. It says when it is done.
"""

import os
import random
import sys
import threading
import time
import zlib

NOISE = bytes(bytearray(random.Random(20).randrange(256) for _ in range(1 << 16))) * 16


def compressing(until):
    while time.time() < until:
        zlib.compress(NOISE, 9)


def spinning(until):
    while time.time() < until:
        for _ in range(1000):
            pass


def warming_up(until):
    spinning(until)


def in_the_child(until):
    spinning(until)
    os._exit(0)


seconds = float(sys.argv[1])
warming_up(time.time() + 1)
until = time.time() + seconds
thread = threading.Thread(target=compressing, args=(until,))
thread.start()
spinning(until)
thread.join()
child = os.fork()
if not child:
    in_the_child(time.time() + seconds / 2)
os.waitpid(child, 0)
sys.stdout.write("{}\n")
