"""Names of the functions that Cython makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.native.cython_names import cython_name


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("__pyx_pw_5mymod_1fib", "mymod.fib"),
        ("__pyx_pf_5mymod_fib", "mymod.fib"),
        ("__pyx_pf_5mymod_2fib", "mymod.fib"),
        ("__pyx_f_5mymod_fast", "mymod.fast"),
        ("__pyx_f_3pkg_3mod_1C_run", "pkg.mod.C.run"),
        ("__pyx_pw_3pkg_3mod_1C_5merge_sort", "pkg.mod.C.merge_sort"),
        ("__pyx_pw_5mymod_5merge_sort", "mymod.merge_sort"),
        ("__pyx_pw_5mymod_1C_1m", "mymod.C.m"),
        ("__pyx_pf_5mymod_1C_m", "mymod.C.m"),
        ("__pyx_pf_5mymod_1C_2merge_sort", "mymod.C.merge_sort"),
        ("__pyx_gb_5mymod_4generator", "mymod.generator"),
        ("__pyx_pymod_exec_mymod", None),
        ("__pyx_f_99mymod_fast", None),
        ("__pyx_f_5mymod", None),
        ("main", None),
    ],
)
def test_names(symbol: str, name: str | None) -> None:
    assert cython_name(symbol) == name


@given(st.text("0123456789abc_", max_size=40))
def test_any_symbol_can_be_looked_at(rest: str) -> None:
    name = cython_name(f"__pyx_pw_{rest}")
    assert name is None or name
