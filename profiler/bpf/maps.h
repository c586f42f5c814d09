/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the programs share: the maps, the per-CPU scratch space, and the checksum.
 *
 * What differs between recordings, or changes during one, goes through maps. Numbers of this kernel come by -D:
 * TICK_NS, LANGUAGES and the BTF offsets TASK_* (see profiler/capture/program.py).
 * This file knows no language: each has a walk_X.h, which ends with its program.
 */
#ifndef PIDFLAME_MAPS_H
#define PIDFLAME_MAPS_H

#include "records.h"

#define LAYOUT_ROWS 256
#define LAYOUT_BYTES 512
#define STATE_WORDS 32
#define WINDOW_WORDS 64
#define WINDOW_BYTES (WINDOW_WORDS * sizeof(__u64))
#define CHECKSUM_WORDS 16
#define REGISTERS 21	/* words of struct pt_regs */
#define MAX_NAME_RUNS 4	/* of programs that name code, at one interrupt */
#define NAMES_PER_RUN 8	/* what the verifier can follow in little time */
#ifdef HAS_LOOP
#define UNWIND_STEPS_PER_RUN (MAX_USER_FRAMES + 1)
#else
#define UNWIND_STEPS_PER_RUN 12	/* likewise; 22 runs follow MAX_USER_FRAMES */
#endif

/*
 * Runs of walkers and of the unwinder. Besides them there are on_record(), on_fresh(), runs of programs that name
 * code, on_record() again, and on_count(): 33 tail calls in all, the kernel's limit. The unwinder has what the
 * walkers leave, one run at least. Where it leaves one, that is for on_copy().
 */
#define MOST_RUNS (33 - MAX_NAME_RUNS - 4)
#define MAX_FRESH (MAX_NAME_RUNS * NAMES_PER_RUN)	/* a power of two */
#define USER_BYTES (MAX_USER_FRAMES * 8)
#define KERNEL_BYTES (MAX_KERNEL_FRAMES * 8)
#define RECORD_BYTES (MAX_INTERPRETER_FRAMES * sizeof(struct interpreter_frame) + USER_BYTES + KERNEL_BYTES)

/* A walk over the frames of one interpreter, kept between the runs of the program that it takes. */
struct walk {
	__u64 root;		/* as in struct walker */
	__u64 thread_pointer;	/* of the interrupted thread, which tells it from the interpreter's others */
	__u32 row;
	__u32 program;
	__u32 slot;		/* of process_config.walkers */
	__u32 runs;		/* of walkers' programs and the unwinder, so far */
	__u32 count;		/* interpreter frames captured so far, those of earlier walks included */
	__u64 codes;		/* a hash of their code objects, in order; a frame that calls itself may count once */
};

/* A process, as far as it matters for what user space knows of its code. */
struct origin {
	__u64 began_ns;		/* when it began to run its program (CLOCK_BOOTTIME) */
	__u64 forked_ns;	/* until when its code is that of its ancestor */
	__u32 ancestor;		/* the pid that began to run the program; 0: it did so itself */
	__u32 padding;
};

/* What is seen for the first time in a sample. */
struct sight {
	struct origin origin;
	__u64 now_ns;		/* CLOCK_BOOTTIME */
	__u32 is_recent;	/* whether the program began, or the process was forked, since somebody listens */
	__u32 looked;		/* whether fresh frames were looked for */
	__u32 wakes;		/* whether user space has something to read, before it is gone */
	__u32 fresh;		/* how many code objects are to be named … */
	__u32 named;		/* … how many of them had their turn … */
	__u32 name_bytes;	/* … in records of so many bytes, … */
	__u32 name_runs;	/* … by so many runs; … */
	__u32 told;		/* … and of how many user space is told all that names them */
	__u16 slots[MAX_FRESH];	/* a frame of each */
	__u32 ends[MAX_WALKERS];	/* behind the last frame of each walk */
};

/* Where the native stack has been followed to. */
struct unwind {
	__u64 ip;
	__u64 sp;
	__u64 fp;
	__u64 used;		/* bytes of `body` */
	__u32 is_exact;		/* whether ip is an instruction that runs, and not where a call returns to */
	__u32 chunk;		/* of the table, while a row is looked for */
	__u64 address;		/* of the frame at hand: in the instruction that runs */
	__u32 is_code;
	__u32 rule;		/* of a row of the table */
	__u32 function;		/* where the function of that row begins, in the file; or its first row of the chunk */
	__u32 beyond;		/* how far behind that the instruction that runs is */
	__u64 place;
};

