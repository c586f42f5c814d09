/*
 * Programs that do something at intervals: bursts SECONDS SHARE PERIOD_MS...
 *
 * For each period a process burns that share of it, again and again. In the end it says how much CPU time each took, by
 * the clock of each: {"burst-50": 2.003, ...}
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void burst(double seconds, double share, double period_ms, int out)
{
	long long period_ns = period_ms * 1e6, next_ns = now_ns(CLOCK_MONOTONIC), end_ns = next_ns + seconds * 1e9;
	double cpu_s;

	for (; next_ns < end_ns; next_ns += period_ns) {
		struct timespec until = {next_ns / 1000000000LL, next_ns % 1000000000LL};
		long long burnt_ns;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		burnt_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) + share * period_ns;
		while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < burnt_ns)
			;
	}
	cpu_s = now_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
	if (write(out, &cpu_s, sizeof(cpu_s)) != sizeof(cpu_s))
		_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	for (int i = 3; i < argc; i++) {
		int ends[2];

		if (pipe(ends))
			return 1;
		if (!fork()) {
			char name[16];

			snprintf(name, sizeof(name), "burst-%s", argv[i]);
			prctl(PR_SET_NAME, name);
			burst(atof(argv[1]), atof(argv[2]), atof(argv[i]), ends[1]);
		}
		close(ends[1]);
		dup2(ends[0], 100 + i);
		close(ends[0]);
	}
	printf("{");
	for (int i = 3; i < argc; i++) {
		double cpu_s;

		if (read(100 + i, &cpu_s, sizeof(cpu_s)) != sizeof(cpu_s))
			return 1;
		printf("%s\"burst-%s\": %.6f", i > 3 ? ", " : "", argv[i], cpu_s);
	}
	printf("}\n");
	while (wait(NULL) > 0)
		;
	return 0;
}
