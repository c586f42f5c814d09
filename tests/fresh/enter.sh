#!/bin/sh
# enter.sh ROOT DOWNLOADS [BOUND…] -- COMMAND…: becomes COMMAND in the clone in ROOT.
#
# Run it in a mount namespace of its own. The root is moved (pivot_root), so that paths in maps name files of ROOT
# alone. /proc is mounted anew, for our PID namespace, because eBPF programs see its pids. The kernel is the
# machine's, and so are /sys and /dev. apt keeps packages in DOWNLOADS. Each BOUND directory can be read in
# ROOT, under its own path.
set -eu

root=$1
downloads=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount --bind "$downloads" var/cache/apt/archives
while [ "$1" != -- ]; do
    mkdir -p ".$1"
    mount --bind -o ro "$1" ".$1"
    shift
done
shift
mkdir -p mnt/machine
pivot_root . mnt/machine
umount -l /mnt/machine
rmdir /mnt/machine
cd "$HOME/pidflame"
exec "$@"
