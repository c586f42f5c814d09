#!/bin/sh
# A Redis of its own under redis-benchmark.
set -e
folder=$(mktemp -d)
redis-server --port 0 --unixsocket "$folder/socket" --save '' --dir "$folder" > /dev/null &
server=$!
while [ ! -S "$folder/socket" ]; do sleep 0.1; done
redis-benchmark -s "$folder/socket" -t set,get,lpush,lrange_100,zadd -n 60000 -q > /dev/null
kill "$server"
wait "$server" || true
rm -rf "$folder"
