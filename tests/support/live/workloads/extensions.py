"""Burns CPU time in four extension modules, each called by a function of its own; Cython's is in argv[2]."""

import sys
import time
import zlib

import numpy
import orjson

sys.path.insert(0, sys.argv[2])
import cythonized

NUMBERS = numpy.random.default_rng(1).random(200_000)
TEXT = bytes(range(256)) * 1000
DOCUMENT = {str(number): [number, str(number)] * 20 for number in range(2000)}


def by_numpy():
    numpy.sort(NUMBERS)


def by_zlib():
    zlib.compress(TEXT, 9)


def by_orjson():
    orjson.dumps(DOCUMENT)


def by_cython():
    cythonized.spin(300_000)


def burn(call, seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        call()


def main():
    for call in (by_numpy, by_zlib, by_orjson, by_cython):
        burn(call, float(sys.argv[1]))


main()
