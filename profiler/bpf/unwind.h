/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The interrupted thread's native stack, leaf first.
 *
 * From a function to its caller by the row of the file's unwind table (symbolizers/elf/eh_frame.py makes them, the
 * map `tables` holds them by file), and by the frame pointer where there is no table or no row: generated code, and
 * files whose table is not there yet. A step takes one or two reads of user memory, which can't sleep; five where it
 * goes over to another stack.
 *
 * Every loop is bounded whatever the target's stack and a table say. A deep stack takes several runs.
 */
#ifndef PIDFLAME_UNWIND_H
#define PIDFLAME_UNWIND_H

#include "arch_x86_64.h"

#define MOST_STACK_BYTES (64ULL << 20)
#define CHUNK_STEPS 11		/* to find one of 2,048 chunks; their rows, 512 each, take 9 more */

/* Looks a chunk up in a map that came out of `tables`. */
static void *(*lookup_in)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

/* A row's rule, see Cfa, CallersFp, packed() and packed_links() in symbolizers/elf/unwind_rules.py; 0: there is none. */
enum cfa {
	CFA_UNKNOWN = 0,
	CFA_STACK_POINTER = 1,
	CFA_FRAME_POINTER = 2,
	CFA_PLT = 3,
	CFA_AT_FRAME_POINTER = 4,
	CFA_ABOVE_STACK_POINTER = 5,
	CFA_SIGNAL = 6,
	CFA_ELSEWHERE = 7,
};

enum callers_fp {
	FP_IN_REGISTER = 0,
	FP_AT_CFA = 1,
	FP_AT_FRAME_POINTER = 2,
	FP_AT_CFA_ELSEWHERE = 3,
};

#define RULE_AWAITED 256	/* AWAITED there: the next table of generated code may have a row */
#define RULE_CFA(rule) ((rule) & 7)
#define RULE_CFA_OFFSET(rule) (((__s64)((__u64)(rule) << 46) >> 49) * 8)
#define RULE_REGISTER(rule) ((rule) >> 3 & 15)	/* of CFA_UNKNOWN: which word of `registers`, and 1 more; or 0 */
#define RULE_REGISTER_OFFSET(rule) (((__s64)((__u64)(rule) << 46) >> 53) * 8)
#define RULE_FP(rule) ((rule) >> 18 & 3)
#define RULE_FP_OFFSET(rule) (((__s64)((__u64)(rule) << 32) >> 52) * 8)
#define RULE_RETURNS_TO_ARGUMENT(rule) (RULE_FP(rule) == FP_IN_REGISTER && RULE_FP_OFFSET(rule) != 0)

/* Of CFA_SIGNAL: where the caller's stack pointer is kept, from the frame pointer on; 0: it is a signal's frame. */
#define RULE_KEEPS_SP(rule) (RULE_CFA(rule) == CFA_SIGNAL && RULE_CFA_OFFSET(rule) != 0)

#define RULE_LINKS(rule) ((rule) >> 3)	/* 0: nothing called the function */
#define RULE_IS_CALLED(rule) ((rule) >> 3 & 1)
#define RULE_LINK(rule, i) (((rule) >> (4 + 7 * (i)) & 127) * 8ULL)
#define LINKS 4

/* All bits if `a` is not above `b`, which are numbers of 32 bits; else 0. */
static __always_inline __u64 mask_not_above(__u64 a, __u64 b)
{
	return (__s64)(a - b - 1) >> 63;
}

/* The rule at `offset` of the file at hand; CFA_UNKNOWN without one. */
static __always_inline __u32 find_rule(struct scratch *s, __u64 offset)
{
	struct unwind *u = &s->unwind;
	const struct table_chunk *chunk;
	__u32 at = s->code.slot;
	void *table = tables.lookup(&at);
	__u64 row = 0;

	if (!table) {	/* it is on its way */
		s->head.lacks_table = 1;
		return CFA_UNKNOWN;
	}
	u->chunk = 0;
	for (__u32 step = 1 << (CHUNK_STEPS - 1); step; step >>= 1) {
		at = READ_BACK(u->chunk) + step;
		chunk = lookup_in(table, &at);
		if (chunk)
			u->chunk += step & mask_not_above(chunk->offsets[0], offset);
	}
	at = READ_BACK(u->chunk);
	chunk = lookup_in(table, &at);
	if (!chunk || chunk->offsets[0] > offset)
		return CFA_UNKNOWN;
#pragma unroll
	for (__u32 step = CHUNK_ROWS / 2; step; step >>= 1) {
		row += step & mask_not_above(chunk->offsets[(row + step) & (CHUNK_ROWS - 1)], offset);
		SHOW_BOUNDS(row);
		row &= CHUNK_ROWS - 1;
	}
	u->chunk = row;
	row -= chunk->backs[row] & mask_not_above(chunk->backs[row], row);
	SHOW_BOUNDS(row);
	u->function = chunk->offsets[row & (CHUNK_ROWS - 1)];
	return chunk->rules[READ_BACK(u->chunk) & (CHUNK_ROWS - 1)];
}

