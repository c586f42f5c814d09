"""Errors by meaning, each with what to do next and its exit code. Only the CLI prints them."""

from __future__ import annotations


class PidflameError(Exception):
    """Base of the errors that end a command; the text says what happened and what to do next."""

    exit_code = 1


class UsageError(PidflameError):
    """The request makes no sense or would overwrite something."""

    exit_code = 2


class CommandNotFound(PidflameError):
    """The command that was to be recorded is not there. Its exit code is a shell's for this."""

    exit_code = 127


class CommandNotExecutable(PidflameError):
    """The command that was to be recorded can't be run. Its exit code is a shell's for this."""

    exit_code = 126


class PrerequisiteError(PidflameError):
    """The kernel, a package or a permission is missing; the text says how to get it."""

    exit_code = 3


class TargetGone(PidflameError):
    """A process that was asked for by pid does not exist."""

    exit_code = 4
