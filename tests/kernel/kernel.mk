# make test-kernel: the reader's contract and one recording, on a kernel with PROCESS_VM_PIDFD and NOWAIT.
# make test-kernels: whole stacks on Debian's kernels, or on a choice: make test-kernels KERNELS="5.10 newest".
# Included by the Makefile. build.sh says what is built and when, debian.py which kernels are fetched, run.sh how
# they run, inside.sh what runs.

.PHONY: test-kernel test-kernels

GUEST_PACKAGES := cpio busybox-static qemu-system-x86
KERNEL_PACKAGES := $(GUEST_PACKAGES) linux-source-6.1 gcc make patch flex bison bc libelf-dev libssl-dev dwarves \
    xz-utils
KERNELS_PACKAGES := $(GUEST_PACKAGES) kmod
KERNELS := 5.10 6.1 6.12 newest

# All that reads another process's memory, by both strategies. The other tests of tests/symbolizers/process are the
# same on every kernel, and took two thirds of the time.
KERNEL_TESTS := $(foreach part,reader_contract reader_lifetimes reader_beside prefetch targets, \
    tests/symbolizers/process/test_$(part).py) tests/kernel/inside.py

test-kernel: test-setup
	@$(MAKE) --no-print-directory packages PACKAGES='$(KERNEL_PACKAGES)'
	image=$$(tests/kernel/build.sh | tail -n 1) && tests/kernel/run.sh "$$image" $(KERNEL_TESTS)

# A guest would compile twenty times as long.
GUEST_PROGRAM := .cache/kernels/whole
$(GUEST_PROGRAM): tests/support/live/workloads/whole.cpp
	mkdir -p $(@D)
	g++ -O2 -fomit-frame-pointer $< -o $@

test-kernels: test-setup $(GUEST_PROGRAM)
	@$(MAKE) --no-print-directory packages PACKAGES='$(KERNELS_PACKAGES)'
	@printf '%s\n' $(KERNELS) | xargs -P 2 -I{} tests/kernel/record.sh $(PYTHON) {}
