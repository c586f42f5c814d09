#!/bin/bash
# inside.sh: process 1 of the guest, as root, with the host's files. It runs one pytest, with the arguments that
# run.sh was given. The output goes to the second serial line, the exit code, for run.sh, to the first. Then the guest ends.
cd "$(dirname "$(realpath "$0")")/../.."
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1
# shellcheck disable=SC2086  # words of a kernel's command line
.venv/bin/python -m pytest -p no:cacheprovider --durations=5 $PIDFLAME_TESTS 2>&1 < /dev/null | cat > /dev/ttyS1
echo "pidflame-exit: ${PIPESTATUS[0]}" > /dev/console
exec /bin/busybox poweroff -f
