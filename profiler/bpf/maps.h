/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the programs share: the maps, the per-CPU scratch space, and the checksum.
 *
 * Everything that changes while recording goes through maps; numbers known at load time come by -D:
 * FILTER_TARGETS, RING_PAGES, TICK_NS, LANGUAGES and the BTF offsets TASK_* (see profiler/capture/program.py).
 * This file knows no language: each has a walk_X.h, which ends with its program.
 */
#ifndef PIDFLAME_MAPS_H
#define PIDFLAME_MAPS_H

#include "records.h"

#define LAYOUT_ROWS 256
#define LAYOUT_BYTES 256
#define STATE_WORDS 32
#define WINDOW_WORDS 64
#define WINDOW_BYTES (WINDOW_WORDS * sizeof(__u64))
#define CHECKSUM_WORDS 16
#define REGISTERS 21	/* words of struct pt_regs */
#define NATIVE_BYTES (MAX_NATIVE_FRAMES * 8)
#define RECORD_BYTES (MAX_INTERPRETER_FRAMES * sizeof(struct interpreter_frame) + 2 * NATIVE_BYTES)

/* A walk over the frames of one interpreter, kept between the runs of the program that it takes. */
struct walk {
	__u64 root;		/* as in struct walker */
	__u64 thread_pointer;	/* of the interrupted thread, which tells it from the interpreter's others */
	__u32 row;
	__u32 program;
	__u32 slot;		/* of process_config.walkers */
	__u32 runs;		/* of walkers' programs, so far */
	__u32 count;		/* interpreter frames captured so far, those of earlier walks included */
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
	__u64 state[STATE_WORDS];	/* what the walker adds to `walk`, a struct of its own; zeros at first */
};

/* Plain bytes: BCC makes code for every member of a map's value type, and here there are 4,000. */
struct scratch_bytes {
	char bytes[sizeof(struct scratch)];
} __attribute__((aligned(8)));

BPF_PERCPU_ARRAY(scratches, struct scratch_bytes, 1);
BPF_PROG_ARRAY(stages, LANGUAGES + 1);	/* the walkers' programs, and at LANGUAGES the one that ends a sample */
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(lost, __u64, 2);	/* by enum lost_record */

#define CODE_REGION_SHIFT 16

/*
 * A function of a running program, or, without an interpreter, a region of its code (64 kB). `pid` is the
 * process that began to run the program: a fork counts as what it was forked from.
 */
struct seen_key {
	__u32 pid;
	__u32 checksum;
	__u64 address;
};

BPF_TABLE("lru_hash", struct seen_key, __u8, seen, 16384);
BPF_TABLE("lru_hash", __u32, __u32, forked_from, 16384);	/* pid -> pid of seen_key */
BPF_TABLE("lru_hash", __u32, struct process_config, processes, 16384);
BPF_TABLE("hash", __u32, __u32, targets, 16384);	/* pid -> TARGET_* */

/* A struct X_layout of some language. Row 0 stays empty. */
struct layout_bytes {
	char bytes[LAYOUT_BYTES];
} __attribute__((aligned(8)));

BPF_ARRAY(layouts, struct layout_bytes, LAYOUT_ROWS);

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

/* Reads a value of the target's memory; nonzero when its page is not resident. Cannot sleep. */
#define READ_USER(destination, address) \
	read_user(&(destination), sizeof(destination), (const void *)(address))

#endif
