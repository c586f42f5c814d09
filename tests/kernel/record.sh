#!/bin/bash
# record.sh PYTHON NAME: the recording on Debian's kernel of this name, in three minutes of CPU time. Its output
# comes at the end, and all at once, since two guests run at a time: one alone keeps hardly more than a CPU busy.
set -u
here=$(dirname "$(realpath "$0")")
cd "$here/../.."
run() {
    kernel=$("$1" -m tests.kernel.debian "$2") || return
    echo "== Debian's $2: ${kernel##*/}"
    "$here/run.sh" "$kernel/vmlinuz" tests/kernel/stacks.py
}
said=$(run "$@" 2>&1)
code=$?
printf '%s\n' "$said"
exit "$code"
