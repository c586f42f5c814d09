"""Has an application on this machine: an environment, packages and sources under ``.cache/applications``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.application_list import PROGRAMS, Application
from tests.interpreters.from_source import unpack_source

PLACE = Path(__file__).resolve().parents[2] / ".cache" / "applications"
SYSTEM_PYTHON = "/usr/bin/python3"
VERSION_OF = {
    "Python": (SYSTEM_PYTHON, "-c", "import platform; print(platform.python_version())"),
    "Ruby": ("ruby", "-e", "puts RUBY_VERSION"),
    "PHP": ("php", "-r", "echo PHP_VERSION;"),
}
_PATIENCE_S = 600.0


class NotSetUp(Exception):
    """An application can't be had here, or does not work: its row says so."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """An application that is at hand."""

    application: Application
    python: Path
    source: Path
    """Its source package, where it has one, which is also the folder that it runs in."""
    versions: str

    def command(self, place: Path, port: int) -> tuple[str, ...]:
        """The command for an empty folder and a free port."""
        values = {
            "python": self.python,
            "bin": self.python.parent,
            "programs": PROGRAMS,
            "source": self.source,
            "place": place,
            "port": port,
        }
        return tuple(word.format_map(values) for word in self.application.command)


def run(*command: str, folder: Path = PLACE, variables: Mapping[str, str] | None = None) -> str:
    """What the command says on stdout. Raises `NotSetUp`, with the last line of its errors."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=_PATIENCE_S,
        )
    except subprocess.CalledProcessError as error:
        words = (error.stderr.strip() or error.stdout.strip() or "it said nothing").splitlines()
        raise NotSetUp(f"{command[0]} exited with {error.returncode}: {words[-1]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotSetUp(str(error)) from error
    return done.stdout


def set_up(application: Application) -> SetUp:
    """Installs what is missing. Raises `NotSetUp`."""
    PLACE.mkdir(parents=True, exist_ok=True)
    _install_debian((*application.debian, *(["wrk"] if application.is_server else [])))
    python = _environment(application.pypi)
    source, source_version = _source(application)
    versions = (source_version, *_versions(application), f"{application.language} {version(application)}")
    return SetUp(application, python, source, ", ".join(filter(None, versions)))


def version(application: Application) -> str:
    """The version of the interpreter that runs it."""
    return run(*VERSION_OF[application.language]).strip()


def _install_debian(packages: Sequence[str]) -> None:
    def missing(package: str) -> bool:
        query = ("dpkg-query", "-W", "-f", "${db:Status-Status}", package)
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout != "installed"

    if wanted := [package for package in packages if missing(package)]:
        run("apt-get", "update")
        no_questions = ("env", "DEBIAN_FRONTEND=noninteractive")
        run(*no_questions, "apt-get", "install", "-y", "--no-install-recommends", *wanted)


def _environment(requirements: Sequence[str]) -> Path:
    """The interpreter of an environment with exactly these requirements; the system's own without any."""
    if not requirements:
        return Path(SYSTEM_PYTHON)
    folder = PLACE / re.split(r"\W", requirements[0])[0]
    stamp, made_of = folder / "requirements", " ".join(requirements)
    if not stamp.exists() or stamp.read_text() != made_of:
        run(SYSTEM_PYTHON, "-m", "venv", "--clear", str(folder))
        pip = (str(folder / "bin" / "pip"), "--quiet", "--disable-pip-version-check")
        run(*pip, "install", *requirements)
        stamp.write_text(made_of)
    return folder / "bin" / "python"


def _source(application: Application) -> tuple[Path, str]:
    """The folder of its source package, and its version where its pins don't say it; `PLACE` without one."""
    if application.sdist:
        return _python_source(application.sdist), ""
    if application.debian_source:
        return _debian_source(*application.debian_source.split())
    return PLACE, ""


def _python_source(requirement: str) -> Path:
    folder = PLACE / "sdists" / requirement
    source = folder / "source"
    if not source.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        only_source = ("--no-deps", "--no-binary", ":all:", "--dest", str(folder))
        run(SYSTEM_PYTHON, "-m", "pip", "download", "--quiet", *only_source, requirement)
        (archive,) = folder.glob("*.tar.gz")
        (folder / "unpacked").mkdir()
        run("tar", "-xf", str(archive), "-C", str(folder / "unpacked"), "--strip-components=1")
        (folder / "unpacked").rename(source)
    return source


def _debian_source(release: str, package: str) -> tuple[Path, str]:
    place = PLACE / "debian"
    folder = place / package
    if not (folder / "source").exists():
        shutil.rmtree(folder, ignore_errors=True)
        try:
            unpack_source(place, release, package)
        except subprocess.CalledProcessError as error:
            raise NotSetUp(f"{release}'s source of {package}: {error.stderr.strip()}") from error
    (description,) = folder.glob("*.dsc")
    return folder / "source", f"{description.stem.replace('_', ' ')} ({release}'s source)"


def _versions(application: Application) -> list[str]:
    """Names and versions of what it is made of, as they are installed."""
    found = [requirement.replace("==", " ") for requirement in application.pypi]
    for package in application.debian:
        installed = run("dpkg-query", "-W", "-f", "${Version}", package)
        found.append(f"{package} {installed}")
    return found


def environment() -> dict[str, str]:
    """The variables that applications run with: ours, without those that change what an interpreter loads."""
    left_out = ("PYTHON", "RUBY", "VIRTUAL_ENV", "BUNDLE_", "RACK_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
