#!/bin/busybox sh
# init.sh: process 1 of the guest at first. It makes a root of the host's files in which programs may write
# anywhere, while the host keeps nothing of it: each folder of the host's root, read only over 9p, with a
# tmpfs over it. The root itself is a tmpfs, because the kernel caches no path through 9p or an overlay on it,
# and one contract is about cached paths. Then tests/kernel/inside.sh of $PIDFLAME_ROOT (set on the kernel's
# command line) becomes process 1, in the place of any init.
export PATH=/bin
mount() { /bin/busybox mount "$@" || echo "init: no $*"; }

/bin/busybox --install /bin
for module in /modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module" || echo "init: no $module"
done
mkdir -p /host /upper /merged /newroot
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /host
mount -t tmpfs -o size=50% tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/host,upperdir=/upper/files,workdir=/upper/work overlay /merged

mount -t tmpfs tmpfs /newroot
cd /newroot
mkdir dev proc sys tmp run
for entry in /merged/*; do
    name=${entry##*/}
    if [ -L "$entry" ]; then
        ln -s "$(readlink "$entry")" "$name"
    elif [ -d "$entry" ] && [ ! -e "$name" ]; then
        mkdir "$name" && mount -o bind "$entry" "$name"
    fi
done
if [ ! -e ".$PIDFLAME_ROOT" ]; then  # a checkout under /tmp, which is the guest's own
    mkdir -p ".$PIDFLAME_ROOT" && mount -o bind "/merged$PIDFLAME_ROOT" ".$PIDFLAME_ROOT"
fi

# The QEMU of a user can't look into root's cache.
if ! ls var/cache/pidflame > /dev/null; then
    mkdir -p var/cache/pidflame && mount -t tmpfs -o mode=700 tmpfs var/cache/pidflame
fi

mount -t proc proc proc
mount -t sysfs sys sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tracefs tracefs sys/kernel/tracing
mount -t devtmpfs dev dev
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts devpts dev/pts
ln -s /proc/self/fd dev/fd
chmod 1777 tmp dev/shm

ifconfig lo 127.0.0.1
hostname pidflame-test
stty -F dev/ttyS1 raw
exec switch_root /newroot /bin/bash "$PIDFLAME_ROOT/tests/kernel/inside.sh"