/* The first frame in a file whose unwind table is not there. */
struct stop {
	__u64 ip;
	__u64 sp;
	__u64 fp;
	__u32 is_exact;
	__u32 frames;		/* its number among the user addresses, from 1; 0: there is none */
	__u32 bytes;		/* of the stack, so far copied */
	__u32 is_copied;	/* whether user space gets a copy of the stack */
};

/* What is mapped around the last frame. */
struct code {
	__u64 start;
	__u64 bytes;		/* 0: nothing is known */
	__u64 offset;		/* in the file, of the start */
	__u64 range[2];
	__u64 flags;
	__u32 lacks_table;	/* whether it is a file's, and nobody has looked for the file's unwind information */
	__u32 slot;		/* of the map `tables` */
	__u32 chunks;		/* of the table; 0: there is no row */
	__u32 node;		/* a place in a node of the tree, while the mapping is looked for */
	__u32 is_generated;	/* whether no file holds it */
	__u32 padding;
};

/* A RECORD_NAME in the making. */
struct name_record {
	struct name_head head;
	__u8 texts[MAX_TEXTS * TEXT_BYTES];
};

/*
 * One record in the making. `frames` must directly follow `head`: the record leaves in one piece,
 * with the native stacks moved up behind the interpreter frames that are really there.
 */
struct scratch {
	struct sample_head head;
	union {
		struct interpreter_frame frames[MAX_INTERPRETER_FRAMES];
		__u8 body[RECORD_BYTES];
	};
	__u64 window[WINDOW_WORDS];	/* a piece of the target's memory */
	__u64 checked[CHECKSUM_WORDS];	/* what a checksum is taken of */
	__u64 registers[REGISTERS];	/* of the thread's user code, see read_user_registers() */
	struct walker walkers[MAX_WALKERS];	/* of the process */
	struct walk walk;
	struct name_record name;	/* not last: see take_text() */
	__u32 text_bytes;	/* of name.texts, so far */
	__u64 state[STATE_WORDS];	/* what the walker adds to `walk`, a struct of its own; zeros at first */
	struct sight sight;
	struct unwind unwind;
	struct stop stop;
	struct code code;
	__u32 round;		/* see ROUNDS() */
};

/* Plain bytes, here and below: BCC makes code for every member of a map's value type, of which there are 4,000. */
struct scratch_bytes {
	char bytes[sizeof(struct scratch)];
} __attribute__((aligned(8)));

BPF_PERCPU_ARRAY(scratches, struct scratch_bytes, 1);
/* Programs that go on with a sample: the walkers first, then these, then one a language that names its code. */
#define STAGE_RECORD LANGUAGES
#define STAGE_FRESH (LANGUAGES + 1)
#define STAGE_COUNT (LANGUAGES + 2)
#define STAGE_UNWIND (LANGUAGES + 3)
#define STAGE_COPY (LANGUAGES + 4)
#define STAGE_NAMES (LANGUAGES + 5)

BPF_PROG_ARRAY(stages, 2 * LANGUAGES + 5);
BPF_RINGBUF_OUTPUT(records, 1);	/* user space says how large it is, by CPUs and frequency */
BPF_ARRAY(settings, struct settings, 1);
BPF_PERCPU_ARRAY(lost, __u64, 2);	/* by enum lost_record */

#define COPY_PAGE_BYTES 4096
#define COPY_PAGES 6	/* a value of a per-CPU map takes 32 kB at most */
/* The rest of the page that the stack pointer is in, and some pages more. */
#define COPY_BYTES ((COPY_PAGES + 1) * COPY_PAGE_BYTES)

/* A RECORD_COPY in the making. */
struct stack_copy {
	struct copy_head head;
	__u8 bytes[COPY_BYTES];
	__u64 due_ns;		/* when there may be one more on this CPU */
};

struct copy_bytes {
	char bytes[sizeof(struct stack_copy)];
} __attribute__((aligned(8)));

BPF_PERCPU_ARRAY(copies, struct copy_bytes, 1);

#define CODE_REGION_SHIFT 16
#define STACK_KIND 255	/* of an address that is a hash of code objects, as no frame has it */
#define THREAD_KIND 254	/* of one that is the number of a thread */

/* A code object, a stack of them, a thread, or, where no interpreter runs, a region of native code (64 kB). */
struct seen_key {
	__u32 pid;
	__u32 checksum;
	__u64 address;
};

