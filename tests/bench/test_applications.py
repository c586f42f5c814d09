"""What the list of applications concludes from figures and stacks."""

from __future__ import annotations

import pytest

from tests.bench.application_page import may_be_at_most, upper_bound
from tests.bench.application_record import Figures
from tests.bench.import_shares import STANDARD_LIBRARY, PackageShare, package_of_stack


@pytest.mark.parametrize(("lost", "passes"), [(0, True), (19, True), (20, False)])
def test_three_sigma_of_one_per_cent_of_a_thousand(lost: int, passes: bool) -> None:
    figures = Figures(1000, {}, {"changed": lost})
    assert may_be_at_most(figures, 0.01) is passes
    assert (lost / 1000 < upper_bound(figures)) is True


SITE = "/venv/lib/python3.11/site-packages"
MAIN = "python (1);<module> (/app.py:1)"
IMPORT = "import_module (/usr/lib/python3.11/importlib/__init__.py:1)"


@pytest.mark.parametrize(
    ("rest", "belongs"),
    [
        ("", ""),
        (f"<module> ({SITE}/shop/__init__.py:1);_find_and_load (<frozen importlib._bootstrap>:1178)", "shop"),
        (
            f"<module> ({SITE}/shop/core/tax.py:1);<module> (/usr/lib/python3.11/json/decoder.py:1)",
            STANDARD_LIBRARY,
        ),
        (f"<module> ({SITE}/shop/core/tax.py:1);<module> (<string>:1);f (x.py:3)", "shop.core"),
        ("[python3.11+0x1]", ""),
    ],
)
def test_a_sample_belongs_to_the_innermost_module(rest: str, belongs: str) -> None:
    assert package_of_stack(f"{MAIN};{IMPORT};{rest}") == belongs
    assert package_of_stack(f"{MAIN};{rest}") == ""


def test_a_share_is_right_within_three_sigma_of_its_samples() -> None:
    assert PackageShare("a", 0.5, 547, 1000).within
    assert not PackageShare("a", 0.5, 548, 1000).within
