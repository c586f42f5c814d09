"""A Flask site: one page's template is compiled once, the other's by each request."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, render_template, render_template_string

application = Flask(__name__)
SOURCE = (Path(__file__).parent / "templates" / "flask.html").read_text()


def orders() -> list[dict[str, object]]:
    """What the pages show."""
    return [{"number": number, "name": f"order {number}", "sum": number * 1.19} for number in range(40)]


@application.get("/")
def page() -> str:
    """From a file."""
    return render_template("flask.html", orders=orders(), title="Orders")


@application.get("/string")
def page_from_string() -> str:
    """From a string, which Jinja compiles to Python code every time."""
    return render_template_string(SOURCE, orders=orders(), title="Orders")
