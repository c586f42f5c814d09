#!/bin/sh
# Runs a command as container engines do: in a cgroup, with mounts and pids of its own, and an overlay as its root.
#
#     contain.sh CGROUP FOLDER FILES COMMAND…
#
# CGROUP is the folder of the cgroup, FOLDER an empty one to mount at. What is in FILES is copied to /opt in the overlay;
# below it is the root of the machine. It needs root.
set -eu
echo $$ >"$1/cgroup.procs"
shift
exec unshare --mount --pid --fork --kill-child -- sh -eu -c '
	folder=$1 files=$2
	shift 2
	mount -t tmpfs none "$folder"
	mkdir "$folder/upper" "$folder/work" "$folder/root"
	mount -t overlay none -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
	cp -r "$files/." "$folder/root/opt/"
	mount -t proc none "$folder/root/proc"
	mount --bind /dev "$folder/root/dev"
	mount -t tmpfs none "$folder/root/tmp"
	cd "$folder/root"
	pivot_root . .
	umount -l .
	exec "$@"
' contain "$@"
