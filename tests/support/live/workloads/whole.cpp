/*
 * Spends its CPU time in three functions, 60, 30 and 10 %, each below others that keep no frame pointer, and tells
 * how much by its own clock. Built with -O2 -fomit-frame-pointer.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <time.h>
#include <unistd.h>
#include <vector>

static volatile unsigned long sink;

static double cpu_s()
{
	timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* A leaf without a frame. */
__attribute__((noinline)) static unsigned long spin(unsigned long rounds)
{
	unsigned long sum = rounds;
	for (unsigned long i = 0; i < rounds; i++)
		sum = sum * 31 + (sink ^ i);
	return sum;
}

__attribute__((noinline)) static bool heavy_compare(int a, int b)
{
	sink = sink + spin(3000);
	return a < b;
}

__attribute__((noinline)) static void heavy()
{
	std::vector<int> numbers;
	for (int i = 0; i < 200; i++)
		numbers.push_back(i * 7919 % 200);
	std::sort(numbers.begin(), numbers.end(), heavy_compare);
	sink = sink + numbers[0];
}

/* Deep, with a frame that has no fixed size. */
__attribute__((noinline)) static void medium(int depth)
{
	volatile char *room = static_cast<char *>(__builtin_alloca(64 + 16 * depth));
	room[0] = depth;
	if (depth)
		medium(depth - 1);
	else
		sink = sink + spin(30000);
	sink = sink + room[0];
}

struct Cleans {
	__attribute__((noinline)) ~Cleans() { sink = sink + spin(30000); }
};

/* In a destructor that an exception runs. */
__attribute__((noinline)) static void light()
{
	try {
		Cleans cleans;
		throw std::runtime_error("thrown on purpose");
	} catch (const std::exception &error) {
		sink = sink + error.what()[0];
	}
}

int main(int, char **arguments)
{
	double total_s = 0, spent_s[3] = {}, shares[3] = {0.6, 0.3, 0.1}, seconds;

	srandom(getpid());
	sscanf(arguments[1], "%lf", &seconds);
	while (total_s < seconds) {
		double began_s = cpu_s();
		int which = 0;
		for (int i = 1; i < 3; i++)
			if (spent_s[i] / shares[i] < spent_s[which] / shares[which])
				which = i;
		/* Turns of random length, so that they fall in step with no clock. */
		for (long left = random() % 8; left >= 0; left--)
			if (which == 0)
				heavy();
			else if (which == 1)
				medium(20);
			else
				light();
		double took_s = cpu_s() - began_s;
		spent_s[which] += took_s;
		total_s += took_s;
	}
	printf("{\"heavy\": %f, \"medium\": %f, \"light\": %f}\n", spent_s[0], spent_s[1], spent_s[2]);
}
