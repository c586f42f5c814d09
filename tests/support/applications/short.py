"""A short program, of the kind that scripts are: arguments, a few modules, some text, and the end."""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import tempfile
import urllib.parse


def rows(count: int) -> list[dict[str, str]]:
    """A table, through CSV."""
    text = "\n".join(["name,address", *(f"n{row},http://host/{row}?a={row}" for row in range(count))])
    return list(csv.DictReader(io.StringIO(text)))


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=500)
arguments = parser.parse_args()
logging.basicConfig(level=logging.WARNING)
with tempfile.TemporaryFile("w") as file:
    json.dump([urllib.parse.urlsplit(row["address"])._asdict() for row in rows(arguments.count)], file)
