/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which ticks of the clock are samples.
 */
#ifndef PIDFLAME_INSTANTS_H
#define PIDFLAME_INSTANTS_H

#include "maps.h"

/* When to sample on this CPU (CLOCK_MONOTONIC): each slot has its own instant, drawn at random. */
struct instant {
	__u64 slot_ns;	/* when the slot began */
	__u64 due_ns;	/* the instant in it */
	__u64 tick_ns;	/* when the clock ticked last */
	__u64 period_ns;	/* of the clock then */
};

BPF_PERCPU_ARRAY(instants, struct instant, 1);
/* By CPU, from one tick of its clock to the next (ns). The event itself keeps telling the period that it began with. */
BPF_ARRAY(periods, __u64, 1);

static __always_inline void draw(struct instant *next, __u64 slot_ns, __u64 length_ns)
{
	next->slot_ns = slot_ns;
	next->due_ns = slot_ns + (((__u64)bpf_get_prandom_u32() * length_ns) >> 32);
}

/*
 * Whether this tick of the clock is to be a sample: the first one after an instant that is drawn at random, one for each
 * slot, so that a program that does something in step with any clock shows as often as it runs. Some kernels run no
 * program at the ticks of an idle CPU, and the instants before these have passed. The first tick after them is a sample
 * as likely as an instant falls into one period, and a slot begins with it.
 */
static __always_inline bool is_due(void)
{
	__u32 only = 0, cpu = bpf_get_smp_processor_id();
	const struct settings *set = settings.lookup(&only);
	struct instant *next = instants.lookup(&only);
	const __u64 *period = periods.lookup(&cpu);
	__u64 now_ns = bpf_ktime_get_ns(), length_ns, gap_ns, longest_ns;

	if (!set || !next)
		return false;
	length_ns = set->slot_ns;
	if (!length_ns)
		return true;
	if (!period)
		return false;
	/* A clock that is given another period begins anew. */
	longest_ns = *period + (*period == next->period_ns ? *period / 2 : next->period_ns);
	gap_ns = now_ns - next->tick_ns;
	next->tick_ns = now_ns;
	next->period_ns = *period;
	if (gap_ns > longest_ns) {
		draw(next, now_ns, length_ns);
		return ((__u64)bpf_get_prandom_u32() * length_ns) >> 32 < *period;
	}
	if (now_ns < next->due_ns)
		return false;
	draw(next, next->slot_ns + length_ns, length_ns);
	return true;
}

#endif
