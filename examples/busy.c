/* Simulates a little weather on a grid and logs it: number crunching, recursion, sorting, system calls.
 *
 * Build with -O1 -g -fno-omit-frame-pointer. `busy [SECONDS]` says `ready` and runs for that long, or until
 * it is terminated.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIDE 192

static double grid[SIDE][SIDE];
static double next[SIDE][SIDE];

/* One function a frame: without these the compiler would merge all functions into one. */
#define FRAME __attribute__((noinline, noclone))

static FRAME double pressure_at(int row, int column)
{
	return grid[row][column] * 0.6 + (grid[row - 1][column] + grid[row + 1][column] +
					  grid[row][column - 1] + grid[row][column + 1]) * 0.1;
}

static FRAME void diffuse(void)
{
	for (int row = 1; row < SIDE - 1; row++)
		for (int column = 1; column < SIDE - 1; column++)
			next[row][column] = pressure_at(row, column);
	memcpy(grid, next, sizeof grid);
}

static FRAME void stir(int step)
{
	for (int row = 0; row < SIDE; row++)
		grid[row][(row + step) % SIDE] += sin(row * 0.1 + step);
}

static FRAME double storm_energy(int top, int left, int side)
{
	double energy = 0;
	int half = side / 2;

	if (side == 1)
		return grid[top][left] * grid[top][left];
	energy += storm_energy(top, left, half);
	energy += storm_energy(top, left + half, half);
	energy += storm_energy(top + half, left, half);
	energy += storm_energy(top + half, left + half, half);
	return energy;
}

static int by_value(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;

	return (difference > 0) - (difference < 0);
}

static FRAME double median_of_row(int row)
{
	double sorted[SIDE];

	memcpy(sorted, grid[row], sizeof sorted);
	qsort(sorted, SIDE, sizeof sorted[0], by_value);
	return sorted[SIDE / 2];
}

static FRAME double forecast(void)
{
	double sum = storm_energy(0, 0, 128);

	for (int row = 0; row < SIDE; row += 4)
		sum += median_of_row(row);
	return sum;
}

static FRAME void write_log(FILE *log)
{
	rewind(log);
	fwrite(grid, 1, sizeof grid, log);
	fflush(log);
}

static FRAME void read_log(FILE *log)
{
	rewind(log);
	if (fread(next, 1, sizeof next, log) != sizeof next)
		abort();
}

static FRAME double simulate(int step, FILE *log)
{
	stir(step);
	diffuse();
	for (int turn = 0; turn < 4; turn++) {
		write_log(log);
		read_log(log);
	}
	return forecast();
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **arguments)
{
	double until = count > 1 ? now() + atof(arguments[1]) : INFINITY;
	FILE *log = tmpfile();
	double sum = 0;

	if (!log) {
		perror("busy: tmpfile");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (int step = 0; now() < until; step++)
		sum += simulate(step, log);
	printf("%g\n", sum);
	return 0;
}
