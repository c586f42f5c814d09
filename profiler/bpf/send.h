/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Records on their way to user space, and when it is woken for them.
 */
#ifndef PIDFLAME_SEND_H
#define PIDFLAME_SEND_H

#include "first_sight.h"
#include "walk.h"

/* To wake user space makes a debt, of which each other sample pays 1 off. */
#define MOST_DEBT 64
#define DEBT_OF_WAKING 4

/*
 * Whether user space sleeps until there is as much as with a record of `bytes`; from now on it is awake. CPUs that count
 * at the same time may count too little: it wants to be woken long before there is no room.
 */
static __always_inline bool takes_alarm(__u64 bytes)
{
	__u32 zero = 0, *wanted = sleeps.lookup(&zero);
	__u64 left = wanted ? READ_BACK(*wanted) : 0;

	if (!left)
		return false;
	*wanted = left > bytes ? left - bytes : 0;
	return left <= bytes;
}

/*
 * Whether to wake user space for the sample: it does where user space has to read something new, because the memory
 * can be gone in a moment (where threads are to be named, a new one's name, too). All others wait for the next regular
 * look. If every sample woke the profiler, it would be scheduled in step with its own samples, and so would whatever
 * runs next: one busy process among four on two CPUs then showed 10 % too many samples. So there is a budget: a burst
 * when a program begins, and one sample in five for good. The first sample after a while without any wakes user space
 * in any case, since it does not look meanwhile, and so does the one (of `bytes`) that fills a part of the ring
 * buffer, together with the names that were sent before it.
 */
static __always_inline __u64 wake_flags(struct scratch *s, __u64 bytes)
{
	bool is_to_be_read = READ_BACK(s->sight.wakes) || READ_BACK(s->sight.told) < READ_BACK(s->sight.fresh);
	struct seen_key thread = {.address = (__u64)THREAD_KIND << KIND_SHIFT | s->head.tid};
	bool is_new = is_new_thread(s, &thread);
	__u32 zero = 0, *debt = debts.lookup(&zero);

	if (takes_alarm(bytes + READ_BACK(s->sight.name_bytes)))
		return BPF_RB_FORCE_WAKEUP;
	if (!debt)
		return BPF_RB_NO_WAKEUP;
	if ((is_to_be_read || is_new) && *debt <= MOST_DEBT - DEBT_OF_WAKING) {
		*debt += DEBT_OF_WAKING;
		if (is_new)
			see(s, &thread);
		return BPF_RB_FORCE_WAKEUP;
	}
	*debt -= *debt > 0;
	return BPF_RB_NO_WAKEUP;
}

/* How many bytes of frames the record has, native ones included. */
static __always_inline __u64 used_bytes(const struct scratch *s)
{
	__u64 used = READ_BACK(s->head.interpreter_frames) * sizeof(struct interpreter_frame);

	used += sizeof(__u64) * (s->head.user_frames + s->head.kernel_frames);
	SHOW_BOUNDS(used);
	return used;
}

/* Sends the record with `used` bytes of frames. Returns whether there was room for it. */
static __always_inline bool send_whole(struct scratch *s, __u64 used)
{
	if (!records.ringbuf_output(s, sizeof(s->head) + used, wake_flags(s, sizeof(s->head) + used)))
		return true;
	count_lost(LOST_SAMPLE);
	return false;
}

#endif
