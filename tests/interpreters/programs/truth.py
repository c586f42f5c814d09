"""What a code object and a stack are, said by the interpreter itself. Runs on every CPython from 2.7 on."""

import dis
import sys


def name(code):
    """The name in tracebacks: the qualified one from 3.11 on, before that the plain one."""
    return getattr(code, "co_qualname", code.co_name)


def lines(code):
    """``[start, end, line or None]`` of every range of instructions, in bytes."""
    if hasattr(code, "co_lines"):
        return [list(entry) for entry in code.co_lines()]
    starts = list(dis.findlinestarts(code))
    ends = [start for start, _ in starts[1:]] + [len(code.co_code)]
    return [[start, ends[index], line] for index, (start, line) in enumerate(starts)]


def with_nested(codes):
    """`codes` and the code objects in their constants, each once."""
    pending, seen = list(codes), {}
    while pending:
        code = pending.pop()
        if id(code) not in seen:
            seen[id(code)] = code
            pending += [constant for constant in code.co_consts if type(constant) is type(code)]
    return list(seen.values())


def described(code):
    return [id(code), name(code), code.co_filename, code.co_firstlineno, lines(code)]


def stack(frame):
    """``[name, line]`` of each frame, leaf first."""
    found = []
    while frame is not None:
        found.append([name(frame.f_code), frame.f_lineno])
        frame = frame.f_back
    return found


def stacks(own):
    """The stack of each thread by its ident, this thread's from frame `own` on."""
    frames = sys._current_frames()
    ident = next(ident for ident, frame in frames.items() if _is_above(frame, own))
    frames[ident] = own
    return {str(ident): stack(frame) for ident, frame in frames.items()}


def _is_above(frame, below):
    while frame is not None and frame is not below:
        frame = frame.f_back
    return frame is not None
