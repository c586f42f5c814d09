"""Why something could not be named: the one vocabulary of loss, and the errors that carry it."""

from __future__ import annotations

from enum import Enum


class Reason(str, Enum):
    """Why a sample is dropped. The values are the keys of ``dropped`` in ``--stats``."""

    WOULD_FAULT = "would_fault"
    STALLED = "stalled"
    EXITED = "exited"
    CHANGED = "changed"
    UNSUPPORTED = "unsupported"
    PERMISSION = "permission"
    """The kernel does not let us look into the process."""
    NOT_INSPECTED = "not_inspected"
    """The program ended, or the recording did, before anyone had looked into it."""
    OVER_BUDGET = "over_budget"
    """To name it takes more CPU time or memory than what one program may cost."""


class SymbolizeError(Exception):
    """Base of everything a symbolizer raises about a target; `reason` is how its samples are counted."""

    reason: Reason = Reason.UNSUPPORTED


class FaultReason(str, Enum):
    """What a read of a target's memory met instead of bytes."""

    WOULD_FAULT = "would_fault"
    """The page is not present: bringing it could wait, so nobody asked for it."""
    BAD_ADDRESS = "bad_address"
    """The kernel refused an address that pagemap called present (PROT_NONE, unmapped meanwhile)."""
    EXITED = "exited"
    """The process that the pidfd stands for is gone."""
    PERMISSION = "permission"
    """The kernel does not let us read this process."""


_REASONS = {FaultReason.EXITED: Reason.EXITED, FaultReason.PERMISSION: Reason.PERMISSION}


class ReadFault(SymbolizeError):
    """A read of `address` in a target did not happen. Never a wait, never a zero."""

    def __init__(self, address: int, fault: FaultReason) -> None:
        super().__init__(address, fault)
        self.address = address
        self.fault = fault
        self.reason = _REASONS.get(fault, Reason.WOULD_FAULT)

    def __str__(self) -> str:
        return f"read of {self.address:#x}: {self.fault.value}"


class ProcessGone(SymbolizeError):
    """The process exited, or its pid belongs to another process now."""

    reason = Reason.EXITED


class Stalled(SymbolizeError):
    """Looking at this process or file overran its deadline; it is quarantined, nobody waits for it."""

    reason = Reason.STALLED


class Changed(SymbolizeError):
    """An address does not hold what the sample saw there any more (freed and used again, or torn)."""

    reason = Reason.CHANGED


class Malformed(SymbolizeError):
    """A target's structure or file breaks its own rules (a length out of bounds, a bad pointer)."""

    reason = Reason.CHANGED


class UnsupportedVersion(SymbolizeError):
    """An interpreter that no layout row describes."""

    reason = Reason.UNSUPPORTED

    def __init__(self, language: str, version: str, supported: str) -> None:
        super().__init__(language, version, supported)
        self.language = language
        self.version = version
        self.supported = supported

    def __str__(self) -> str:
        return f"{self.language} {self.version} is not supported (supported: {self.supported})"
