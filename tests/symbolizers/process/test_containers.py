"""Whose cgroup a path is, by the ways in which runtimes write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.process.containers import container_in, container_of

ID = "3f2a91c0d5e1" + "ab" * 26
OTHER = "0123456789ab" + "cd" * 26
SHORT = "3f2a91c0d5e1"
UID = "0c7f1d2e-13aa-4b3c-9d6e-001122334455"
UID_ = UID.replace("-", "_")
STATIC = "9b8392bef476d86559ee2becd7eee2b9"


PATHS = {
    "": "",
    "/": "",
    "/system.slice/ssh.service": "",
    "/user.slice/user-1000.slice/session-3.scope": "",
    f"/system.slice/docker-{ID}.scope": SHORT,
    f"/docker/{ID}": SHORT,
    f"/docker/{ID}/docker/{OTHER}": f"{SHORT}/0123456789ab",
    f"/ecs/{STATIC}/{ID}": SHORT,
    f"/machine.slice/libpod-{ID}.scope/container": SHORT,
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope": f"0123456789ab/{SHORT}",
    f"/machine.slice/libpod-conmon-{ID}.scope": "",
    f"/kubepods/burstable/pod{UID}/crio-conmon-{ID}.scope": UID,
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice"
    f"/cri-containerd-{ID}.scope": f"{UID}/{SHORT}",
    f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope/container": f"{UID}/{SHORT}",
    f"/kubepods/besteffort/pod{STATIC}/{ID}": f"{STATIC}/{SHORT}",
    f"/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}": f"{UID}/{SHORT}",
    f"/system.slice/nerdctl-{ID}.scope": SHORT,
    "/machine.slice/machine-web\\x2d1.scope/payload": "web-1",
    "/machine.slice/systemd-nspawn@debian.service/payload/init.scope": "debian",
    "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt": "",
    "/lxc/web/system.slice/cron.service": "web",
    "/lxc.payload.web/system.slice": "web",
    "/lxc.payload/web": "web",
    "/lxc.monitor.web": "",
    f"/lxc.payload.web/system.slice/docker-{ID}.scope": f"web/{SHORT}",
    f"/../docker-{ID}.scope": SHORT,
    f"/system.slice/docker-{ID}.scope (deleted)": SHORT,
    f"/docker/{ID[:-1]}": "",
    f"/docker/{ID.upper()}": "",
    f"/user.slice/user@1000.service/user.slice/libpod-{ID}.scope/container": f"user 1000/{SHORT}",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope": "",
}


@pytest.mark.parametrize(("path", "container"), PATHS.items())
def test_the_container_in_a_path(path: str, container: str) -> None:
    assert container_in(path.encode()) == container


def test_the_unified_hierarchy_comes_first_then_whichever_tells() -> None:
    nothing, docker, other = b"/", f"/docker/{ID}".encode(), f"/docker/{OTHER}".encode()
    assert container_of(b"9:name=systemd:%s\n4:memory:%s\n0::%s\n" % (nothing, docker, nothing)) == SHORT
    assert container_of(b"4:memory:%s\n0::%s\n" % (docker, other)) == "0123456789ab"
    assert container_of(b"0::/user.slice/with:colons:/docker/%s\n" % ID.encode()) == SHORT
    assert container_of(b"") == container_of(b"0::/\n") == container_of(b"nonsense\n\n") == ""


def test_a_user_can_not_take_the_name_of_anothers_container() -> None:
    """Below a cgroup of one's own, any name is allowed."""
    delegated = "/user.slice/user-1000.slice/user@1000.service"
    for name in (f"docker-{ID}.scope", f"docker/{ID}", f"kubepods/pod{UID}/{ID}", "lxc.payload.web"):
        assert container_in(f"{delegated}/{name}".encode()).startswith("user 1000/")
        assert container_in(f"/lxc.payload.mine/{name}".encode()).startswith("mine/")


def test_a_name_is_short_whatever_it_is() -> None:
    assert container_in(b"/machine.slice/machine-" + b"n" * 4000 + b".scope") == "n" * 64
    assert container_in(b"/lxc/" + b"\xff;\x1b[2J" * 10) == ("\udcff;\x1b[2J" * 10)[:64]
    assert container_in(f"/docker/{ID}".encode() * 60).count("/") == 3


@given(st.binary(max_size=200) | st.text(alphabet="/-:.@dockerlxp0af\\x\n ", max_size=200).map(str.encode))
def test_any_text_is_a_container_or_none(text: bytes) -> None:
    assert len(container_of(text)) < 5 * 70
    assert len(container_in(text)) < 5 * 70
