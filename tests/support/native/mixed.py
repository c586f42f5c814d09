"""JSON, zlib, regular expressions, hashes and sorting with a key for four seconds."""

import hashlib
import json
import re
import time
import zlib

total = 0
began_s = time.monotonic()
while time.monotonic() - began_s < 4:
    rows = [{"key": each, "value": str(each) * 3} for each in range(2000)]
    text = json.dumps(rows)
    total += len(zlib.compress(text.encode())) + len(re.findall(r"\d+", text))
    total += hashlib.sha256(text.encode()).digest()[0] + len(sorted(rows, key=lambda row: -row["key"]))
print(total)
