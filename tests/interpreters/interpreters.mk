# Included by the Makefile: every CPython that can be had on this machine, to the exact line.

.PHONY: interpreters test-interpreters

interpreters: setup
	$(AS_ROOT) $(PYTHON) -m tests.interpreters.lay_out

test-interpreters: interpreters
	$(AS_ROOT) $(PYTHON) -m pytest $(PYTEST_OPTIONS) -v tests/interpreters tests/interpreters/check_*.py
