"""Gives a fresh root what it needs from this machine to reach the same package archives.

Nothing here knows a host's name: the archives are those of the machine's apt configuration, and pip's options
are those that pip itself reports. A root gets them as files under /etc/apt and as environment variables.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.interpreters.lay_out import archives

_APT_OPTION = re.compile(r"Acquire::(https?|Check-|Retries|ForceIPv)")
_HANDED_ON = re.compile(r"PIP_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|\w+_proxy", re.IGNORECASE)
_PATH = re.compile(r"(?:^|(?<=\s)|(?<=file://))/[^\s:]+")
_FILES = ("/etc/resolv.conf", "/etc/hosts")
_OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")


def pip_environment() -> dict[str, str]:
    """pip's whole configuration, from files and from variables, as ``PIP_…`` variables."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    options: dict[str, str] = {}
    # Variables win over files, and a command's section wins over the global one.
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                key = name.removeprefix(f"{section}.").upper().replace("-", "_")
                options[f"PIP_{key}"] = str(ast.literal_eval(value))
    return options


def environment() -> dict[str, str]:
    """The variables with which a fresh root reaches the package archives."""
    mine = {name: value for name, value in os.environ.items() if _HANDED_ON.fullmatch(name)}
    return {**mine, **pip_environment()}


def _named_paths(variables: Mapping[str, str]) -> Iterator[Path]:
    """The paths that exist on this machine among the values."""
    for value in variables.values():
        yield from filter(Path.exists, map(Path, _PATH.findall(value)))


def bound_directories(variables: Mapping[str, str]) -> list[str]:
    """The directories that pip's `variables` name: folders of packages, which may be large."""
    pips = {name: value for name, value in variables.items() if name.startswith("PIP_")}
    named = [path for path in _named_paths(pips) if path.is_dir()]
    # The pages of an index link to files beside it.
    return sorted({str(path.parent if path.name == "simple" else path) for path in named})


def hand_on(root: Path, release: str, variables: Mapping[str, str]) -> None:
    """Copies what `root` of `release` needs: apt's archives and options, and the files in `variables`."""
    apt = root / "etc" / "apt"
    (apt / "sources.list").write_text("".join(_sources(release)))
    command = ["apt-config", "dump"]
    options = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines(True)
    (apt / "apt.conf.d" / "00machine").write_text("".join(filter(_APT_OPTION.match, options)))
    # The package ca-certificates makes the bundle anew; so the machine's own authorities stay in it.
    if _OWN_CERTIFICATES.is_dir():
        shutil.copytree(_OWN_CERTIFICATES, root / _OWN_CERTIFICATES.relative_to("/"), dirs_exist_ok=True)
    files = [path for path in _named_paths(variables) if path.is_file()]
    for file in (*files, *filter(Path.exists, map(Path, _FILES))):
        copy = root / file.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _sources(release: str) -> Iterator[str]:
    """The machine's archives, with the release's name in the place of the machine's own."""
    own = archives()[0][0]
    for name, uri in archives():
        if name.partition("-")[0] == own:
            yield f"deb {uri} {release}{name.removeprefix(own)} main\n"
