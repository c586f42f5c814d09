/*
 * A program that is taken for CPython (PYTHON_HEXVERSION says which) or Ruby (RUBY_VERSION, with its VM at
 * RUBY_VM), and whose interpreter is whatever its test makes of it: the file given as the descriptor argv[1] is
 * mapped at PIDFLAME_ARENA and written by the test while this process burns. Its exported names are those that
 * the interpreter is recognised by.
 * It prints its pthread id when it is ready, burns after a line on stdin, and ends when stdin does.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef RUBY_VERSION
const char ruby_version[] = RUBY_VERSION;
unsigned long ruby_current_vm_ptr = RUBY_VM;
#else
#define RUNTIME_WORDS 4096

const unsigned int Py_Version = PYTHON_HEXVERSION;
#ifndef PYTHON_OFFSETS
#define PYTHON_OFFSETS PIDFLAME_ARENA	/* the build's description of itself: its first words, with commas */
#endif
/* All other words lead to the test's first structure, whichever of them is the list's head. */
unsigned long _PyRuntime[RUNTIME_WORDS] = {[0 ... RUNTIME_WORDS - 1] = PIDFLAME_ARENA, [0] = PYTHON_OFFSETS};
unsigned long PyCode_Type[64] = {1}, PyUnicode_Type[64] = {1}, PyBytes_Type[64] = {1};
#endif
static volatile unsigned long turns;

void _PyEval_EvalFrameDefault(void)
{
	for (;;)
		turns++;
}

static void *end_with_stdin(void *unused)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	_exit(0);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t waiting;
	char byte;
	void *arena = mmap((void *)PIDFLAME_ARENA, PIDFLAME_ARENA_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, argc > 1 ? atoi(argv[1]) : -1, 0);

	if (arena != (void *)PIDFLAME_ARENA)
		return 1;
	printf("%lu\n", (unsigned long)pthread_self());
	fflush(stdout);
	if (read(0, &byte, 1) <= 0)
		return 0;
	if (pthread_create(&waiting, NULL, end_with_stdin, NULL))
		return 1;
	_PyEval_EvalFrameDefault();
	return 0;
}
