#!/bin/bash
# inside.sh: what runs in the guest, as root, with the host's files. One pytest, so that its last line counts
# everything: the contract of all that touches another process, then what only this kernel can show.
cd "$(dirname "$(realpath "$0")")/../.."
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1
exec .venv/bin/python -m pytest -p no:cacheprovider --color=no --durations=5 \
    tests/symbolizers/process tests/kernel/inside.py