BPF_TABLE("lru_hash", struct seen_key, __u64, seen, 32768);	/* -> since when (CLOCK_BOOTTIME) */
BPF_TABLE("lru_hash", __u32, struct origin, origins, 16384);	/* by pid; without one: as it started */

struct stack_key {
	__u64 words[2];		/* as in sample_head */
};

/* Of which user space has the whole record; that says how many, by CPUs. */
BPF_TABLE("lru_hash", struct stack_key, __u8, stacks, 32768);
BPF_ARRAY(sleeps, __u32, 1);	/* nonzero: user space does, until so many bytes have come */
BPF_PERCPU_ARRAY(debts, __u32, 1);	/* of having woken user space, see wake_flags() */
BPF_TABLE("lru_hash", __u32, struct process_config, processes, 16384);
BPF_TABLE("hash", __u32, __u32, targets, 16384);	/* pid -> TARGET_* */

/* A struct X_layout of some language. Row 0 stays empty. */
struct layout_bytes {
	char bytes[LAYOUT_BYTES];
} __attribute__((aligned(8)));

BPF_ARRAY(layouts, struct layout_bytes, LAYOUT_ROWS);

/* Rows of an unwind table, sorted: where in the file (bytes) each begins to hold. Behind the last: all bits, and 0. */
struct table_chunk {
	__u32 offsets[CHUNK_ROWS];
	__u32 rules[CHUNK_ROWS];
	__u16 backs[CHUNK_ROWS];	/* how many rows before each its function begins */
};

struct chunk_bytes {
	char bytes[sizeof(struct table_chunk)];
} __attribute__((aligned(8)));

BPF_TABLE("hash", struct file_key, struct unwind_table, unwind_tables, MAX_TABLES);
/* What each of `tables` is like, but for its size (so the flag says, BPF_F_INNER_MAP of Linux 5.10). */
BPF_F_TABLE("array", __u32, struct chunk_bytes, chunks, 1, 1 << 12);
BPF_ARRAY_OF_MAPS(tables, "chunks", MAX_TABLES);

/* What on_symbols() names, and how it writes a name. */
struct symbols {
	__u64 addresses[MAX_SYMBOLS];	/* those that are not 0 are named */
	char names[MAX_SYMBOLS][SYMBOL_BYTES];	/* "function", "function [module]", or the address */
};

struct symbols_bytes {
	char bytes[sizeof(struct symbols)];
} __attribute__((aligned(8)));

struct symbol_format {
	char text[8];
};

BPF_ARRAY(symbols, struct symbols_bytes, 1);
BPF_F_TABLE("array", __u32, struct symbol_format, symbol_format, 1, 1 << 7);	/* BPF_F_RDONLY_PROG */

#define TARGET_WITH_CHILDREN 1

#define ADDRESS_MASK ((1ULL << KIND_SHIFT) - 1)

/* Keeps the compiler from optimising away the check after it, which the verifier needs to see. */
#define SHOW_BOUNDS(variable) asm volatile("" : "+r"(variable))

/* The frame at `slot`, which was checked; masked, because Linux 6.1 forgets bounds of values on the stack. */
static __always_inline struct interpreter_frame *frame_at(struct scratch *s, __u64 slot)
{
	SHOW_BOUNDS(slot);
	return &s->frames[slot & (MAX_INTERPRETER_FRAMES - 1)];
}

/* The running walker's own part of `scratch`, as the struct that it keeps there. */
#define WALK_STATE(s, type)                                                                        \
	({                                                                                         \
		_Static_assert(sizeof(type) <= sizeof((s)->state), "the state of a walk is too large"); \
		(type *)(s)->state;                                                                \
	})

/*
 * Reads what was just written. The verifier knows nothing about a value in a map, so the paths that lead here
 * become one again; with a value in a register or on the stack it follows each path to the end.
 */
#define READ_BACK(variable) (*(volatile typeof(variable) *)&(variable))

/* Adds an annotation on the leaf side of the next frame, if there is room. */
static __always_inline void annotate(struct scratch *s, __u64 kind, __u64 address, __u64 owner)
{
	__u64 slot = READ_BACK(s->walk.count);
	struct interpreter_frame *frame;

	SHOW_BOUNDS(slot);
	if (slot >= MAX_INTERPRETER_FRAMES)
		return;
	frame = frame_at(s, slot);
	frame->address = kind << KIND_SHIFT | (address & ADDRESS_MASK);
	frame->position = 0;
	frame->checksum = 0;
	frame->owner = owner;
	s->walk.count = slot + 1;
}

#define CHECKSUM_MULTIPLIER 0x9E3779B97F4A7C15ULL

