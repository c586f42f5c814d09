/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Burns CPU in one function, for argv[1] milliseconds or until it is killed. It is what forged files are made of,
 * and, with -D, what is taken for a CPython: PYTHON_HEXVERSION with a description of itself (PYTHON_OFFSETS), or
 * with its _PyRuntime wherever the linker is told (--defsym). -DABSENT: where its interpreter should be lie pages
 * that never come.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARENA 0x200000000000UL
#define ARENA_BYTES (4UL << 20)

#ifdef PYTHON_HEXVERSION
const unsigned int Py_Version = PYTHON_HEXVERSION;
unsigned long PyCode_Type[64] = {1}, PyUnicode_Type[64] = {1}, PyBytes_Type[64] = {1};
#ifdef PYTHON_OFFSETS
unsigned long _PyRuntime[4096] = {[0 ... 4095] = ARENA, [0] = PYTHON_OFFSETS};
#endif
#endif
static volatile unsigned long turns;

void _PyEval_EvalFrameDefault(long milliseconds)
{
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do {
		for (int turn = 0; turn < 100000; turn++)
			turns++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!milliseconds ||
		 (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 < milliseconds);
}

#ifdef ABSENT
static int let_pages_never_come(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.range = {ARENA, ARENA_BYTES}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	void *arena = mmap((void *)ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return fd < 0 || arena == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range);
}
#endif

int main(int count, char **arguments)
{
#ifdef ABSENT
	if (let_pages_never_come())
		return 1;
#endif
	if (count > 2)
		pause(); /* only lies there */
	_PyEval_EvalFrameDefault(count > 1 ? atol(arguments[1]) : 0);
	return 0;
}
