/*
 * Runs the sampler over fake memory. Reads requests from stdin, each of them one sample, and writes what came of
 * it to stdout; ends with stdin. What breaks the harness's own rules, or the walkers' promises, ends it with a
 * message: tests/support/walkers/harness.py tells the test.
 *
 * A request is a struct request and behind it what it announces. Pages and rows stay for the requests after it;
 * changed words are put back after the sample.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel.h"

#define on_exit on_task_exit	/* libc has a function of this name */
#include "program_text.h"	/* profiler.capture.program.program_text() */

#define MOST_READS 65536	/* more than any walk's bound: it would not end */
#define MOST_TAIL_CALLS 33	/* MAX_TAIL_CALL_CNT in the kernel */
#define MOST_SECONDS 30		/* of one request, on a machine that is busy */
#define MOST_CHUNKS 8
#define START_NS 1000000000
#define PID 4242
/* Flags of `counted`: what else makes stacks differ. */
#define BY_LINES 2
#define BY_INSTRUCTIONS 4
/* A flag of `unwound`: all that is mapped is a file whose unwind table is not there. */
#define LACKS_TABLE 2
#define KEY_LOW 0x0706050403020100	/* of the hash that tells stacks apart */
#define KEY_HIGH 0x0f0e0d0c0b0a0908

struct page {
	__u64 address;
	__u8 bytes[PAGE_SIZE];
};

struct row {
	__u64 index;
	struct layout_bytes layout;
};

struct word {
	__u64 address;
	__u64 value;
};

struct request {
	struct walker walkers[MAX_WALKERS];
	__u64 thread_pointer;
	__u64 registers[REGISTERS];
	__u32 forgets;		/* nonzero: the pages of before are gone */
	__u32 pages;		/* how many follow, of each … */
	__u32 rows;
	__u32 words;
	__u32 traced;		/* nonzero: the reads are wanted in the answer */
	__u32 fails_at;		/* the number of a read that faults in any case, from 1; 0: none */
	__u32 twice;		/* nonzero: what earlier samples left behind must make no difference */
	__u32 in_kernel;	/* nonzero: the kernel was interrupted, which has the registers on its stack */
	__u32 stack_gap;	/* bytes behind them there */
	__u32 named;		/* nonzero: code objects are named */
	__u32 frames;		/* how many frames follow, which take the place of a walk by the first walker */
	__u32 counted;		/* nonzero: of a stack that was sent before, a short record goes out; flags */
	__u32 unwound;		/* nonzero: the native stack is followed; else it is the instruction that runs; flags */
	__u32 chunks;		/* how many follow of the unwind table of all that is mapped */
};

struct read {
	__u64 address;
	__u32 size;
	__u32 fault;
};

/*
 * Then the sample's record, those of names, each with its length before it, the copy of the stack, and the reads if they
 * are wanted.
 */
struct answer {
	__u32 record_bytes;
	__u32 reads;
	__u32 tail_calls;
	__u32 records;
	__u64 read_bytes;
	__u32 name_bytes;
	__u32 copy_bytes;
};

static int (*const programs[])(struct bpf_perf_event_data *) = {WALKER_PROGRAMS};
static int (*next_program)(struct bpf_perf_event_data *);
static jmp_buf next_run;

static __u8 kernel_stack[KERNEL_STACK_BYTES];
static struct table_chunk table[MOST_CHUNKS];
static __u32 table_chunks;
static struct mapping mapping = {.start = PAGE_SIZE, .end = 1ULL << 47, .flags = VMA_EXECUTABLE};
static const struct memory memory = {&mapping.node};
static struct task task = {&task, &task, START_NS, 0, 0, 0, PID, PID, "forged", NULL, kernel_stack, &memory};
static struct bpf_perf_event_data context;
static struct page *pages;
static __u32 page_count;
static struct read reads[MOST_READS];
static struct answer answer;
static __u32 fails_at, takes_names, counted, unwound;
static __u8 record[sizeof(struct scratch)];
static struct interpreter_frame given[MAX_INTERPRETER_FRAMES];
static struct stack_copy copy;
static __u8 names[MAX_FRESH * (sizeof(__u32) + sizeof(struct name_record))];

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "harness: not so: %s\n", #condition);                      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static int by_address(const void *one, const void *other)
{
	__u64 a = ((const struct page *)one)->address, b = ((const struct page *)other)->address;

	return (a > b) - (a < b);
}

