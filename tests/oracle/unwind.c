/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Follows copied stacks by elfutils' libdw. Reads from stdin, all numbers as 64 bits of this machine:
 *
 *   'M' count, then of each mapping of code: where it starts, its offset in the file, the length of the path, the path
 *   'S' the 17 registers in DWARF's order, bytes of the stack, the stack from RED_ZONE below the stack pointer on
 *
 * For each 'S', which is in the mappings of the last 'M', a line comes out: the program counters, leaf first, "!"
 * behind one that was interrupted there; then ";" and why there are no more, if that is an error: "not in the copy"
 * where the next frame is elsewhere.
 */
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGISTERS 17
#define STACK_POINTER 7
#define RED_ZONE 128
#define MOST_FRAMES 300
#define MOST_PATH 4096
#define MOST_STACK (1 << 16)

struct sample {
	Dwarf_Word registers[REGISTERS];
	uint64_t bytes;
	unsigned char stack[MOST_STACK];
	int frames;
	bool is_elsewhere;	/* whether the frame at hand needs what is not in the copy */
};

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "%s: %s\n", what, dwfl_errmsg(-1));
	exit(1);
}

static void take(void *to, size_t bytes)
{
	must(fread(to, 1, bytes, stdin) == bytes, "the input ends early");
}

static uint64_t take_number(void)
{
	uint64_t number;

	take(&number, sizeof(number));
	return number;
}

static int no_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file,
			 const char *link, GElf_Word checksum, char **found)
{
	(void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)checksum, (void)found;
	return -1;
}

static const Dwfl_Callbacks files = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = no_debug_file,
};

static pid_t next_thread(Dwfl *dwfl, void *sample, void **thread)
{
	(void)dwfl;
	if (*thread)
		return 0;
	*thread = sample;
	return 1;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *sample, void **thread)
{
	(void)dwfl, (void)tid;
	*thread = sample;
	return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *result, void *argument)
{
	struct sample *sample = argument;
	uint64_t at = address - sample->registers[STACK_POINTER] + RED_ZONE;

	(void)dwfl;
	if (at >= sample->bytes || sample->bytes - at < sizeof(*result)) {
		sample->is_elsewhere = true;
		return false;
	}
	memcpy(result, sample->stack + at, sizeof(*result));
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *argument)
{
	const struct sample *sample = argument;

	return dwfl_thread_state_registers(thread, 0, REGISTERS, sample->registers);
}

static const Dwfl_Thread_Callbacks threads = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

/* Where the file's lowest segment is in a process that maps its code at `start` from `offset` on; 0: nowhere. */
static uint64_t base_of(const char *path, uint64_t start, uint64_t offset)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf = file < 0 ? NULL : elf_begin(file, ELF_C_READ_MMAP, NULL);
	uint64_t lowest = UINT64_MAX, bias = 0, page = getpagesize();
	bool is_found = false;
	size_t count = 0;

	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;

		if (!gelf_getphdr(elf, i, &segment) || segment.p_type != PT_LOAD)
			continue;
		if ((segment.p_vaddr & -page) < lowest)
			lowest = segment.p_vaddr & -page;
		if (!(segment.p_flags & PF_X) || offset + page <= segment.p_offset ||
		    offset >= segment.p_offset + segment.p_filesz)
			continue;
		bias = start - offset - (segment.p_vaddr - segment.p_offset);
		is_found = true;
	}
	elf_end(elf);
	if (file >= 0)
		close(file);
	return is_found ? lowest + bias : 0;
}

static Dwfl *take_mappings(struct sample *sample)
{
	Dwfl *dwfl = dwfl_begin(&files);
	uint64_t count = take_number();
	char path[MOST_PATH + 1];

	must(dwfl != NULL, "dwfl_begin");
	dwfl_report_begin(dwfl);
	while (count--) {
		uint64_t start = take_number(), offset = take_number(), length = take_number(), base;

		must(length <= MOST_PATH, "the path is too long");
		take(path, length);
		path[length] = 0;
		base = base_of(path, start, offset);
		must(!base || dwfl_report_elf(dwfl, path, path, -1, base, false), path);
	}
	must(!dwfl_report_end(dwfl, NULL, NULL), "dwfl_report_end");
	must(dwfl_attach_state(dwfl, NULL, 1, &threads, sample), "dwfl_attach_state");
	return dwfl;
}

static int show_frame(Dwfl_Frame *frame, void *argument)
{
	struct sample *sample = argument;
	bool is_interrupted = false;
	Dwarf_Addr address;

	sample->is_elsewhere = false;
	if (!dwfl_frame_pc(frame, &address, &is_interrupted))
		return -1;
	printf("%lx%s ", address, is_interrupted ? "!" : "");
	return ++sample->frames < MOST_FRAMES ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static void show_stack(Dwfl *dwfl, struct sample *sample)
{
	const char *error = "";

	sample->frames = 0;
	if (dwfl_getthread_frames(dwfl, 1, show_frame, sample) == -1)
		error = dwfl_errmsg(-1);
	printf(";%s\n", sample->is_elsewhere ? "not in the copy" : error);
}

int main(void)
{
	static struct sample sample;
	Dwfl *dwfl = NULL;
	int kind;

	elf_version(EV_CURRENT);
	while ((kind = getchar()) != EOF) {
		if (kind == 'M') {
			dwfl_end(dwfl);
			dwfl = take_mappings(&sample);
			continue;
		}
		must(kind == 'S' && dwfl, "neither mappings nor a sample");
		take(sample.registers, sizeof(sample.registers));
		sample.bytes = take_number();
		must(sample.bytes <= MOST_STACK, "the stack is too large");
		take(sample.stack, sample.bytes);
		show_stack(dwfl, &sample);
	}
	dwfl_end(dwfl);
	return 0;
}
