"""Who called sudo: two ids, nobody, or an error."""

from __future__ import annotations

import os

import pytest

from profiler.errors import UsageError
from profiler.invoker import Invoker, invoker


def set_ids(monkeypatch: pytest.MonkeyPatch, uid: str | None, gid: str | None, *, euid: int = 0) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    for name, value in (("SUDO_UID", uid), ("SUDO_GID", gid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)


def test_the_ids_of_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    set_ids(monkeypatch, "1000", "4294967294")
    assert invoker() == Invoker(1000, 4294967294)


@pytest.mark.parametrize("uid", [None, ""])
def test_without_sudo_there_is_nobody(uid: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_ids(monkeypatch, uid, uid)
    assert invoker() is None


def test_who_is_not_root_acts_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    set_ids(monkeypatch, "1000", "1000", euid=65534)
    assert invoker() is None


@pytest.mark.parametrize(
    ("uid", "gid"),
    [
        *(
            (text, "1000")
            for text in (
                "²",
                "\N{ARABIC-INDIC DIGIT ONE}",
                "-1",
                "+1",
                "1_0",
                " 1",
                "1\n",
                "0x1",
                "4294967295",
                "9" * 5000,
            )
        ),
        *(("1000", text) for text in ("²", "4294967295")),
        *(("1000", None), (None, "1000"), ("", "1000")),
    ],
)
def test_what_is_no_id_is_an_error_and_never_root(
    uid: str | None, gid: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_ids(monkeypatch, uid, gid)
    with pytest.raises(UsageError, match=r"SUDO_[UG]ID"):
        invoker()
