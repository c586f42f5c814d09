#!/bin/sh
# A PostgreSQL of its own under pgbench, for four seconds.
set -e
programs=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
folder=$(mktemp -d)
chown postgres "$folder"
cd "$folder"
as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
as "$programs/initdb" -D data > /dev/null
as "$programs/pg_ctl" -D data -o "-k $folder -c listen_addresses=''" -w -l log start > /dev/null
as pgbench -h "$folder" -i -q -s 5 postgres > /dev/null 2>&1
as pgbench -h "$folder" -c 4 -T 4 postgres > /dev/null
as "$programs/pg_ctl" -D data -m immediate stop > /dev/null
cd /
rm -rf "$folder"
