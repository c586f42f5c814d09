"""A debuginfod server of our own, on 127.0.0.1."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class DebugServer:
    """Has `files` by build id. Lifetime: its block."""

    def __init__(self, files: dict[bytes, bytes]) -> None:
        self.asked: list[str] = []
        self.how = ""
        """``cut``: half of the file comes; ``stuck``: nothing; ``elsewhere``: a redirect to another host."""
        self.times = 1
        """How often the content is repeated."""
        self._ends = threading.Event()
        by_path = {f"/buildid/{each.hex()}/debuginfo": content for each, content in files.items()}
        asked, ends, outer = self.asked, self._ends, self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                content = by_path.get(self.path.removeprefix("/"[: self.path.startswith("//")]))
                if content is None:
                    self.send_error(404)
                    return
                if outer.how == "stuck":
                    ends.wait(60)
                elif outer.how == "elsewhere":
                    self.send_response(302)
                    self.send_header("Location", "http://example.org/")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(outer.times * len(content)))
                self.end_headers()
                for _ in range(outer.times):
                    self.wfile.write(content[: len(content) // 2] if outer.how == "cut" else content)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> DebugServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
