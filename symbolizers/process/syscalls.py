"""The system calls that Python does not offer, as thin as ctypes allows. No policy here."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from msgspec import Struct

PROCESS_VM_PIDFD = 1 << 0
"""The first argument of `process_vm_readv` is a pidfd (patch series "process_vm_readv: pidfd and nowait")."""
PROCESS_VM_NOWAIT = 1 << 1
"""A page that would need IO is not waited for (same series)."""

SYS_OPENAT2 = 437
"""The same number on every architecture (the system calls since 5.0 share one table)."""
OPEN_HOW = struct.Struct("=QQQ")
"""struct open_how: flags, mode, resolve."""
SYS_OPEN_BY_HANDLE_AT = {"x86_64": 304}.get(os.uname().machine, 265)
"""265 in the table that newer architectures share."""
_FILE_HANDLE = struct.Struct("=IiQ")
_KERNFS_HANDLE = 0xFE
"""FILEID_KERNFS: a handle of that type is the id of a folder of a cgroup file system (Linux 5.5)."""
_SYS_PERF_EVENT_OPEN = {"x86_64": 298}.get(os.uname().machine, 241)
"""241 in the table that newer architectures share."""
_PERF_FLAG_FD_CLOEXEC = 1 << 3
_AT_EMPTY_PATH = 0x1000
_AT_STATX_DONT_SYNC = 0x4000
_STATX_BASIC_STATS = 0x7FF
_STATX_BYTES = 256

_SECOND_NS = 1_000_000_000
FS_IOC_GETVERSION = 0x80087601
"""linux/fs.h: _IOR('v', 1, long). The kernel writes an int, or a long, by file system."""

_libc = ctypes.CDLL(None, use_errno=True)

process_vm_readv = _libc.process_vm_readv
"""``(pid or pidfd, local iovecs, their count, remote iovecs, their count, flags)`` -> bytes read or -1.

Called without a wrapper because it is the one hot call; the error is in ``ctypes.get_errno()``.
"""
process_vm_readv.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_ulong,
)
process_vm_readv.restype = ctypes.c_ssize_t

_statx = _libc.statx
_statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
_statx.restype = ctypes.c_int

_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class CachedStat(Struct, frozen=True):
    """What the kernel already knows about a file.

    `device` is ``(major, minor)``, `owner` a uid, `mode` as in stat(2).
    """

    mode: int
    owner: int
    device: tuple[int, int]
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


def cached_stat(fd: int) -> CachedStat:
    """The attributes of an open file (also an O_PATH one) without asking a remote server for them.

    AT_STATX_DONT_SYNC: a FUSE or network file system answers from its cache, where fstat(2) could wait.
    Raises OSError.
    """
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    flags = _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    check(_statx(fd, b"", flags, _STATX_BASIC_STATS, ctypes.addressof(buffer)))
    owner, _, mode = struct.unpack_from("=IIH", buffer, 20)
    inode, size_bytes = struct.unpack_from("=QQ", buffer, 32)
    ctime_s, ctime_rest_ns = struct.unpack_from("=qI", buffer, 96)
    mtime_s, mtime_rest_ns = struct.unpack_from("=qI", buffer, 112)
    major, minor = struct.unpack_from("=II", buffer, 136)
    mtime_ns, ctime_ns = mtime_s * _SECOND_NS + mtime_rest_ns, ctime_s * _SECOND_NS + ctime_rest_ns
    return CachedStat(mode, owner, (major, minor), inode, size_bytes, mtime_ns, ctime_ns)


def inode_generation(fd: int) -> int | None:
    """The generation of an open file's inode, which a new file with its number does not share.

    None where the file system does not tell: ext4, XFS and Btrfs do, others don't.
    """
    try:
        answer = fcntl.ioctl(fd, FS_IOC_GETVERSION, bytes(8))
    except OSError:
        return None
    generation: int = struct.unpack_from("=I", answer)[0]
    return generation


def openat2(directory_fd: int, path: bytes, how_address: int) -> int:
    """A descriptor for `path` under `directory_fd`, by the struct open_how that is there. Raises OSError."""
    how = ctypes.c_void_p(how_address)
    size = ctypes.c_size_t(OPEN_HOW.size)
    return check(_syscall(SYS_OPENAT2, directory_fd, ctypes.c_char_p(path), how, size))


def open_cgroup(mount_fd: int, cgroup: int) -> int:
    """An O_PATH descriptor of the folder of the cgroup with this id, in the hierarchy that is mounted there.

    Raises OSError: EPERM without CAP_DAC_READ_SEARCH in the initial user namespace, ESTALE if it is gone.
    """
    handle = ctypes.create_string_buffer(_FILE_HANDLE.pack(8, _KERNFS_HANDLE, cgroup))
    return check(_syscall(SYS_OPEN_BY_HANDLE_AT, mount_fd, handle, os.O_PATH | os.O_CLOEXEC))


def perf_event_open(attributes: bytes, cpu: int) -> int:
    """A descriptor of the event in `attributes` (struct perf_event_attr), of all processes on `cpu`.

    It is closed by an exec. Raises OSError.
    """
    block = ctypes.create_string_buffer(attributes, len(attributes))
    return check(_syscall(_SYS_PERF_EVENT_OPEN, block, -1, cpu, -1, ctypes.c_ulong(_PERF_FLAG_FD_CLOEXEC)))


def check(result: int) -> int:
    """`result` of a call through ctypes, where it is no error. Raises OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
