"""A WSGI application that burns CPU in a function of its own for as long as it is asked to."""

import time


def serve_slowly(seconds):
    finish = time.thread_time() + seconds
    count = 0
    while time.thread_time() < finish:
        count += sum(range(1000))
    return count


def application(environ, start_response):
    serve_slowly(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
