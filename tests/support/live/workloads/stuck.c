/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stuck target does outside of its interpreter, for stuck.py (ctypes) and stuck.rb (Fiddle): both call
 * these functions without their interpreter's lock, so no page of the interpreter is touched meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define READY "ready\n"

static volatile int burning, over;

static long long clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Burns `busy_us` of this thread's CPU, sleeps about `idle_us`, and so on until stuck_stop(). */
void stuck_burn(int busy_us, int idle_us)
{
	unsigned int seed = (unsigned int)getpid();

	while (!over) {
		long long end_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + busy_us * 1000LL;

		while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
			burning = 1;
		if (idle_us)
			usleep(idle_us / 2 + rand_r(&seed) % idle_us);
	}
}

/* Returns once stuck_burn() runs in another thread. */
void stuck_await_burning(void)
{
	while (!burning)
		usleep(1000);
}

/* Lets stuck_burn() return. */
void stuck_stop(void)
{
	over = 1;
}

/* Says that the target is ready: all that it has left to do is to touch `page`, and to wait for it. */
static int touch(volatile char *page)
{
	if (write(1, READY, sizeof(READY) - 1) < 0)
		return errno;
	(void)*page;
	return 0;
}

/* In a child: gives the page back when a line comes in on stdin; ends with its parent. */
static void serve_userfault(int fd, const char *page, const char *content)
{
	struct uffdio_copy copy = {.dst = (unsigned long)page, .src = (unsigned long)content, .len = PAGE};
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (byte != '\n' && read(0, &byte, 1) == 1)
		;
	_exit(ioctl(fd, UFFDIO_COPY, &copy) < 0);
}

static char *copy_of(const char *page)
{
	char *content = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return content == MAP_FAILED ? NULL : memcpy(content, page, PAGE);
}

/* Puts the page at `page` under a userfaultfd, until the next line on stdin. Returns 0, or an errno. */
int stuck_on_userfault(char *page)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {
		.range = {.start = (unsigned long)page, .len = PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	char *content = copy_of(page);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (!content || fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &area) < 0)
		return errno;
	switch (fork()) {
	case -1:
		return errno;
	case 0:
		serve_userfault(fd, page, content);
	}
	if (madvise(page, PAGE, MADV_DONTNEED) < 0)
		return errno;
	return touch(page);
}

/* Maps `file`, whose server holds back reads, over the page at `page`, whose content goes into `backing`. */
int stuck_on_file(char *page, const char *file, const char *backing)
{
	char *content = copy_of(page);
	int to = open(backing, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), from;

	if (!content || to < 0 || write(to, content, PAGE) != (ssize_t)PAGE)
		return errno;
	from = open(file, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return errno;
	if (mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, from, 0) == MAP_FAILED)
		return errno;
	return touch(page);
}

/*
 * Waits inside of mmap(), with the mmap lock held for writing: a read of `file` is under way and held back by
 * its server. The second opening of the file is for direct I/O, and to map that, the kernel has to throw the
 * page out of the cache first. An address that is in use makes the lock matter to readers of maps, too.
 */
int stuck_under_mmap_lock(const char *file)
{
	char *place = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int first = open(file, O_RDONLY | O_CLOEXEC), second;

	if (place == MAP_FAILED || first < 0 || readahead(first, 0, PAGE) < 0)
		return errno;
	second = open(file, O_RDONLY | O_CLOEXEC);
	if (second < 0)
		return errno;
	*place = 1;
	if (write(1, READY, sizeof(READY) - 1) < 0)
		return errno;
	return mmap(place, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, second, 0) == MAP_FAILED ? errno : 0;
}

/* Waits for a line on stdin, in a target that is not stuck itself. */
int stuck_nowhere(void)
{
	char byte = 0;

	if (write(1, READY, sizeof(READY) - 1) < 0)
		return errno;
	while (byte != '\n' && read(0, &byte, 1) == 1)
		;
	return 0;
}
