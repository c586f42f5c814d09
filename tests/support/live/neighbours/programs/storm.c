/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storms of what the kernel tells a profiler about: `storm KIND` goes on until it is killed. Each kind does one
 * thing as often as it can, and burns CPU in between, so that samples fall into it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define MOST_MAPPINGS 60000
#define MOST_THREADS 1000
#define MOST_ZOMBIES 1500

static char *own_path;

static void burn_us(long wanted)
{
	struct timespec now;
	long end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	end = now.tv_sec * 1000000 + now.tv_nsec / 1000 + wanted;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec * 1000000 + now.tv_nsec / 1000 < end);
}

static void run_again(const char *kind)
{
	execl(own_path, own_path, kind, NULL);
	_exit(1);
}

static void storm_of_forks(void)
{
	for (;;) {
		pid_t child = fork();

		if (!child) {
			burn_us(100);
			_exit(0);
		}
		while (waitpid(-1, NULL, child < 0 ? 0 : WNOHANG) > 0)
			;
	}
}

static void storm_of_execs(void)
{
	burn_us(100);
	run_again("execs");
}

static void *map_code(int file, unsigned long page)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, page * PAGE);
}

/* No two of them are neighbours in the file, so that each stays a mapping of its own. */
static void storm_of_mappings(void)
{
	int file = open(own_path, O_RDONLY);

	for (int number = 0; number < MOST_MAPPINGS; number++)
		map_code(file, number % 2);
	burn_us(50000);
	run_again("mappings");
}

static void churn(void)
{
	int file = open(own_path, O_RDONLY);

	for (;;)
		munmap(map_code(file, 0), PAGE);
}

static void rename_itself(void)
{
	char name[16];

	for (unsigned int number = 0;; number++) {
		snprintf(name, sizeof(name), "renamed;%u\n", number);
		prctl(PR_SET_NAME, name);
		burn_us(2000);
	}
}

static void *burn_a_little(void *unused)
{
	for (;;) {
		burn_us(200);
		usleep(200000);
	}
	return unused;
}

static void start_threads(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 1 << 16);
	for (int number = 0; number < MOST_THREADS; number++)
		pthread_create(&thread, &attributes, burn_a_little, NULL);
	burn_a_little(NULL);
}

static void leave_zombies(void)
{
	for (int number = 0; number < MOST_ZOMBIES; number++) {
		if (!fork()) {
			burn_us(1000);
			_exit(0);
		}
	}
	for (;;)
		burn_us(1000);
}

/* Children that are stopped most of the time: by a signal, or by their tracer. */
static void stop_and_go(int traced)
{
	pid_t child = fork();

	if (!child) {
		for (;;)
			burn_us(1000);
	}
	if (traced)
		ptrace(PTRACE_SEIZE, child, NULL, NULL);
	for (;;) {
		if (traced)
			ptrace(PTRACE_INTERRUPT, child, NULL, NULL);
		else
			kill(child, SIGSTOP);
		waitpid(child, NULL, WUNTRACED);
		usleep(20000);
		if (traced)
			ptrace(PTRACE_CONT, child, NULL, NULL);
		else
			kill(child, SIGCONT);
		usleep(5000);
	}
}

/* A process that its own user may not look into. */
static void hide(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	for (;;)
		burn_us(1000);
}

int main(int count, char **arguments)
{
	const char *kind = count > 1 ? arguments[1] : "";

	own_path = arguments[0];
	if (!strcmp(kind, "forks"))
		storm_of_forks();
	else if (!strcmp(kind, "execs"))
		storm_of_execs();
	else if (!strcmp(kind, "mappings"))
		storm_of_mappings();
	else if (!strcmp(kind, "churn"))
		churn();
	else if (!strcmp(kind, "renames"))
		rename_itself();
	else if (!strcmp(kind, "threads"))
		start_threads();
	else if (!strcmp(kind, "zombies"))
		leave_zombies();
	else if (!strcmp(kind, "stopped") || !strcmp(kind, "traced"))
		stop_and_go(!strcmp(kind, "traced"));
	else if (!strcmp(kind, "hidden"))
		hide();
	return 2;
}
