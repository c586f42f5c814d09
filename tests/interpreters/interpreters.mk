# Included by the Makefile: tests every CPython, Ruby and PHP that this machine can get, to the exact line.
# With FROM_SOURCE=1 it first builds those that no distribution has (ten minutes), and keeps them.

.PHONY: interpreters test-interpreters

PEERS := .cache/peers-venv/bin/pyinstaller
$(PEERS):
	$(SYSTEM_PYTHON) -m venv --clear .cache/peers-venv
	$(@D)/pip install --quiet --disable-pip-version-check py-spy==0.4.3 pystack==1.7.2 \
	    pyinstaller==6.22.3

# A profiler inside of a real Ruby program samples it, too; uWSGI has a CPython inside.
INTERPRETERS_PACKAGES := ruby-stackprof uwsgi-core uwsgi-plugin-python3
FROM_SOURCE_PACKAGES := clang-19 llvm-19 musl-tools

interpreters: test-setup
	@$(MAKE) --no-print-directory packages PACKAGES='$(INTERPRETERS_PACKAGES)'
	$(AS_ROOT) $(PYTHON) -m tests.interpreters.lay_out
ifdef FROM_SOURCE
	@$(MAKE) --no-print-directory packages PACKAGES='$(FROM_SOURCE_PACKAGES)'
	$(AS_ROOT) $(PYTHON) -m tests.interpreters.from_source
endif

# At the end it writes the tables of docs/SUPPORTED.md anew, and every cell has to say ok.
test-interpreters: interpreters $(PEERS)
	$(AS_ROOT) $(PYTHON) -m pytest $(PYTEST_OPTIONS) -v tests/interpreters/test_*.py tests/interpreters/check_*.py
	$(PYTHON) -m tests.interpreters.tables
