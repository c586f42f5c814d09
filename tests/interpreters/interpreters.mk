# Included by the Makefile: every CPython that can be had on this machine, to the exact line.
# The free-threaded one is built from source (FREE_THREADED=1, five minutes) and then kept.

.PHONY: interpreters test-interpreters

interpreters: setup
	$(AS_ROOT) $(PYTHON) -m tests.interpreters.lay_out
	$(if $(FREE_THREADED),$(AS_ROOT) $(PYTHON) -m tests.interpreters.free_threaded)

test-interpreters: interpreters
	$(AS_ROOT) $(PYTHON) -m pytest $(PYTEST_OPTIONS) -v tests/interpreters/test_*.py tests/interpreters/check_*.py