/* Whether all instructions of a row are of one function: those of the PLT are of many, and so is what is awaited. */
static __always_inline bool is_of_one_function(__u32 rule)
{
	return rule && rule != RULE_AWAITED && RULE_CFA(rule) != CFA_PLT;
}

/* The registers that the kernel put on the stack to call a signal handler (struct ucontext). */
static __always_inline bool leave_signal(struct unwind *u)
{
	__u64 sp = u->sp;

	u->is_exact = 1;
	return !READ_USER(u->fp, sp + SIGNAL_FRAME_POINTER) && !READ_USER(u->ip, sp + SIGNAL_INSTRUCTION) &&
	       !READ_USER(u->sp, sp + SIGNAL_STACK_POINTER);
}

/* Goes on to the caller by its frame pointer, if that looks like one; its stack pointer may be kept, too. */
static __always_inline int step_by_frame_pointer(struct unwind *u)
{
	__u64 pair[2] = {}, fp = u->fp;

	u->is_exact = 0;
	if (!u->fp)
		return USER_STACK_ROOT;
	if (u->fp - u->sp >= MOST_STACK_BYTES)
		return USER_STACK_LOST;
	if (read_user(pair, sizeof(pair), (const void *)u->fp))
		return USER_STACK_FAULT;
	u->sp = u->fp + sizeof(pair);
	u->fp = pair[0];
	u->ip = pair[1];
	if (READ_BACK(u->rule) && READ_USER(u->sp, fp + RULE_CFA_OFFSET(READ_BACK(u->rule))))
		return USER_STACK_FAULT;
	return USER_STACK_GOES_ON;
}

/* Goes on to the caller on another stack: a chain from the thread pointer on leads to where its pointer is saved. */
static __always_inline int step_by_links(struct unwind *u, __u32 rule, __u64 thread_pointer)
{
	__u64 at = thread_pointer - RULE_LINK(rule, 0);

#pragma unroll
	for (int i = 1; i < LINKS; i++) {
		if (READ_USER(at, at))
			return USER_STACK_FAULT;
		if (!at)
			return USER_STACK_ROOT;
		at += RULE_LINK(rule, i);
	}
	u->is_exact = 0;
	if (READ_USER(u->sp, at))
		return USER_STACK_FAULT;
	at += sizeof(__u64);
	if (RULE_IS_CALLED(rule)) {
		at = u->sp;
		u->sp += sizeof(__u64);
	}
	return READ_USER(u->ip, at) ? USER_STACK_FAULT : USER_STACK_GOES_ON;
}

/* Goes on to the caller where a register holds the return address: of other functions than the first it is lost. */
static __always_inline int step_by_argument(struct scratch *s, __u64 cfa)
{
	struct unwind *u = &s->unwind;

	if (READ_BACK(s->head.user_frames) != 1)
		return USER_STACK_LOST;
	u->is_exact = 0;
	u->sp = cfa;
	u->ip = s->registers[REGISTER_ARGUMENT];
	return USER_STACK_GOES_ON;
}

/* Goes on to the caller by `rule`. */
static __always_inline int step_by_rule(struct scratch *s, __u32 rule)
{
	struct unwind *u = &s->unwind;
	__u64 kind = RULE_CFA(rule), cfa = u->sp, fp_at;

	if (kind == CFA_ELSEWHERE)
		return RULE_LINKS(rule) ? step_by_links(u, rule, s->head.thread_pointer) : USER_STACK_ROOT;
	if (kind == CFA_SIGNAL)
		return leave_signal(u) ? USER_STACK_GOES_ON : USER_STACK_FAULT;
	if (kind == CFA_UNKNOWN) {
		/* Registers are known of the interrupted function alone. */
		if (!RULE_REGISTER(rule) || READ_BACK(s->head.user_frames) != 1)
			return USER_STACK_LOST;
		cfa = s->registers[(RULE_REGISTER(rule) - 1) & 15] + RULE_REGISTER_OFFSET(rule);
	} else {
		if (kind == CFA_FRAME_POINTER || kind == CFA_AT_FRAME_POINTER)
			cfa = u->fp;
		cfa += RULE_CFA_OFFSET(rule);
	}
	if (kind == CFA_PLT && (u->ip & 15) >= PLT_PUSHED)
		cfa += sizeof(__u64);
	if ((kind == CFA_AT_FRAME_POINTER || kind == CFA_ABOVE_STACK_POINTER) && READ_USER(cfa, cfa))
		return USER_STACK_FAULT;
	if (kind == CFA_ABOVE_STACK_POINTER)
		cfa += sizeof(__u64);
	if (RULE_RETURNS_TO_ARGUMENT(rule))
		return step_by_argument(s, cfa);
	/* A stack that leads to itself. But OCaml's caml_c_call takes its own return address off the stack, as a leaf. */
	if (cfa < u->sp + (READ_BACK(s->head.user_frames) > 1) && RULE_FP(rule) != FP_AT_CFA_ELSEWHERE)
		return USER_STACK_LOST;
	fp_at = RULE_FP(rule) == FP_AT_FRAME_POINTER ? u->fp : cfa;
	fp_at += RULE_FP_OFFSET(rule);
	u->is_exact = 0;
	u->sp = cfa;
	if (READ_USER(u->ip, cfa - sizeof(__u64)))
		return USER_STACK_FAULT;
	if (RULE_FP(rule) != FP_IN_REGISTER && READ_USER(u->fp, fp_at))
		return USER_STACK_FAULT;
	return USER_STACK_GOES_ON;
}

