/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A copy of the user stack where the unwinder lacks a table: user space makes that meanwhile, and goes on from here.
 *
 * Up to 28 kB a sample, by reads that can't sleep. There is an allowance of so many a second on each CPU, as a file may
 * never get a table.
 */
#ifndef PIDFLAME_COPY_H
#define PIDFLAME_COPY_H

#include "arch_x86_64.h"

#define COPY_EACH_NS 31250000ULL	/* 32 a second for good, … */
#define COPY_BURST_NS (1024 * COPY_EACH_NS)	/* … and so many in one go */

/* Notes the frame at hand, if it is the first of its kind. */
static __always_inline void note_stop(struct scratch *s)
{
	if (READ_BACK(s->stop.frames))
		return;
	s->stop.ip = s->unwind.ip;
	s->stop.sp = s->unwind.sp;
	s->stop.fp = s->unwind.fp;
	s->stop.is_exact = s->unwind.is_exact;
	s->stop.frames = s->head.user_frames;
}

/* Whether the allowance of this CPU has one more. */
static __always_inline bool may_copy(struct stack_copy *copy, __u64 now_ns)
{
	__u64 due_ns = copy->due_ns;

	if (due_ns > now_ns)
		return false;
	if (now_ns - due_ns > COPY_BURST_NS)
		due_ns = now_ns - COPY_BURST_NS;
	copy->due_ns = due_ns + COPY_EACH_NS;
	return true;
}

/* Copies the stack from `sp` on, page by page: s->stop.bytes. */
static __always_inline void copy_stack(struct scratch *s, struct stack_copy *copy, __u64 sp)
{
	__u64 used = COPY_PAGE_BYTES - (sp & (COPY_PAGE_BYTES - 1));

	s->stop.bytes = 0;
	SHOW_BOUNDS(used);
	if (used > COPY_PAGE_BYTES || read_user(copy->bytes, used, (const void *)sp))
		return;
	s->stop.bytes = used;
	for (int page = 0; page < COPY_PAGES; page++) {
		used = READ_BACK(s->stop.bytes);
		SHOW_BOUNDS(used);
		if (used > COPY_BYTES - COPY_PAGE_BYTES)
			return;
		if (read_user(copy->bytes + used, COPY_PAGE_BYTES, (const void *)(sp + used)))
			return;
		s->stop.bytes = used + COPY_PAGE_BYTES;
	}
}

/* Sends a copy of the stack for the sample that follows: s->stop.is_copied. */
static __always_inline void send_copy(struct scratch *s)
{
	__u32 only = 0;
	struct stack_copy *copy = (struct stack_copy *)copies.lookup(&only);
	__u64 used;

	if (!copy || !may_copy(copy, s->head.time_ns))
		return;
	copy_stack(s, copy, s->stop.sp);
	copy->head.type = RECORD_COPY;
	copy->head.cpu = s->head.cpu;
	copy->head.time_ns = s->head.time_ns;
	copy->head.ip = s->stop.ip;
	copy->head.sp = s->stop.sp;
	copy->head.fp = s->stop.fp;
	copy->head.argument = s->registers[REGISTER_ARGUMENT];
	copy->head.is_exact = s->stop.is_exact;
	copy->head.user_frames = s->stop.frames;
	used = READ_BACK(s->stop.bytes);
	if (!used)
		return;
	SHOW_BOUNDS(used);
	if (used > COPY_BYTES)
		return;
	used += sizeof(copy->head);
	if (!records.ringbuf_output(copy, used, takes_alarm(used) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP))
		s->stop.is_copied = 1;
}

/* Goes on with a sample that on_unwind() has completed, by what ends it. */
int on_copy(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	__u64 used;

	if (!s)
		return 0;
	send_copy(s);
	stages.call(ctx, STAGE_COUNT);
	used = used_bytes(s);
	if (used <= RECORD_BYTES)
		send_whole(s, used);
	return 0;
}

#endif
