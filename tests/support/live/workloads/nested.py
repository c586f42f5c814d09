"""Python calls C, which calls Python, three levels deep: libc's qsort compares two numbers."""

import ctypes
import os

libc = ctypes.CDLL(None)
Compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def burn():
    total = 0
    for number in range(20000):
        total += number


def sort(compare):
    numbers = (ctypes.c_int * 2)(2, 1)
    libc.qsort(numbers, ctypes.c_size_t(2), ctypes.c_size_t(4), Compare(compare))


def third(_one, _other):
    burn()
    return 0


def second(_one, _other):
    sort(third)
    return 0


def first(_one, _other):
    sort(second)
    return 0


def root():
    sort(first)


end = os.times()[0] + 1.5
while os.times()[0] < end:
    root()
