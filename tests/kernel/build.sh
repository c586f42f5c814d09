#!/bin/bash
# build.sh: the test kernel, built once for its inputs; the last line of stdout is the path of its bzImage.
#
# The inputs are Debian's linux-source-6.1 (its version), the patch, the configuration and this script; their
# hash names .cache/kernel/HASH/. A cold build takes 5 to 16 minutes on two cores and 2 GB of disk while it
# runs; 10 MB stay. Talk goes to stderr, the compiler's to .cache/kernel/build.log.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=$(realpath -m "$here/../../.cache/kernel")
mkdir -p "$cache"
version=$(dpkg-query -W -f '${Version}' linux-source-6.1)
inputs=("$here/process_vm_flags.patch" "$here/kernel.fragment" "$here/build.sh")
key=$({ echo "$version"; cat "${inputs[@]}"; } | sha256sum | cut -c -16)
image=$cache/$key/bzImage

# Two runs at once build one after the other, and the second finds the first one's kernel.
exec 9> "$cache/lock"
flock 9
if [[ -e $image ]]; then
    echo "$image"
    exit
fi

work=$cache/building
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
mkdir "$work"
started=$SECONDS
echo "building the test kernel from linux-source-6.1 $version: 5 to 16 minutes" >&2
# Sources that this configuration never compiles stay packed; kconfig and make want the rest of their folders.
unused=(--wildcards --exclude='*.rst' --exclude='*.dts*' --exclude='*.yaml')
drivers=(drivers/{gpu,infiniband,media,net/ethernet,net/wireless,scsi,staging})
for part in 'arch/[!ux]*' "${drivers[@]}" sound tools/testing; do
    unused+=("--exclude=*/$part/*.[chS]")
done
tar -xJf /usr/src/linux-source-6.1.tar.xz -C "$work" --strip-components 1 "${unused[@]}"

cd "$work"
patch --quiet --strip 1 --fuzz 0 < "$here/process_vm_flags.patch"
unset MAKEFLAGS MAKELEVEL  # of the make that started this
build=(nice -n 10 make -j "$(nproc)")
if ! {
    "${build[@]}" tinyconfig &&
        scripts/kconfig/merge_config.sh -m .config "$here/kernel.fragment" &&
        "${build[@]}" olddefconfig
} > "$cache/build.log" 2>&1; then
    tail -n 30 "$cache/build.log" >&2
    exit 1
fi

# The same words as in .config, so that a line that did not take is a line that is not found there.
if lost=$(grep -v '^# [^C]' "$here/kernel.fragment" | grep CONFIG_ | grep -vxFf .config); then
    printf 'not in the configuration, for want of what it depends on:\n%s\n' "$lost" >&2
    exit 1
fi

if ! "${build[@]}" bzImage >> "$cache/build.log" 2>&1; then
    grep -B 5 -m 1 -E '(error|Error)' "$cache/build.log" >&2 || true
    tail -n 10 "$cache/build.log" >&2
    exit 1
fi
mkdir -p "$cache/$key"
cp arch/x86/boot/bzImage "$image.new"
mv "$image.new" "$image"
echo "built in $((SECONDS - started)) s" >&2
echo "$image"