/*
 * Takes the frame at hand, and goes on to its caller. Its parts tell each other what they found through the scratch:
 * so the verifier, which knows nothing about that, follows the next part once and not for each way to it.
 */
static __always_inline int unwind_step(struct scratch *s)
{
	struct unwind *u = &s->unwind;
	__u64 count, at, offset;

	if (!READ_BACK(u->ip))
		return USER_STACK_ROOT;
	if (READ_BACK(s->head.user_frames) >= MAX_USER_FRAMES)
		return USER_STACK_DEEP;
	/* A return address may be the first byte of the next function. */
	u->address = u->ip - !u->is_exact;
	u->is_code = find_code(s, READ_BACK(u->address));
	if (!READ_BACK(u->is_code) && READ_BACK(s->head.user_frames))
		return USER_STACK_LOST;
	count = READ_BACK(s->head.user_frames);
	at = READ_BACK(u->used);
	SHOW_BOUNDS(at);
	if (at > RECORD_BYTES - sizeof(__u64))
		return USER_STACK_DEEP;
	*(__u64 *)(s->body + at) = u->address + (-count >> 63);
	u->used = at + sizeof(__u64);
	s->head.user_frames = count + 1;
	if (READ_BACK(s->code.lacks_table))
		s->head.lacks_table = 1;
	u->rule = CFA_UNKNOWN;
	offset = READ_BACK(u->address) - s->code.start + s->code.offset;
	if (READ_BACK(s->code.chunks))
		u->rule = find_rule(s, offset);
	if (READ_BACK(u->rule) == RULE_AWAITED)
		s->head.lacks_table = 1;
	if (READ_BACK(s->head.lacks_table))
		note_stop(s);
	if (READ_BACK(s->head.user_frames) == 1 && is_of_one_function(READ_BACK(u->rule)))
		u->beyond = offset - READ_BACK(u->function);
	if (READ_BACK(u->rule) && !RULE_KEEPS_SP(READ_BACK(u->rule)))
		return step_by_rule(s, READ_BACK(u->rule));
	return step_by_frame_pointer(u);
}

/* Ends the record behind the user stack: with the kernel's, if that was interrupted. Counts and sends it. */
static __always_inline int finish_record(struct bpf_perf_event_data *ctx, struct scratch *s)
{
	__u64 used = READ_BACK(s->unwind.used);
	long size = 0;

	SHOW_BOUNDS(used);
	if (used > RECORD_BYTES - KERNEL_BYTES)
		return 0;
	if (!in_user_mode((const volatile __u64 *)ctx))
		size = bpf_get_stack(ctx, s->body + used, KERNEL_BYTES, 0);
	SHOW_BOUNDS(size);
	if (size < 0 || size > KERNEL_BYTES)
		size = 0;
	s->head.kernel_frames = size / sizeof(__u64);
	used += size;
	if (READ_BACK(s->stop.frames) && READ_BACK(s->walk.runs) < MOST_RUNS - 1)
		stages.call(ctx, STAGE_COPY);
	stages.call(ctx, STAGE_COUNT);
	SHOW_BOUNDS(used);
	if (used <= RECORD_BYTES)
		send_whole(s, used);
	return 0;
}

/* Takes a step. Returns whether the stack has ended. */
EACH int each_unwind(void *data)
{
	struct scratch *s = WALK_AGAIN(data);

	if (!s)
		return 1;
	s->head.user_end = unwind_step(s);
	return READ_BACK(s->head.user_end) != USER_STACK_GOES_ON;
}

int on_unwind(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();

	if (!s)
		return 0;
	CALL_AGAIN(each_unwind, UNWIND_STEPS_PER_RUN, s);
	if (READ_BACK(s->head.user_end) == USER_STACK_GOES_ON) {
		s->walk.runs += 1;
		if (READ_BACK(s->walk.runs) < MOST_RUNS)
			stages.call(ctx, STAGE_UNWIND);
		s->head.user_end = USER_STACK_DEEP;
	}
	return finish_record(ctx, s);
}

#endif
