/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the programs share: the maps, the per-CPU scratch space, and the checksum.
 *
 * Everything that changes while recording goes through maps; numbers known at load time come by -D:
 * FILTER_TARGETS, RING_PAGES, TICK_NS and the BTF offsets TASK_* (see profiler/capture/bcc_source.py).
 */
#ifndef PIDFLAME_MAPS_H
#define PIDFLAME_MAPS_H

#include "records.h"
#include "python_layout.h"
#include "ruby_layout.h"

#define LAYOUT_ROWS 64
#define WINDOW_WORDS 64
#define WINDOW_BYTES (WINDOW_WORDS * sizeof(__u64))
#define CHECKSUM_WORDS 16
#define NATIVE_BYTES (MAX_NATIVE_FRAMES * 8)
#define RECORD_BYTES (MAX_INTERPRETER_FRAMES * sizeof(struct interpreter_frame) + 2 * NATIVE_BYTES)

/* What the Ruby walker has at hand: a control frame, and one of the environments around it. */
struct ruby_step {
	__u64 pc;
	__u64 iseq;
	__u64 ep;
	__u64 owner;		/* the method entry that the frame runs for; 0: none */
	__u64 checked;		/* the iseq whose body's words are in scratch.checked; 0: none */
	struct {		/* the last words of an environment */
		__u64 method;	/* method entry, cref or svar */
		__u64 parent;	/* of a block: the outer ep, tagged in its low bits */
		__u64 flags;
	} env;
	__u64 object_address;	/* of `object`; 0: none */
	struct {		/* the start of what env.method points at */
		__u64 flags;
		__u64 words[RUBY_METHOD_WORDS];	/* of a method entry: those that never change */
	} object;
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
	struct python_walk python;	/* where the walks stand, from one run to the next */
	struct ruby_walk ruby;
	struct ruby_step ruby_step;
};

BPF_PROG_ARRAY(stages, 2);
/* As plain bytes: of a map's value type BCC makes code for every member, 4,000 of them here. */
struct scratch_bytes {
	char bytes[sizeof(struct scratch)];
} __attribute__((aligned(8)));

BPF_PERCPU_ARRAY(scratches, struct scratch_bytes, 1);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_PERCPU_ARRAY(lost, __u64, 2);	/* by enum lost_record */

#define CODE_REGION_SHIFT 16

/*
 * A function of a program that runs, or where no interpreter runs a region of its code (of 64 kB). `pid` is
 * that of the process that began to run the program: forks are what they were forked from.
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
BPF_ARRAY(python_layouts, struct python_layout, LAYOUT_ROWS);
BPF_ARRAY(ruby_layouts, struct ruby_layout, LAYOUT_ROWS);

#define TARGET_WITH_CHILDREN 1

/* Keeps the compiler from optimising away the check after it, which the verifier needs to see. */
#define SHOW_BOUNDS(variable) asm volatile("" : "+r"(variable))

/* The frame at `slot`, which was checked: Linux 6.1 forgets the bound of what was on the stack meanwhile. */
static __always_inline struct interpreter_frame *frame_at(struct scratch *s, __u64 slot)
{
	SHOW_BOUNDS(slot);
	return &s->frames[slot & (MAX_INTERPRETER_FRAMES - 1)];
}

/*
 * Reads what was just written. The verifier knows nothing of a value in a map, so the ways that lead here
 * become one again: with a value in a register or on the stack it follows each of them to the end.
 */
#define READ_BACK(variable) (*(volatile typeof(variable) *)&(variable))

#define CHECKSUM_MULTIPLIER 0x9E3779B97F4A7C15ULL

/*
 * Mixes CHECKSUM_WORDS words; the same number comes out with fewer words and zeros behind them.
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
 * The helpers under names of our own: at the sight of a call to "bpf_probe_read_user" BCC reads all of
 * /proc/kallsyms to learn whether the kernel has it, which costs half a second and 40 MB. It has:
 * both are of Linux 5.5, the ring buffer of 5.8.
 */
static long (*read_user)(void *destination, __u32 size, const void *address) =
	(void *)BPF_FUNC_probe_read_user;
static long (*read_kernel)(void *destination, __u32 size, const void *address) =
	(void *)BPF_FUNC_probe_read_kernel;

/* Reads a value of the target's memory; nonzero when its page is not resident. Cannot sleep. */
#define READ_USER(destination, address) \
	read_user(&(destination), sizeof(destination), (const void *)(address))

#endif