/* Adds the code object of a frame to the hash of those so far. */
static __always_inline void mix_code(struct scratch *s, __u64 address, __u32 checksum)
{
	__u64 mixed = (s->walk.codes ^ address ^ (__u64)checksum << 24) * CHECKSUM_MULTIPLIER;

	s->walk.codes = mixed ^ mixed >> 32;
}

/*
 * Mixes CHECKSUM_WORDS words; zeros behind the last one do not change the result.
 * A fixed count keeps the verifier from following every possible one. Mirrored by
 * symbolizers/checksum.py.
 */
static __always_inline __u32 checksum_words(const __u64 *words)
{
	__u64 mixed = 0, factor = 1;

#pragma unroll
	for (int i = 0; i < CHECKSUM_WORDS; i++) {
		factor *= CHECKSUM_MULTIPLIER;
		mixed += words[i] * factor;
	}
	mixed ^= mixed >> 29;
	return (mixed * CHECKSUM_MULTIPLIER) >> 32;
}

/*
 * The helpers under names of our own: when BCC sees a call of "bpf_probe_read_user", it reads all of
 * /proc/kallsyms to learn whether the kernel has it, which costs half a second and 40 MB. It has:
 * both came with Linux 5.5, the ring buffer with 5.8.
 */
static long (*read_user)(void *destination, __u32 size, const void *address) =
	(void *)BPF_FUNC_probe_read_user;
static long (*read_kernel)(void *destination, __u32 size, const void *address) =
	(void *)BPF_FUNC_probe_read_kernel;
static __u64 (*boot_ns)(void) = (void *)BPF_FUNC_ktime_get_boot_ns;	/* of Linux 5.8, too */

/*
 * ROUNDS(s, number, times): a loop. The verifier follows each of its rounds, unless the kernel has may_goto (Linux 6.9):
 * an instruction by which a loop could end at any time, though it does not. Then the verifier is content with a round
 * that it has seen before, and takes a millisecond where it took a hundred. For that, nothing that it knows may
 * differ from round to round, so the number is read back each time. There are no rounds within rounds.
 */
#ifdef HAS_MAY_GOTO
#define GOES_ON                                                                                    \
	({                                                                                         \
		__label__ ended;                                                                   \
		bool goes_on = false;                                                              \
		/* its code, no registers, how far it is to where the loop ended, no number */     \
		asm volatile goto("1: .byte 0xe5, 0; .long (%l[ended] - 1b - 8) / 8 & 0xffff; .short 0" \
				  : : : : ended);                                                  \
		goes_on = true;                                                                    \
ended:                                                                                             \
		goes_on;                                                                           \
	})
#define ROUNDS(s, number, times)                                                                   \
	for (__u32 number = (s)->round = 0; (number = READ_BACK((s)->round)) < (times) && GOES_ON; \
	     (s)->round = number + 1)
#else
#define ROUNDS(s, number, times) for (__u32 number = 0; number < (times); number++)
#endif

/*
 * CALL_AGAIN(each_X, times, s): in the program on_X(), calls EACH int each_X(void *data) until it returns nonzero, at
 * most so often. each_X() gets the sample by WALK_AGAIN(data). From Linux 5.17 on, the kernel makes the calls, and its
 * verifier follows each_X() once. BCC can't compile that: it compiles each_X() as a program of its own. compiler.py (in
 * profiler/capture) puts this behind on_X(), and where it begins into the instruction that has the number here.
 */
#ifdef HAS_LOOP
static long (*loop_over)(__u32 times, void *function, void *data, __u64 flags) = (void *)181;	/* BPF_FUNC_loop */
#define EACH
#define WALK_AGAIN(data) ((void)(data), walk_at_hand())
#define CALL_AGAIN(each, times, s)                                                                 \
	({                                                                                         \
		void *function;                                                                    \
		asm volatile("%0 = 0x6c6f6f70 ll" : "=r"(function));                               \
		loop_over(times, function, NULL, 0);                                               \
	})
#else
#define EACH static __always_inline
#define WALK_AGAIN(data) ((struct scratch *)(data))
#define CALL_AGAIN(each, times, s)                                                                 \
	for (int again = 0; again < (times); again++) {                                            \
		if (each(s))                                                                       \
			break;                                                                     \
	}
#endif

/* Reads a value of the target's memory; nonzero when its page is not resident. Cannot sleep. */
#define READ_USER(destination, address) \
	read_user(&(destination), sizeof(destination), (const void *)(address))

#endif
