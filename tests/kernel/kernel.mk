# make test-kernel: the reader's contract and one recording, on a kernel with PROCESS_VM_PIDFD and NOWAIT.
# Included by the Makefile. build.sh says what is built and when, run.sh how it runs, inside.sh what runs.

.PHONY: test-kernel

KERNEL_PACKAGES := linux-source-6.1 gcc make patch flex bison bc libelf-dev libssl-dev dwarves xz-utils cpio \
    busybox-static qemu-system-x86

test-kernel: test-setup
	@$(MAKE) --no-print-directory packages PACKAGES='$(KERNEL_PACKAGES)'
	image=$$(tests/kernel/build.sh | tail -n 1) && tests/kernel/run.sh "$$image"
