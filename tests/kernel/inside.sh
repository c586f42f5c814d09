#!/bin/bash
# inside.sh: process 1 of the guest, as root, with the host's files. It runs one pytest, so that its last line
# counts everything: the contract of all that touches another process, then what only this kernel can show.
# The output goes to the second serial line, the exit code, for run.sh, to the first. Then the guest ends.
cd "$(dirname "$(realpath "$0")")/../.."
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1
# This small kernel has no seccomp: the sandbox is tested on the machine's own.
.venv/bin/python -m pytest -p no:cacheprovider --durations=5 \
    tests/symbolizers/process --ignore=tests/symbolizers/process/test_sandbox.py tests/kernel/inside.py 2>&1 < /dev/null | cat > /dev/ttyS1
echo "pidflame-exit: ${PIPESTATUS[0]}" > /dev/console
exec /bin/busybox poweroff -f
