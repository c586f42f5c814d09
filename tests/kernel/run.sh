#!/bin/bash
# run.sh KERNEL TEST…: boots a kernel and runs tests/kernel/inside.sh in it, with these arguments for pytest. Output
# and exit code are those of inside.sh; if the guest does not come so far, they are the end of its console and 125.
# The guest first loads the modules in the folder `modules` beside the kernel, if there is one.
#
# QEMU emulates the guest (TCG), so that this works without KVM, as in most CI. It takes about 2 s from here
# to inside.sh; programs in the guest run 5 to 20 times slower than outside.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
image=$1
shift
limit_s=1800
# A busy host makes the guest doubt its clock, and each look at another one would cost an exit from the guest.
quick="mitigations=off tsc=reliable init_on_alloc=0 rcupdate.rcu_expedited=1 apparmor=0 audit=0"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/initramfs/bin"
cp /bin/busybox "$work/initramfs/bin/"
install -m 755 "$here/init.sh" "$work/initramfs/init"
modules=$(dirname "$image")/modules
if [[ -d $modules ]]; then
    cp -r "$modules" "$work/initramfs/"
fi
(cd "$work/initramfs" && find . | cpio --quiet -o -H newc | gzip -1) > "$work/initramfs.gz"

status=0
timeout --kill-after 5 "$limit_s" nice -n 10 qemu-system-x86_64 \
    -nodefaults -no-user-config -display none -no-reboot \
    -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max,la57=off -smp 2 -m 2048 \
    -kernel "$image" -initrd "$work/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 $quick PIDFLAME_ROOT=\"${here%/tests/kernel}\" PIDFLAME_TESTS=\"$*\"" \
    -device virtio-rng-pci \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -serial "file:$work/console" -serial stdio < /dev/null || status=$?

code=$(sed -n 's/^pidflame-exit: \([0-9]*\).*/\1/p' "$work/console")
if [[ -z $code ]]; then
    echo "the guest failed (QEMU's exit code $status); the end of its console:" >&2
    tail -n 40 "$work/console" >&2
    exit 125
fi
exit "$code"
