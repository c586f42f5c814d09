# Included by the Makefile: our native stacks beside those of libdw, frame by frame, over real programs.
# Programs that are not installed are left out. The table goes into docs/NATIVE.md.
# On a busy machine: make oracle ORACLE_OPTIONS='--most-s 20'

.PHONY: oracle

oracle: test-setup
	$(AS_ROOT) $(PYTHON) -m tests.oracle $(ORACLE_OPTIONS) docs/NATIVE.md
