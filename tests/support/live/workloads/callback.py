"""C code calls back: libc's qsort compares by a Python function, which calls two more."""

import ctypes
import time
import zlib

DATA = bytes(range(256)) * 400
libc = ctypes.CDLL(None)
Compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


def inmost(a, b):
    total = 0
    for number in range(300):
        total += number
    return a - b


def middle(a, b):
    return inmost(a, b)


def compare(a, b):
    return middle(a[0], b[0])


def sort_in_c():
    numbers = (ctypes.c_int * 64)(*(number * 37 % 64 for number in range(64)))
    libc.qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), Compare(compare))


def squeeze():
    zlib.compress(DATA)


end = time.process_time() + 4
while time.process_time() < end:
    sort_in_c()
    squeeze()
