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
	__u64 tick_ns;	/* when the clock was to tick last */
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
 * When this tick was to be. Ticks come late, most of all on an idle CPU, which has to wake up first: by the times at
 * which they come, the one after a late one would stand for less time than it does.
 */
static __always_inline __u64 due_tick_ns(__u64 last_ns, __u64 period_ns, __u64 now_ns)
{
	__u64 tick_ns;

	if (!last_ns || !period_ns)
		return now_ns;
	tick_ns = last_ns + (now_ns - last_ns + period_ns / 2) / period_ns * period_ns;
	return tick_ns < now_ns ? tick_ns : now_ns;
}

/*
 * Whether this tick of the clock is to be a sample: the first one after an instant that is drawn at random, one for each
 * slot, so that a program that does something in step with any clock shows as often as it runs. Ticks of an idle CPU
 * count as well. Some kernels run no program at these: an instant before a tick that nobody saw has passed.
 */
static __always_inline bool is_due(struct bpf_perf_event_data *ctx)
{
	__u32 only = 0, cpu = bpf_get_smp_processor_id();
	const struct settings *set = settings.lookup(&only);
	struct instant *next = instants.lookup(&only);
	const __u64 *period = periods.lookup(&cpu);
	__u64 now_ns, length_ns, period_ns;
	bool is_missed;

	(void)ctx;
	if (!set || !next)
		return false;
	length_ns = set->slot_ns;
	if (!length_ns)
		return true;
	if (!period)
		return false;
	period_ns = *period;
	now_ns = due_tick_ns(next->tick_ns, period_ns, bpf_ktime_get_ns());
	is_missed = now_ns - next->tick_ns > period_ns + period_ns / 2;
	next->tick_ns = now_ns;
	if (now_ns < next->due_ns)
		return false;
	if (is_missed && now_ns - next->due_ns > period_ns) {
		__u64 slots = (now_ns - next->slot_ns) / length_ns;

		draw(next, next->slot_ns + (slots ? slots : 1) * length_ns, length_ns);
		if (now_ns < next->due_ns)
			return false;
		if (now_ns - next->due_ns > period_ns) {
			draw(next, next->slot_ns + length_ns, length_ns);
			return false;
		}
	}
	draw(next, next->slot_ns + length_ns, length_ns);
	return true;
}

#endif
