"""Gets a kernel of Debian for the guest: ``debian.py NAME``; the last line of stdout is its folder.

The packages come from the mirror that the machine's own apt is configured with, with signatures checked. The
folder is ``.cache/kernels/NAME/PACKAGE``: ``vmlinuz``, and in ``modules``, in the order of their names, those
that give a guest the host's files. Without a mirror the kernel that was fetched last is taken.
"""

from __future__ import annotations

import fcntl
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interpreters.lay_out import apt, archives, mirror, new_apt

KERNELS = Path(__file__).resolve().parents[2] / ".cache" / "kernels"
RELEASES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "newest": "trixie-backports"}
"""The release of Debian that has each kernel."""
_NEWEST = "linux-image-amd64"
"""The package that depends on the newest kernel of a release."""
_PART = re.compile(r"\blinux-(?:base|image|binary|modules)-[0-9][^ ,]*-amd64")
"""Packages of one kernel: all is in the image until 6.12, later in four parts."""
_NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_UNPACKED = (
    *("*/vmlinuz*", "*/modules/*/modules.*", "*/modules/*/kernel/fs/*", "*/modules/*/kernel/lib/*"),
    *("*/modules/*/kernel/net/9p/*", "*/modules/*/kernel/drivers/virtio/*"),
)


def _sources(release: str) -> str:
    """Lines for apt: the release, and its security updates where the machine has an archive of these."""
    lines = [f"deb {{}} {mirror()} {release} main\n"]
    if "-" not in release:
        security = {uri for name, uri in archives() if name.endswith("-security")}
        lines += [f"deb {{}} {uri} {release}-security main\n" for uri in sorted(security)]
    return "".join(lines)


def _depends(package: Path) -> list[str]:
    """The packages of a kernel that this one depends on."""
    command = ["dpkg-deb", "--field", str(package), "Depends"]
    return _PART.findall(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _download(folder: Path, name: str) -> Path:
    apt(folder, "download", name)
    return next(folder.glob(f"{name}_*.deb"))


def _unpack(package: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as content:
        unpack = ["tar", "-x", "--keep-directory-symlink", "-C", str(root), "--wildcards", *_UNPACKED]
        # Its exit code says only that no one package has a file for every pattern.
        subprocess.run(unpack, stdin=content.stdout, stderr=subprocess.DEVNULL, check=False)


def _in_order(root: Path) -> list[Path]:
    """The modules that the guest needs, each after those that it depends on; what is built in has none."""
    (modules,) = (root / "lib" / "modules").iterdir()
    subprocess.run(["/sbin/depmod", "-b", root, modules.name], check=True)
    show = ["/sbin/modprobe", "-d", str(root), "-S", modules.name, "--show-depends", "--all", *_NEEDED]
    shown = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    return [Path(file) for file in dict.fromkeys(re.findall(r"^insmod (\S+)", shown, re.MULTILINE))]


def _make(folder: Path, packages: list[Path]) -> None:
    """Makes the kernel's folder of its packages."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        root, made = Path(work) / "root", Path(work) / "made"
        (root / "usr" / "lib").mkdir(parents=True)
        (root / "lib").symlink_to("usr/lib")
        for package in packages:
            _unpack(package, root)
        (made / "modules").mkdir(parents=True)
        for number, module in enumerate(_in_order(root)):
            content = module.read_bytes()
            plain = lzma.decompress(content) if module.suffix == ".xz" else content
            (made / "modules" / f"{number:02}-{module.name.removesuffix('.xz')}").write_bytes(plain)
        (vmlinuz,) = (*root.glob("boot/vmlinuz-*"), *root.glob("lib/modules/*/vmlinuz"))
        shutil.copy(vmlinuz, made / "vmlinuz")
        made.rename(folder)


def _fetch(name: str, kept: Path) -> Path:
    """Returns the folder of the newest kernel of this name, which is made unless it is there."""
    with tempfile.TemporaryDirectory(dir=kept) as work:
        folder = Path(work)
        new_apt(folder, _sources(RELEASES[name]))
        apt(folder, "update")
        image = _depends(_download(folder, _NEWEST))[0]
        made = kept / image
        if not made.exists():
            packages = [_download(folder, image)]
            packages += [_download(folder, part) for part in _depends(packages[0])]
            _make(made, packages)
        return made


def kernel(name: str) -> Path:
    """The folder of the newest kernel of this name, or without a mirror of the one that was fetched last."""
    kept = KERNELS / name
    kept.mkdir(parents=True, exist_ok=True)
    with open(kept / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _fetch(name, kept)
        except subprocess.CalledProcessError as error:
            why = (error.stderr or str(error)).strip()
            last = max(kept.glob("linux-*"), key=lambda folder: folder.stat().st_mtime, default=None)
            if last is None:
                raise SystemExit(f"no kernel {name}: {why}") from error
            print(f"{last.name} as it is, since no newer one can be had: {why}", file=sys.stderr)
            return last


if __name__ == "__main__":
    print(kernel(*sys.argv[1:]))
