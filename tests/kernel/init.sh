#!/bin/busybox sh
# init.sh: process 1 of the guest. The host's root, read only over 9p, gets a tmpfs over it, so that what runs
# inside finds the host's programs and may write anywhere, and the host keeps nothing of it. Then
# tests/kernel/inside.sh of $PIDFLAME_ROOT (the kernel's command line says it) runs in there as root: its
# output goes to the second serial line, its exit code, for run.sh, to the first.
export PATH=/bin
root=/root

mount() { /bin/busybox mount "$@" || echo "init: no $*"; }

/bin/busybox --install /bin
mkdir -p /proc /sys /host /tmpfs $root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /host
mount -t tmpfs -o size=50% tmpfs /tmpfs
mkdir /tmpfs/upper /tmpfs/work
mount -t overlay -o lowerdir=/host,upperdir=/tmpfs/upper,workdir=/tmpfs/work overlay $root
for kind in proc:proc sysfs:sys devtmpfs:dev tmpfs:tmp tmpfs:run; do
    mount -t ${kind%:*} none $root/${kind#*:}
done
mkdir -p $root/dev/shm $root/dev/pts
mount -t tmpfs none $root/dev/shm
mount -t devpts none $root/dev/pts
mount -t tracefs none $root/sys/kernel/tracing
ln -s /proc/self/fd $root/dev/fd
ifconfig lo 127.0.0.1
hostname pidflame-test

stty -F /dev/ttyS1 raw
chroot $root /bin/bash "$PIDFLAME_ROOT/tests/kernel/inside.sh" < /dev/null > /dev/ttyS1 2>&1
echo "pidflame-exit: $?"
poweroff -f
