"""Lays out root file systems with interpreters that the machine itself doesn't have: ``lay_out.py``.

The packages come from the mirror that the machine's own apt is configured with, of releases before and after
its own, with signatures checked. They go under ``.cache/interpreters``: ``LAYER/root`` with its ``packages``,
and ``matrix.tsv`` (layer, version, program). A layer that is there already stays, unless it was made of other
packages. A layer that can't be had is reported, and is an error only if it is required.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.interpreters.at_hand import LAID_OUT, MATRIX

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DIRECTORIES = ("bin", "sbin", "lib", "lib64")
_LEFT_OUT = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/zoneinfo", "usr/share/info"),
    *("usr/share/perl*", "usr/lib/*/gconv", "usr/lib/*/perl*"),
)
_PART_OF_A_RELEASE = re.compile(r"-(security|updates|backports)$")
_VERSIONS = {
    "python": ("-c", "import sys; sys.stdout.write(sys.version.split()[0])"),
    "ruby": ("-e", "print RUBY_VERSION"),
    # Without display_startup_errors=0, PHP complains of missing time zones on stdout.
    "php": ("-n", "-d", "display_startup_errors=0", "-r", "echo PHP_VERSION;"),
}
_PHP_LIBRARIES = ("composer", "phpunit")
"""Packages of PHP source files, whose lines are checked."""


def _php(version: str, *extensions: str) -> tuple[str, ...]:
    """The packages of one PHP: the programs that run it, its debugger, and source files for that."""
    parts = ("cli", "fpm", "phpdbg", "mbstring", "xml", *extensions)
    return (*(f"php{version}-{part}" for part in parts), *_PHP_LIBRARIES)


@dataclass(frozen=True)
class Layer:
    """Packages of one release of the distribution, with what they need of it or of the one called `base`."""

    release: str
    packages: tuple[str, ...]
    base: str = ""
    required: bool = False
    name: str = ""
    """What to call it; the release, if this is empty."""
    alone: tuple[str, ...] = ()
    """Packages without what they need: those of headers, which need tools."""

    @property
    def folder(self) -> Path:
        """The place of its ``root``."""
        return LAID_OUT / (self.name or self.release)


LAYERS = (
    Layer("bullseye", ("python2.7", "python3.9", "ruby2.7", *_php("7.4", "opcache")), alone=("php7.4-dev",)),
    Layer("bookworm", ("python3.11", "ruby3.1", *_php("8.2", "opcache")), alone=("php8.2-dev",)),
    Layer("trixie", ("python3.13", "ruby3.3", *_php("8.4", "opcache")), required=True, alone=("php8.4-dev",)),
    Layer("sid", ("python3.13", "python3.14", "python3.15")),
    Layer("experimental", ("ruby3.4",), base="sid"),
    # Some of its dependencies in experimental are those of a later PHP.
    Layer("sid", _php("8.5"), base="experimental", name="sid-experimental", alone=("php8.5-dev",)),
)


def archives() -> list[tuple[str, str]]:
    """Release and address of each archive in the machine's apt configuration, whole releases first."""
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [(release, uri) for release, _, uri in (line.partition(" ") for line in listed.splitlines())]
    return sorted(found, key=lambda archive: _PART_OF_A_RELEASE.search(archive[0]) is not None)


def mirror() -> str:
    """The address of the archive in the machine's apt configuration."""
    for release, uri in archives():
        if not _PART_OF_A_RELEASE.search(release):
            return uri
    raise SystemExit("apt on this machine has no archive configured")


def new_apt(folder: Path, source: str) -> None:
    """Makes an apt state in `folder` with the lines of `source`; options replace each ``{}``."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / name).mkdir(parents=True)
    (folder / "apt" / "status").touch()
    # Indexes of releases that move can be weeks old on a mirror; their signatures are still checked.
    options = f"[signed-by={_KEYS} check-valid-until=no]"
    (folder / "apt" / "sources.list").write_text(source.replace("{}", options))


def apt(folder: Path, *arguments: str) -> None:
    """Runs apt-get in `folder`, on the state that is there."""
    options = {
        "Dir::State": folder / "apt",
        "Dir::State::status": folder / "apt" / "status",
        "Dir::Cache": folder / "apt" / "cache",
        "Dir::Etc::SourceList": folder / "apt" / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
    command = ["apt-get", *flags, "-qq", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


def _unpack(packages: Path, root: Path) -> None:
    for name in _DIRECTORIES:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in sorted(packages.glob("*.deb")):
        left_out = [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
        # Older packages have files in /lib itself, which is a link here.
        unpack = ["tar", "-x", "--keep-directory-symlink", "-C", str(root), *left_out]
        content = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
        with content:
            subprocess.run(unpack, stdin=content.stdout, check=True)
    for name in ("dev", "proc", "tmp", "mnt"):
        (root / name).mkdir(exist_ok=True)


def lay_out(layer: Layer, uri: str) -> str:
    """Makes the layer unless it is there already; returns what went wrong, or ''."""
    folder, made_of = layer.folder, " ".join(layer.packages + layer.alone)
    stamp = folder / "packages"
    if (folder / "root").exists() and stamp.exists() and stamp.read_text() == made_of:
        return ""
    for unfinished in ("apt", "making"):
        shutil.rmtree(folder / unfinished, ignore_errors=True)
    releases = filter(None, (layer.base, layer.release))
    new_apt(folder, "".join(f"deb {{}} {uri} {release} main\n" for release in releases))
    try:
        apt(folder, "update")
        apt(folder, "-y", "--download-only", "--target-release", layer.release, "install", *layer.packages)
        archives = folder / "apt" / "cache" / "archives"
        for package in layer.alone:
            apt(folder, "--target-release", layer.release, "download", package)
        for file in folder.glob("*.deb"):
            shutil.move(file, archives / file.name)
        _unpack(archives, folder / "making")
    except subprocess.CalledProcessError as error:
        return f"{folder.name}: {(error.stderr or str(error)).strip().splitlines()[-1]}"
    shutil.rmtree(folder / "apt")
    shutil.rmtree(folder / "root", ignore_errors=True)
    (folder / "making").rename(folder / "root")
    stamp.write_text(made_of)
    return ""


def _programs(layer: Layer) -> list[tuple[str, str, str]]:
    """Layer, version and program of each interpreter in it."""
    found = []
    for package in layer.packages:
        name = package.removesuffix("-cli")
        program, language = f"/usr/bin/{name}", name.rstrip(".0123456789")
        root = layer.folder / "root"
        if language in _VERSIONS and (root / program[1:]).exists():
            command = ["chroot", str(root), program, *_VERSIONS[language]]
            version = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found.append((layer.folder.name, version, program))
    return found


def main() -> int:
    """Lays out all layers and writes the matrix; returns 1 if a required one is missing."""
    LAID_OUT.mkdir(parents=True, exist_ok=True)
    uri = mirror()
    with ThreadPoolExecutor(2) as pool:
        failures = list(pool.map(lambda layer: lay_out(layer, uri), LAYERS))
    rows = [row for layer in LAYERS for row in _programs(layer)]
    (LAID_OUT / MATRIX).write_text("".join("\t".join(row) + "\n" for row in rows))
    for failure in filter(None, failures):
        print(f"not laid out: {failure}", file=sys.stderr)
    return any(failure and layer.required for layer, failure in zip(LAYERS, failures, strict=True))


if __name__ == "__main__":
    sys.exit(main())
