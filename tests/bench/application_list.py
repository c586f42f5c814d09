"""The applications that `tests.bench.applications` records: add one to `ALL`.

In a command, ``{python}`` and ``{bin}`` are the interpreter and the programs of the application's own
environment, ``{programs}`` is the folder of this project's own test programs, ``{source}`` that of the
unpacked source package, ``{place}`` an empty folder and ``{port}`` a free port.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[1] / "support" / "applications"
WITHOUT_BUNDLER = ("-I", "{programs}/without_bundler")
GUNICORN = ("{bin}/gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "--chdir", "{programs}")
NUMPY = "numpy==2.3.5"
PANDAS = ("pandas==2.3.3", NUMPY, "python-dateutil==2.9.0.post0", "pytz==2025.2", "tzdata==2025.2")
DJANGO = ("django==5.2.8", "asgiref==3.10.0", "gunicorn==23.0.0")
FLASK = ("flask==3.1.2", "werkzeug==3.1.3", "jinja2==3.1.6", "gunicorn==23.0.0")
FASTAPI = ("fastapi==0.121.3", "uvicorn==0.38.0", "starlette==0.50.0", "pydantic==2.12.4")
JINJA = "jinja2==3.1.6"
JINJA_TESTS = (JINJA, "pytest==8.4.2", "trio==0.32.0")


@dataclass(frozen=True, slots=True)
class Application:
    """A program that people run, and how to have it here."""

    name: str
    command: tuple[str, ...]
    language: str = "Python"
    pypi: tuple[str, ...] = ()
    """What its environment holds, pinned."""
    debian: tuple[str, ...] = ()
    """Packages of the distribution, whose release pins them."""
    sdist: str = ""
    """A source package of PyPI, pinned."""
    debian_source: str = ""
    """``RELEASE PACKAGE``: a source package of Debian."""
    times: int = 1
    """How often a recording runs the command, each time in new processes."""
    path: str = ""
    """Of a server: the page to ask for."""
    reported: str = ""
    """The per cent of lost samples that the issue reported; empty where it reported none."""

    @property
    def is_server(self) -> bool:
        """Whether it runs until it is ended."""
        return bool(self.path)


def _puma(environment: str) -> tuple[str, ...]:
    bind = ("--bind", "tcp://127.0.0.1:{port}", "--threads", "2:2")
    return ("puma", "--quiet", "--environment", environment, *bind, "{programs}/sinatra.ru")


def _pytest(*options: str) -> tuple[str, ...]:
    return ("{python}", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "{source}/tests")


ALL: tuple[Application, ...] = (
    Application(
        "import pandas", ("{python}", "-c", "import pandas"), pypi=PANDAS, times=70, reported="22 to 25"
    ),
    Application(
        "import sklearn",
        ("{python}", "-c", "import sklearn.ensemble"),
        pypi=("scikit-learn==1.7.2", NUMPY, "scipy==1.16.3", "joblib==1.5.2"),
        times=15,
    ),
    Application(
        "pytest collects Jinja's tests",
        _pytest("--collect-only"),
        pypi=JINJA_TESTS,
        sdist=JINJA,
        times=12,
        reported="18",
    ),
    Application(
        "pytest runs Jinja's tests",
        _pytest(),
        pypi=JINJA_TESTS,
        sdist=JINJA,
        times=5,
        reported="18",
    ),
    Application("Django, templates (gunicorn)", (*GUNICORN, "django_site"), pypi=DJANGO, path="/"),
    Application("Flask, Jinja templates (gunicorn)", (*GUNICORN, "flask_site"), pypi=FLASK, path="/"),
    Application(
        "Flask, Jinja templates from strings (gunicorn)",
        (*GUNICORN, "flask_site"),
        pypi=FLASK,
        path="/string",
    ),
    Application(
        "FastAPI (uvicorn)",
        ("{bin}/uvicorn", "--app-dir", "{programs}", "--port", "{port}", "fastapi_site:application"),
        pypi=FASTAPI,
        path="/",
    ),
    Application("pool of spawned processes", ("{python}", "{programs}/pool.py", "600"), reported="6"),
    Application("exec and eval in a loop", ("{python}", "{programs}/evaluate.py", "12")),
    Application(
        "namedtuple and dataclass factories in a loop", ("{python}", "{programs}/factories.py", "12")
    ),
    Application("short Python programs", ("{python}", "{programs}/short.py"), times=150),
    Application(
        "Sinatra, ERB (puma, production)",
        _puma("production"),
        "Ruby",
        debian=("puma", "ruby-sinatra"),
        path="/",
        reported="24 and 36",
    ),
    Application(
        "Sinatra, ERB compiled by each request (puma, development)",
        _puma("development"),
        "Ruby",
        debian=("puma", "ruby-sinatra"),
        path="/",
        reported="24 and 36",
    ),
    Application(
        "irb, a session",
        ("sh", "-c", "irb -f --nomultiline <{programs}/irb_session.rb"),
        "Ruby",
        times=70,
        reported="15",
    ),
    Application("rake", ("rake", "-s", "-f", "{programs}/Rakefile"), "Ruby", debian=("rake",), times=110),
    Application(
        "jekyll build",
        ("jekyll", "build", "-q", "--disable-disk-cache", "-s", "{programs}/jekyll", "-d", "{place}"),
        "Ruby",
        debian=("jekyll", "ruby-rouge", "ruby-kramdown"),
        times=20,
    ),
    Application(
        "rspec runs addressable's tests",
        ("rspec", *WITHOUT_BUNDLER, "-I", "lib", "--exclude-pattern", "**/net_http*"),
        "Ruby",
        debian=("ruby-rspec", "ruby-rspec-its", "ruby-public-suffix"),
        debian_source="sid ruby-addressable",
        times=4,
    ),
    Application(
        "minitest runs Rouge's tests",
        (
            *(
                "ruby",
                *WITHOUT_BUNDLER,
                "-I",
                "lib",
                "-r",
                "minitest/power_assert",
                "-r",
                "./spec/spec_helper",
            ),
            *("-e", 'Dir["./spec/{{lexers,formatters,themes}}/**/*_spec.rb"].sort.each {{ require _1 }}'),
        ),
        "Ruby",
        debian=("ruby-minitest", "ruby-minitest-power-assert"),
        debian_source="sid ruby-rouge",
        times=2,
    ),
    Application(
        "short Ruby programs",
        ("ruby", "{programs}/short.rb"),
        "Ruby",
        times=150,
        reported="38",
    ),
    Application(
        "PHP's own server, without opcache",
        ("php", "-d", "opcache.enable=0", "-S", "127.0.0.1:{port}", "-t", "{programs}/php"),
        "PHP",
        path="/index.php",
    ),
    Application("composer", ("composer", "list", "--quiet"), "PHP", debian=("composer",), times=100),
)
