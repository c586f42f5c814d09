/*
 * Stacks that are rare elsewhere, for so many seconds of CPU time: signal handlers on the stack and on one of their own, in C code
 * and in system calls; vfork; calls through the PLT, bound when they are first made; frames that align the stack
 * themselves; a context of its own; a call at the very end of a function; a callback from libc.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static volatile unsigned long sink;
static char other_stack[1 << 16];
static ucontext_t here, there;
static sigjmp_buf jump;

NOINLINE static unsigned long spin(unsigned long rounds)
{
	unsigned long sum = rounds;

	for (unsigned long i = 0; i < rounds; i++)
		sum = sum * 31 + (sink ^ i);
	return sum;
}

static void on_signal(int number)
{
	sink += spin(2000 * number);
}

static int compare(const void *a, const void *b)
{
	sink += spin(100);
	return *(const int *)a - *(const int *)b;
}

NOINLINE static void sorts(void)
{
	int numbers[50];

	for (int i = 0; i < 50; i++)
		numbers[i] = i * 7919 % 50;
	qsort(numbers, 50, sizeof(numbers[0]), compare);
	sink += numbers[0];
}

/* Its vectors want more than the stack's own alignment, and its frame has no fixed size. */
typedef float vector __attribute__((vector_size(64)));

NOINLINE static void aligned(int depth)
{
	volatile vector numbers = { depth };
	volatile char *room = __builtin_alloca(16 + 8 * depth);

	room[0] = depth;
	if (depth)
		aligned(depth - 1);
	else
		sink += spin(20000);
	sink += room[0] + numbers[0];
}

NOINLINE static void forks(void)
{
	pid_t child = vfork();

	if (!child)
		_exit(spin(50000) & 1);
	waitpid(child, NULL, 0);
}

static void in_context(void)
{
	sink += spin(20000);
	swapcontext(&there, &here);
}

NOINLINE static void changes_context(void)
{
	getcontext(&there);
	there.uc_stack.ss_sp = other_stack;
	there.uc_stack.ss_size = sizeof(other_stack);
	there.uc_link = NULL;
	makecontext(&there, in_context, 0);
	swapcontext(&here, &there);
}

/* Its last instruction is the call. */
NOINLINE __attribute__((noreturn)) static void never_returns(void)
{
	sink += spin(20000);
	siglongjmp(jump, 1);
}

NOINLINE static void jumps(void)
{
	if (!sigsetjmp(jump, 0))
		never_returns();
}

/* Many functions of another library, each found when it is first called. */
NOINLINE static void loads(void)
{
	void *library = dlopen("libm.so.6", RTLD_LAZY);

	for (int i = 0; library && i < 20; i++)
		sink += (unsigned long)dlsym(library, i % 2 ? "sin" : "cosh");
	if (library)
		dlclose(library);
}

NOINLINE static void prints(void)
{
	char text[200];

	for (int i = 0; i < 200; i++)
		sink += snprintf(text, sizeof(text), "%d %s %.3f %lx", i, "text", i / 7.0, sink);
	sink += strtod(text, NULL);
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void ticks(int microseconds)
{
	struct itimerval each = { { 0, microseconds }, { 0, microseconds } };

	setitimer(ITIMER_REAL, &each, NULL);
}

int main(int count, char **arguments)
{
	static char signal_stack[1 << 16];
	stack_t own = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	double end = (count > 1 ? atof(arguments[1]) : 1);

	sigaction(SIGALRM, &action, NULL);
	action.sa_flags |= SA_ONSTACK;
	sigaltstack(&own, NULL);
	sigaction(SIGUSR1, &action, NULL);
	ticks(500);
	while (cpu_s() < end) {
		sorts();
		aligned(5);
		changes_context();
		jumps();
		loads();
		prints();
		raise(SIGUSR1);
		ticks(0);
		forks();
		ticks(500);
	}
	return sink == 0;
}