/* The page that starts at `address`, NULL where it is not resident. */
static struct page *page_at(__u64 address)
{
	__u32 low = 0, high = page_count;

	while (low < high) {
		__u32 middle = low + (high - low) / 2;

		if (pages[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < page_count && pages[low].address == address ? &pages[low] : NULL;
}

/* The resident byte at `address`, NULL for a fault. */
static __u8 *byte_at(__u64 address)
{
	struct page *page = page_at(address & ~(PAGE_SIZE - 1ULL));

	return page ? &page->bytes[address % PAGE_SIZE] : NULL;
}

/* Copies what is resident. Whether all was. */
static bool copy_pages(__u8 *destination, __u64 address, __u64 size)
{
	if (address + size < address)
		return false;
	while (size) {
		__u64 left = PAGE_SIZE - address % PAGE_SIZE, part = left < size ? left : size;
		const __u8 *source = byte_at(address);

		if (!source)
			return false;
		memcpy(destination, source, part);
		destination += part;
		address += part;
		size -= part;
	}
	return true;
}

/* A read that begins in one of the scratch's arrays must end there: the sanitizer sees only the whole. */
#define REQUIRE_WITHIN(start, size, array)                                                         \
	REQUIRE((const __u8 *)(start) < (const __u8 *)(array) ||                                   \
		(const __u8 *)(start) >= (const __u8 *)(array) + sizeof(array) ||                  \
		(const __u8 *)(start) + (size) <= (const __u8 *)(array) + sizeof(array))

/* As in the kernel, nothing of a read that meets a fault arrives: the destination is zeros. */
static long probe_read_user(void *destination, __u32 size, const void *address)
{
	const struct scratch *s = (const struct scratch *)scratches_entries;
	struct read *read = &reads[answer.reads];

	REQUIRE(answer.reads++ < MOST_READS);
	REQUIRE_WITHIN(destination, size, s->window);
	REQUIRE_WITHIN(destination, size, s->checked);
	REQUIRE_WITHIN(destination, size, s->state);
	REQUIRE_WITHIN(destination, size, s->name.texts);
	memset(destination, 0, size);
	*read = (struct read){(__u64)address, size, !copy_pages(destination, (__u64)address, size)};
	read->fault |= answer.reads == fails_at;
	if (read->fault)
		memset(destination, 0, size);
	answer.read_bytes += size;
	return read->fault ? -14 : 0;
}

#define IS_WITHIN(address, size, object) \
	((address) >= (const void *)&(object) && (address) + (size) <= (const void *)(&(object) + 1))

/* All that is read of the kernel is the task, its stack, and what it has mapped. */
static long probe_read_kernel(void *destination, __u32 size, const void *address)
{
	REQUIRE(IS_WITHIN(address, size, task) || IS_WITHIN(address, size, kernel_stack) ||
		IS_WITHIN(address, size, mapping) || IS_WITHIN(address, size, memory));
	memcpy(destination, address, size);
	return 0;
}

/* The only map of maps holds the unwind table. */
static void *map_lookup_elem(void *map, const void *key)
{
	__u32 index = *(const __u32 *)key;

	REQUIRE(map == table);
	return index < table_chunks ? &table[index] : NULL;
}

static void *table_in_slot(__u32 slot)
{
	return slot == 0 && table_chunks ? table : NULL;
}

/* What is mapped is in a file, the vDSO, if there is a table for it. */
static void put_table(__u32 chunks, bool is_file)
{
	struct unwind_table entry = {.slot = 0, .chunks = chunks};
	struct file_key key = {};

	table_chunks = chunks;
	unwind_tables.delete(&key);
	if (chunks)
		unwind_tables.update(&key, &entry);
	mapping.operations = is_file ? &mapping : NULL;
}

/* The longest that there can be, so that nothing else in a record is longer than it may be. */
static long bpf_get_stack(void *unused, void *buffer, __u32 size, __u64 flags)
{
	(void)unused;
	REQUIRE(!flags);
	memset(buffer, 0x22, size);
	return size;
}

static __u64 bpf_get_current_pid_tgid(void)
{
	return (__u64)PID << 32 | PID;
}

static __u64 bpf_get_current_uid_gid(void)
{
	return 0;
}

static __u64 bpf_get_current_cgroup_id(void)
{
	return 1;
}

static __u64 bpf_get_current_task(void)
{
	return (__u64)&task;
}

static __u64 bpf_ktime_get_ns(void)
{
	return 2ULL * START_NS;
}

static __u64 ktime_get_boot_ns(void)
{
	return 3ULL * START_NS;
}

static __u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

/* The slots have no length here: every event is a sample, see is_due(). */
static __u32 bpf_get_prandom_u32(void)
{
	REQUIRE(false);
	return 0;
}

/* Does not return, as in the kernel, but where the limit is reached. */
static void tail_call(struct bpf_perf_event_data *unused, __u32 program)
{
	(void)unused;
	REQUIRE(program < sizeof(programs) / sizeof(programs[0]));
	if (program == STAGE_FRESH && !takes_names)
		return;	/* as if it had not been loaded */
	if (program == STAGE_COUNT && !counted)
		return;
	if (answer.tail_calls == MOST_TAIL_CALLS)
		return;
	if (program == STAGE_UNWIND && !unwound)
		((struct scratch *)scratches_entries)->unwind.fp = 0;
	answer.tail_calls++;
	next_program = programs[program];
	longjmp(next_run, 1);
}

static long ringbuf_output(const void *sent, __u64 size, __u64 flags)
{
	__u32 bytes = size;

	if (*(const __u32 *)sent == RECORD_NAME) {
		REQUIRE(flags == BPF_RB_NO_WAKEUP && !answer.records);
		REQUIRE(answer.name_bytes + sizeof(bytes) + size <= sizeof(names));
		memcpy(names + answer.name_bytes, &bytes, sizeof(bytes));
		memcpy(names + answer.name_bytes + sizeof(bytes), sent, size);
		answer.name_bytes += sizeof(bytes) + size;
		return 0;
	}
	if (*(const __u32 *)sent == RECORD_COPY) {
		REQUIRE(flags == BPF_RB_NO_WAKEUP && !answer.records && !answer.copy_bytes);
		REQUIRE(size <= sizeof(copy.head) + sizeof(copy.bytes));
		memcpy(&copy, sent, size);
		answer.copy_bytes = size;
		return 0;
	}
	REQUIRE(size <= sizeof(record));
	memcpy(record, sent, size);
	answer.record_bytes = size;
	answer.records++;
	return 0;
}

/* Puts the frames into the scratch that a walk would have left there; on_record() is next. */
static void put_frames(const struct request *request, const struct process_config *config)
{
	struct scratch *s = (struct scratch *)scratches_entries;

	fill_head(s, bpf_get_current_pid_tgid(), &task, &task);
	memset(s->registers, 0, sizeof(s->registers));
	if (counted)
		read_user_registers(s->registers, (const __u64 *)&context, &task);
	prepare_walks(s, config);
	memcpy(s->frames, given, request->frames * sizeof(given[0]));
	s->walk.count = s->sight.ends[0] = request->frames;
	next_program = on_record;
}

/* One sample, in a scratch that is full of `left` by those before. */
static void sample(const struct request *request, int left)
{
	__u32 pid = PID;
	struct process_config config = {.start_ns = START_NS};

	memcpy(config.walkers, request->walkers, sizeof(config.walkers));
	processes.update(&pid, &config);
	seen_count = 0;
	task.thread_pointer = request->thread_pointer;
	memset(&context, 0, sizeof(context));
	memset(kernel_stack, 0, sizeof(kernel_stack));
	memcpy(request->in_kernel ? (void *)(kernel_stack + sizeof(kernel_stack) - request->stack_gap -
					     sizeof(request->registers))
				  : (void *)&context,
	       request->registers, sizeof(request->registers));
	memset(scratches_entries, left, sizeof(scratches_entries));
	memset(&answer, 0, sizeof(answer));
	memset(debts_entries, 0, sizeof(debts_entries));
	memset(copies_entries, 0, sizeof(copies_entries));
	fails_at = request->fails_at;
	takes_names = request->named;
	counted = request->counted;
	unwound = request->unwound;
	put_table(request->chunks, request->chunks || unwound & LACKS_TABLE);
	settings_entries[0].key[0] = KEY_LOW;
	settings_entries[0].key[1] = KEY_HIGH;
	settings_entries[0].position_mask = counted & BY_LINES ? ~0U : FRAME_ENTERED;
	settings_entries[0].beyond_mask = counted & BY_INSTRUCTIONS ? 0 : ~0ULL;
	next_program = on_sample;
	if (request->frames)
		put_frames(request, &config);
	setjmp(next_run);
	next_program(&context);
}

/* The kernel never clears the scratch: a walk may not depend on what earlier samples left there. */
static void sample_and_compare(const struct request *request)
{
	static __u8 first_record[sizeof(record)], first_names[sizeof(names)], first_copy[sizeof(copy)];
	struct answer first;

	sample(request, 0);
	if (!request->twice)
		return;
	first = answer;
	memcpy(first_record, record, answer.record_bytes);
	memcpy(first_names, names, answer.name_bytes);
	memcpy(first_copy, &copy, answer.copy_bytes);
	sample(request, 0x5a);
	REQUIRE(!memcmp(&first, &answer, sizeof(answer)));
	REQUIRE(!memcmp(first_record, record, answer.record_bytes));
	REQUIRE(!memcmp(first_names, names, answer.name_bytes));
	REQUIRE(!memcmp(first_copy, &copy, answer.copy_bytes));
}

/* False at the end of the input, if it may end here. */
static bool receive(void *buffer, size_t size, bool may_end)
{
	size_t got = fread(buffer, 1, size, stdin);

	REQUIRE(got == size || (may_end && !got && feof(stdin)));
	return got == size;
}

static void receive_pages(__u32 count)
{
	struct page *grown = realloc(pages, (page_count + count) * sizeof(*pages));

	REQUIRE(grown || !(page_count + count));
	pages = grown;
	if (count)
		receive(pages + page_count, count * sizeof(*pages), false);
	page_count += count;
	if (count)
		qsort(pages, page_count, sizeof(*pages), by_address);
	for (__u32 i = 1; i < page_count; i++)
		REQUIRE(pages[i - 1].address < pages[i].address);
}

static void receive_rows(__u32 count)
{
	struct row row;

	while (count--) {
		receive(&row, sizeof(row), false);
		REQUIRE(row.index < LAYOUT_ROWS);
		layouts_entries[row.index] = row.layout;
	}
}

/* Changes the words in memory, last to first where they go `back`, so that each has its own value again. */
static void exchange(struct word *words, __u32 count, bool back)
{
	for (__u32 i = 0; i < count; i++) {
		struct word *word = &words[back ? count - 1 - i : i];
		__u8 *place = byte_at(word->address);
		__u64 before;

		REQUIRE(place && word->address % 8 == 0);
		memcpy(&before, place, 8);
		memcpy(place, &word->value, 8);
		word->value = before;
	}
}

int main(void)
{
	struct request request;
	struct word *words;

	while (receive(&request, sizeof(request), true)) {
		alarm(MOST_SECONDS);
		if (request.forgets)
			page_count = 0;
		receive_pages(request.pages);
		receive_rows(request.rows);
		REQUIRE(request.frames <= MAX_INTERPRETER_FRAMES);
		REQUIRE(request.chunks <= MOST_CHUNKS);
		receive(table, request.chunks * sizeof(table[0]), false);
		receive(given, request.frames * sizeof(given[0]), false);
		words = calloc(request.words + 1, sizeof(*words));
		receive(words, request.words * sizeof(*words), false);
		exchange(words, request.words, false);
		sample_and_compare(&request);
		exchange(words, request.words, true);
		free(words);
		alarm(0);
		fwrite(&answer, sizeof(answer), 1, stdout);
		fwrite(record, 1, answer.record_bytes, stdout);
		fwrite(names, 1, answer.name_bytes, stdout);
		fwrite(&copy, 1, answer.copy_bytes, stdout);
		if (request.traced)
			fwrite(reads, sizeof(reads[0]), answer.reads, stdout);
		fflush(stdout);
	}
	free(pages);
	return 0;
}
