/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The walks of one sample: a program for each language captures the frames of its interpreter (walk_X.h). Such a program
 * begins with walk_at_hand() and layout_at_hand(), does as much of the walk as the verifier can follow, and ends with
 * next_walk().
 *
 * No read of user memory can sleep. As a rule there are two a frame, or one where functions call themselves. At worst a
 * sample takes some 10,000 of them: 24 runs of 400 at most, in memory that was made for it (tests/walkers holds the
 * walkers to this).
 */
#ifndef PIDFLAME_WALK_H
#define PIDFLAME_WALK_H

#include "maps.h"

/* What is `offset` bytes behind `base`, for the verifier never more than `mask`. */
#define AT(type, base, offset, mask) (*(type *)((__u8 *)(base) + ((offset) & (mask))))

/* The sample that a program goes on with: s->walk, and s->frames from s->walk.count on. */
static __always_inline struct scratch *walk_at_hand(void)
{
	__u32 zero = 0;

	return (struct scratch *)scratches.lookup(&zero);
}

static __always_inline void count_lost(__u32 what)
{
	__u64 *slot = lost.lookup(&what);

	if (slot)
		*slot += 1;
}

/* Runs the walker, by a tail call. Returns where it can't run, or ran too often: frames are missing then. */
static __always_inline void run_walker(struct bpf_perf_event_data *ctx, struct scratch *s)
{
	__u32 runs = READ_BACK(s->walk.runs);

	if (runs < MOST_RUNS - 1) {
		s->walk.runs = runs + 1;
		stages.call(ctx, s->walk.program);
	}
	s->head.walk_status = WALK_TRUNCATED;
}

/* Enters the walker in this slot, if there is one, with a state of zeros. */
static __always_inline void begin_walk(struct bpf_perf_event_data *ctx, struct scratch *s, __u64 slot)
{
	const struct walker *walker;

	SHOW_BOUNDS(slot);
	if (slot >= MAX_WALKERS)
		return;
	walker = &s->walkers[slot];
	if (!walker->row)
		return;
	s->walk.root = walker->root;
	s->walk.thread_pointer = s->head.thread_pointer;
	s->walk.row = walker->row;
	s->walk.program = walker->program;
	s->walk.slot = slot;
	__builtin_memset(s->state, 0, sizeof(s->state));
	run_walker(ctx, s);
}

/* Ends the sample, by a tail call. */
static __always_inline int end_sample(struct bpf_perf_event_data *ctx)
{
	stages.call(ctx, STAGE_RECORD);
	count_lost(LOST_SAMPLE);
	return 0;
}

/*
 * Ends a run of a walker: goes on with the same walk while frames are left and there is room for them, else
 * with the next one, else with the rest of the record.
 */
static __always_inline int next_walk(struct bpf_perf_event_data *ctx, struct scratch *s, int status)
{
	s->head.walk_status = status;
	status = READ_BACK(s->head.walk_status);
	s->sight.ends[s->walk.slot & (MAX_WALKERS - 1)] = s->walk.count;
	if (status == WALK_TRUNCATED && s->walk.count < MAX_INTERPRETER_FRAMES)
		run_walker(ctx, s);
	else if (status == WALK_COMPLETE)
		begin_walk(ctx, s, s->walk.slot + 1);
	return end_sample(ctx);
}

/* The layout of the build that s->walk is in, for the walker to cast to its own struct. */
static __always_inline const void *layout_at_hand(const struct scratch *s)
{
	__u32 row = s->walk.row;

	return layouts.lookup(&row);
}

#endif
