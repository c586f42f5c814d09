# Included by the Makefile: every CPython and Ruby that can be had on this machine, to the exact line.
# With FROM_SOURCE=1 those that no distribution has are built (ten minutes), and then kept.

.PHONY: interpreters test-interpreters

PEERS := .cache/peers-venv/bin/pyinstaller
$(PEERS):
	$(SYSTEM_PYTHON) -m venv --clear .cache/peers-venv
	$(@D)/pip install --quiet --disable-pip-version-check py-spy==0.4.3 pystack==1.7.2 \
	    pyinstaller==6.22.3

# A real Ruby program is sampled from inside by a profiler of its own; uWSGI has a CPython inside.
INTERPRETERS_PACKAGES := ruby-stackprof uwsgi-core uwsgi-plugin-python3
FROM_SOURCE_PACKAGES := clang-19 llvm-19 musl-tools

interpreters: setup
	@$(MAKE) --no-print-directory packages PACKAGES='$(INTERPRETERS_PACKAGES)'
	$(AS_ROOT) $(PYTHON) -m tests.interpreters.lay_out
ifdef FROM_SOURCE
	@$(MAKE) --no-print-directory packages PACKAGES='$(FROM_SOURCE_PACKAGES)'
	$(AS_ROOT) $(PYTHON) -m tests.interpreters.from_source
endif

# Then the README's tables are written anew, and every cell has to say ok.
test-interpreters: interpreters $(PEERS)
	$(AS_ROOT) $(PYTHON) -m pytest $(PYTEST_OPTIONS) -v tests/interpreters/test_*.py tests/interpreters/check_*.py
	$(PYTHON) -m tests.interpreters.tables
