/* Burns CPU time in code that it generates, and says what it is called in its perf map; with "dump", in a jitdump
 * of the working folder; with "silent", nowhere. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* push rbp; mov rbp, rsp; mov rcx, rdi; again: dec rcx; jnz again; pop rbp; ret */
static const uint8_t spin[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf9, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3};
static const char *names[] = {"JS:*heavy /srv/app/node_modules/heavy/index.js:7:3", "light_jit"};

/* As tools/perf/Documentation/jitdump-specification.txt of Linux has them. */
struct header {
	uint32_t magic, version, total_size, elf_mach, pad, pid;
	uint64_t timestamp, flags;
};

struct load {
	uint32_t id, total_size;
	uint64_t timestamp;
	uint32_t pid, tid;
	uint64_t vma, address, size, index;
};

static FILE *open_dump(char *path)
{
	struct header header = {0x4A695444, 1, sizeof(header), 62, 0, getpid(), 1, 0};

	sprintf(path, "jit-%d.dump", getpid());
	FILE *dump = fopen(path, "w+");
	fwrite(&header, sizeof(header), 1, dump);
	fflush(dump);
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(dump), 0);
	return dump;
}

static void write_load(FILE *dump, const char *name, const uint8_t *code, size_t size, int index)
{
	size_t total = sizeof(struct load) + strlen(name) + 1 + size;
	struct load load = {0, total, 1, getpid(), getpid(), (long)code, (long)code, size, index};

	fwrite(&load, sizeof(load), 1, dump);
	fwrite(name, strlen(name) + 1, 1, dump);
	fwrite(code, size, 1, dump);
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **arguments)
{
	double seconds = atof(arguments[1]), spent_s[2] = {}, total_s = 0;
	void (*functions[2])(long);
	char path[64];
	FILE *map = NULL;

	srandom(getpid());
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int dumps = count > 2 && !strcmp(arguments[2], "dump");
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	if (dumps)
		map = open_dump(path);
	else if (count < 3)
		map = fopen(path, "w");
	for (int each = 0; each < 2; each++) {
		memcpy(code + 64 * each, spin, sizeof(spin));
		functions[each] = (void (*)(long))(code + 64 * each);
		if (dumps)
			write_load(map, names[each], code + 64 * each, sizeof(spin), each);
		else if (map)
			fprintf(map, "%lx %zx %s\n", (long)functions[each], sizeof(spin), names[each]);
	}
	if (map)
		fflush(map);
	while (total_s < seconds) {
		/* At random: turns that follow from this clock, on which each tick leaves its time, fall in step with the ticks. */
		int which = random() % 10 >= 7;
		double began_s = cpu_s();

		functions[which](2000000);
		spent_s[which] += cpu_s() - began_s;
		total_s = spent_s[0] + spent_s[1];
	}
	if (map)
		unlink(path);
	printf("{\"heavy\": %f, \"light_jit\": %f}\n", spent_s[0], spent_s[1]);
}
