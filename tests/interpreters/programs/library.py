"""Writes the line tables of the whole standard library, with what the interpreter reads in them.

A line of JSON for each file: its name and a list of ``[table in hex, first line, truth.lines]``, one a code
object. Runs on every CPython from 2.7 on.
"""

import binascii
import json
import os
import sys

import truth

OTHERS = {"site-packages", "dist-packages", "lib2to3", "bad_coding.py", "__pycache__"}


def compiled(path):
    """The code objects of a file; none of a test file that is broken on purpose."""
    try:
        with open(path, "rb") as source:
            return truth.with_nested([compile(source.read(), path, "exec", 0, True)])
    except (SyntaxError, ValueError, TypeError):
        return []


def tables(path):
    return [
        [
            binascii.hexlify(getattr(each, "co_linetable", None) or each.co_lnotab).decode(),
            each.co_firstlineno,
            truth.lines(each),
        ]
        for each in compiled(path)
    ]


def sources():
    """The files of the standard library, by path."""
    for folder, folders, files in os.walk(os.path.dirname(os.__file__)):
        folders[:] = sorted(set(folders) - OTHERS)
        for name in sorted(set(files) - OTHERS):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


if __name__ == "__main__":
    for path in sources():
        sys.stdout.write(json.dumps([path, tables(path)]) + "\n")
