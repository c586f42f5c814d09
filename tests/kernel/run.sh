#!/bin/bash
# run.sh BZIMAGE: boots the test kernel and runs tests/kernel/inside.sh in it. Output and exit code are those
# of inside.sh; if the guest does not come so far, they are the end of the guest's console and 125.
#
# QEMU emulates the guest (TCG), so that this works without KVM, as in most CI. It takes about 2 s from here
# to inside.sh; programs in the guest run 5 to 20 times slower than outside.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
image=$1
limit_s=1800

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/initramfs/bin"
cp /bin/busybox "$work/initramfs/bin/"
install -m 755 "$here/init.sh" "$work/initramfs/init"
(cd "$work/initramfs" && find . | cpio --quiet -o -H newc | gzip -1) > "$work/initramfs.gz"

status=0
timeout --kill-after 5 "$limit_s" nice -n 10 qemu-system-x86_64 \
    -nodefaults -no-user-config -display none -no-reboot \
    -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 2048 \
    -kernel "$image" -initrd "$work/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off PIDFLAME_ROOT=\"${here%/tests/kernel}\"" \
    -device virtio-rng-pci \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -serial "file:$work/console" -serial stdio < /dev/null || status=$?

code=$(sed -n 's/^pidflame-exit: \([0-9]*\).*/\1/p' "$work/console")
if [[ -z $code ]]; then
    echo "the test kernel's guest failed (QEMU's exit code $status); the end of its console:" >&2
    tail -n 40 "$work/console" >&2
    exit 125
fi
exit "$code"
