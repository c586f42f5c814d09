"""Which container a cgroup is of, as far as its path tells. Pure.

A path has a folder for each level, by whoever made it:

    docker, podman, containerd, CRI-O    docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, ID
    Kubernetes                           kubepods-burstable-podUID.slice or podUID, around containers
    podman's pods                        machine-libpod_pod_ID.slice, around containers
    systemd-nspawn                       machine-NAME.scope, systemd-nspawn@NAME.service
    LXC, LXD, Incus                      lxc/NAME, lxc.payload.NAME

An ID has 64 hexadecimal digits, of which people see the first twelve. Users name the cgroups below their own
as they like, so a name counts as of what it is in: the containers around it, and the user.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

_SHOWN_DIGITS = 12
_MOST_LEVELS = 4
_MOST_CHARACTERS = 64
"""Of a name: host names have as many."""
_MOST_PATHS = 512
"""Many processes are in the same cgroup."""
_DELETED = " (deleted)"
_ID = re.compile(r"(?!.*conmon)(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?", re.DOTALL)
"""Conmon watches a container from outside."""
_POD_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
_POD = re.compile(rf"(?:kubepods(?:-\w+)?-)?pod({_POD_UID})(?:\.slice)?(?::.*:([0-9a-f]{{64}}))?", re.DOTALL)
_POD_OF_PODMAN = re.compile(r"machine-libpod_pod_([0-9a-f]{64})\.slice")
_MACHINE = re.compile(r"(?:machine-(?!qemu|libvirt)(.+)\.scope|systemd-nspawn@(.+)\.service)", re.DOTALL)
"""What libvirt runs there are no containers."""
_LXC = re.compile(r"lxc\.payload\.(.+)", re.DOTALL)
_LXC_FOLDERS = ("lxc", "lxc.payload")
_USER = re.compile(r"user@(\d{1,10})\.service")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
"""How systemd writes a character in the name of a unit."""


def container_of(cgroups: bytes) -> str:
    """The container of a process with this text in /proc/PID/cgroup; empty if it is in none that shows.

    Its short id or its name, behind the pod's UID and the containers around it: ``3f2a91c0d5e1``,
    ``0c7f1d2e-…/3f2a91c0d5e1``. One that a user may have made up begins with that user: ``user 1000/…``.
    """
    lines = (line.split(b":", 2) for line in cgroups.split(b"\n") if line)
    paths = {fields[0]: fields[2] for fields in lines if len(fields) > 2}
    # 0 is the unified hierarchy. Version 1 has more of them, not all of which every runtime uses.
    found = (container_in(path) for path in (paths.pop(b"0", b""), *paths.values()))
    return next((each for each in found if each), "")


@lru_cache(_MOST_PATHS)
def container_in(path: bytes) -> str:
    """The container in the path of a cgroup, as `container_of` has it."""
    levels: list[str] = []
    user = ""
    folders = os.fsdecode(path).removesuffix(_DELETED).split("/")
    for before, folder in zip(("", *folders), folders, strict=False):
        if not levels and (match := _USER.fullmatch(folder)):
            user = f"user {match[1]}"
        levels += _levels(before, folder)
    return "/".join((*([user] if user else []), *levels[:_MOST_LEVELS])) if levels else ""


def _levels(before: str, folder: str) -> list[str]:
    """What `folder`, in the folder `before`, is of: mostly nothing."""
    if match := _POD.fullmatch(folder):
        return [match[1].replace("_", "-"), *([match[2][:_SHOWN_DIGITS]] if match[2] else [])]
    if match := _POD_OF_PODMAN.fullmatch(folder) or _ID.fullmatch(folder):
        return [match[1][:_SHOWN_DIGITS]]
    if match := _MACHINE.fullmatch(folder):
        return [_unescaped(match[1] or match[2])[:_MOST_CHARACTERS]]
    if match := _LXC.fullmatch(folder):
        return [match[1][:_MOST_CHARACTERS]]
    return [folder[:_MOST_CHARACTERS]] if before in _LXC_FOLDERS and folder else []


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
