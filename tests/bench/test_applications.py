"""What the list of applications concludes from figures and stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.application_page import may_be_at_most, upper_bound
from tests.bench.application_record import Figures
from tests.bench.import_shares import SelfTime, self_times
from tests.bench.import_stacks import NO_NAME, STANDARD_LIBRARY, package_of_stack, parse

FIND = "_find_and_load (<frozen importlib._bootstrap>:1178)"
RUN = "_call_with_frames_removed (<frozen importlib._bootstrap>:241)"
LOAD = "ExtensionFileLoader.create_module (<frozen importlib._bootstrap_external>:1233)"
MAIN = "<module> (<string>:1)"


@pytest.mark.parametrize(("lost", "passes"), [(0, True), (19, True), (20, False)])
def test_three_sigma_of_one_per_cent_of_a_thousand(lost: int, passes: bool) -> None:
    figures = Figures(1000, {}, {"changed": lost})
    assert may_be_at_most(figures, 0.01) is passes
    assert (lost / 1000 < upper_bound(figures)) is True


def test_importtime_tells_who_imports() -> None:
    said = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:        10 |         10 | site\n"
        "import time:        20 |         20 |     math\n"
        "import time:        30 |         50 |   numpy\n"
        "import time:        40 |         90 | pandas\n"
    )
    assert list(self_times(said)) == [
        SelfTime("pandas", 40, ""),
        SelfTime("numpy", 30, "pandas"),
        SelfTime("math", 20, "numpy"),
    ]


@pytest.fixture
def package(tmp_path: Path) -> str:
    """A package's folder below site-packages, with a file that imports."""
    folder = tmp_path / "site-packages" / "shop" / "core"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "import json\nfrom . import (\n    basket,\n)\nfrom ..tax import rate\n"
    )
    return str(folder)


@pytest.mark.parametrize(
    ("rest", "belongs"),
    [
        ((), "shop.core"),
        ((FIND,), STANDARD_LIBRARY),
        ((FIND, RUN, "<module> (/usr/lib/python3.11/json/__init__.py:1)"), STANDARD_LIBRARY),
        ((FIND, RUN, "[changed]"), NO_NAME),
        (("f (x.py:1)",), "shop.core"),
    ],
)
def test_a_sample_belongs_to_the_innermost_import(package: str, rest: tuple[str, ...], belongs: str) -> None:
    stack = ";".join(["python (1)", MAIN, FIND, RUN, f"<module> ({package}/__init__.py:1)", *rest])
    assert package_of_stack(parse(stack), {"shop.core.basket", "json"}, "shop") == belongs


@pytest.mark.parametrize(("line", "belongs"), [(3, "shop.core"), (5, "shop.tax")])
def test_the_running_statement_tells_what_is_looked_for(package: str, line: int, belongs: str) -> None:
    stack = ";".join(["python (1)", MAIN, FIND, RUN, f"<module> ({package}/__init__.py:{line})", FIND])
    assert package_of_stack(parse(stack), {"shop.core.basket"}, "shop") == belongs


def test_what_an_extension_module_imports_is_its_own(package: str) -> None:
    inner = [FIND, LOAD, FIND, RUN, "<module> (/usr/lib/python3.11/json/__init__.py:1)"]
    stack = ";".join(["python (1)", MAIN, FIND, RUN, f"<module> ({package}/__init__.py:3)", *inner])
    assert package_of_stack(parse(stack), {"shop.core.basket"}, "shop") == "shop.core"


def test_a_stack_outside_of_the_import_belongs_to_nothing() -> None:
    assert package_of_stack(parse("python (1);<module> (<string>:1)"), set(), "shop") is None
    assert package_of_stack(parse("python (1);[python3.11+0x1]"), set(), "shop") is None
