/*
 * Burns CPU time below DEPTH functions, eight in turn, that keep no frame pointer: native_depth --depth DEPTH, until
 * it is ended. Built with -O2 -fomit-frame-pointer.
 */
#include <stdio.h>
#include <stdlib.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void deep_share(void)
{
	for (;;)
		sink = sink * 31 + 7;
}

/* What follows the call keeps it from being a jump. */
#define LEVEL(number, next)						\
	static int level_##next(int depth);				\
	__attribute__((noinline)) static int level_##number(int depth)	\
	{								\
		int below = 0;						\
									\
		if (depth <= 1)						\
			deep_share();					\
		else							\
			below = level_##next(depth - 1);		\
		sink += number;						\
		return below + 1;					\
	}

LEVEL(0, 1)
LEVEL(1, 2)
LEVEL(2, 3)
LEVEL(3, 4)
LEVEL(4, 5)
LEVEL(5, 6)
LEVEL(6, 7)
LEVEL(7, 0)

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	puts("ready");
	fflush(stdout);
	getchar();
	return level_0(atoi(argv[2]));
}
