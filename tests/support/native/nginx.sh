#!/bin/sh
# An nginx of its own that compresses its page for ab.
set -e
folder=$(mktemp -d)
mkdir "$folder/html"
head -c 60000 "$0" > "$folder/html/index.html"
seq 1 20000 >> "$folder/html/index.html"
cat > "$folder/conf" <<END
worker_processes 1;
pid $folder/pid;
error_log $folder/error;
events {}
http {
	access_log $folder/access;
	gzip on;
	server { listen 127.0.0.1:18088; root $folder/html; }
}
END
nginx -p "$folder" -c "$folder/conf"
ab -q -n 8000 -c 4 -H 'Accept-Encoding: gzip' http://127.0.0.1:18088/index.html > /dev/null
nginx -p "$folder" -c "$folder/conf" -s quit
while [ -f "$folder/pid" ]; do sleep 0.1; done
rm -rf "$folder"
