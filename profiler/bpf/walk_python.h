/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Walks the interrupted thread's own CPython frames, leaf first.
 *
 * Reads: _PyRuntime's list of interpreters, their lists of thread states until one has the thread's
 * fs base as its thread_id (so no GIL holder is mistaken for it), then frame by frame one window of
 * the frame and one of its code object. Writes scratch.frames. Reads at most 2 * MAX_THREADS
 * + 2 * MAX_INTERPRETER_FRAMES times; every loop is bounded whatever the target's pointers say.
 */
#ifndef PIDFLAME_WALK_PYTHON_H
#define PIDFLAME_WALK_PYTHON_H

#include "maps.h"

#define MAX_THREADS 512
#define PYTHON_FRAMES_PER_RUN 64	/* little for the verifier to follow: it counts in the start-up time */
#define FRAME_WINDOW 80
#define FRAME_WINDOW_MASK 63

/* Finds the thread state whose thread_id is `fsbase`; 0 when this thread has none. */
static __always_inline int find_python_thread(const struct python_layout *layout, __u64 root,
					      __u64 fsbase, __u64 *found)
{
	__u64 interpreter = 0, thread = 0, thread_id = 0;

	*found = 0;
	if (READ_USER(interpreter, root + layout->runtime_interpreters_head))
		return WALK_FAULT;
	if (!interpreter)
		return WALK_COMPLETE;
	if (READ_USER(thread, interpreter + layout->interpreter_threads_head))
		return WALK_FAULT;
	for (int i = 0; i < MAX_THREADS; i++) {
		if (!thread) {
			if (READ_USER(interpreter, interpreter + layout->interpreter_next))
				return WALK_FAULT;
			if (!interpreter)
				return WALK_COMPLETE;
			if (READ_USER(thread, interpreter + layout->interpreter_threads_head))
				return WALK_FAULT;
			continue;
		}
		if (READ_USER(thread_id, thread + layout->thread_thread_id))
			return WALK_FAULT;
		if (thread_id == fsbase) {
			*found = thread;
			return WALK_COMPLETE;
		}
		if (READ_USER(thread, thread + layout->thread_next))
			return WALK_FAULT;
	}
	return WALK_TORN;
}

/* Finds the interrupted thread's top frame; walk->frame stays 0 for a thread that is not Python's. */
static __always_inline int find_python_frames(struct python_walk *walk, const struct python_layout *layout)
{
	__u64 thread, cframe = 0;
	int status = find_python_thread(layout, walk->root, walk->fsbase, &thread);

	if (status != WALK_COMPLETE || !thread)
		return status;
	if (READ_USER(cframe, thread + layout->thread_cframe))
		return WALK_FAULT;
	if (READ_USER(walk->frame, cframe + layout->cframe_current_frame))
		return WALK_FAULT;
	return WALK_COMPLETE;
}

/*
 * Does one run of a walk: s->frames from walk->count on. WALK_TRUNCATED says that frames are left, for
 * another run while walk->count is below MAX_INTERPRETER_FRAMES.
 */
static __always_inline int walk_python(struct scratch *s, struct python_walk *walk,
				       const struct python_layout *layout)
{
	const __u8 *window = (const __u8 *)s->window;
	__u32 words = layout->code_checksum_words;
	int status = WALK_COMPLETE;
	__u64 code, instr, slot;

	if (!walk->begun) {
		walk->begun = 1;
		status = find_python_frames(walk, layout);
	}
	if (status != WALK_COMPLETE)
		return status;
	if (words > CHECKSUM_WORDS)
		return WALK_TORN;
	__builtin_memset(s->checked, 0, sizeof(s->checked));
	for (int i = 0; i < PYTHON_FRAMES_PER_RUN; i++) {
		if (!walk->frame)
			return WALK_COMPLETE;
		slot = walk->count;
		SHOW_BOUNDS(slot);
		if (slot >= MAX_INTERPRETER_FRAMES)
			return WALK_TRUNCATED;
		if (read_user(s->window, FRAME_WINDOW, (const void *)walk->frame))
			return WALK_FAULT;
		code = *(__u64 *)(window + (layout->frame_code & FRAME_WINDOW_MASK));
		instr = *(__u64 *)(window + (layout->frame_instr & FRAME_WINDOW_MASK));
		walk->frame = *(__u64 *)(window + (layout->frame_previous & FRAME_WINDOW_MASK));
		if (!code)
			return WALK_TORN;
		if (read_user(s->checked, words * 8, (const void *)(code + layout->code_checksum)))
			return WALK_FAULT;
		s->frames[slot].address = ((__u64)PYTHON_CODE << 56) | (code & ((1ULL << 56) - 1));
		s->frames[slot].position = instr - code - layout->code_first_instr;
		s->frames[slot].checksum = checksum_words(s->checked);
		s->frames[slot].owner = 0;
		walk->count = slot + 1;
	}
	return walk->frame ? WALK_TRUNCATED : WALK_COMPLETE;
}

#endif
