# make test-fresh: what the README promises a fresh machine, on minimal roots of Debian 12 and 13.
# Included by the Makefile. One command in such a root: python -m tests.fresh.run trixie --keep -- COMMAND

.PHONY: test-fresh

FRESH_PACKAGES := debootstrap git

test-fresh: test-setup
	@$(MAKE) --no-print-directory packages PACKAGES='$(FRESH_PACKAGES)'
	$(AS_ROOT) $(PYTHON) -m tests.fresh.run
