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

static __always_inline int walk_python(struct scratch *s, const struct python_layout *layout,
				       __u64 root, __u64 fsbase, __u32 *count)
{
	__u64 thread, cframe = 0, frame = 0;
	int status = find_python_thread(layout, root, fsbase, &thread);

	if (status != WALK_COMPLETE || !thread)
		return status;
	if (READ_USER(cframe, thread + layout->thread_cframe))
		return WALK_FAULT;
	if (READ_USER(frame, cframe + layout->cframe_current_frame))
		return WALK_FAULT;

	__u32 words = layout->code_checksum_words;
	__u8 *window = (__u8 *)s->window;

	if (words > CHECKSUM_WORDS)
		return WALK_TORN;
	__builtin_memset(s->checked, 0, sizeof(s->checked));
	for (int i = 0; i < MAX_INTERPRETER_FRAMES; i++) {
		__u32 slot = *count;
		__u64 code, instr;

		if (!frame)
			return WALK_COMPLETE;
		if (slot >= MAX_INTERPRETER_FRAMES)
			return WALK_TRUNCATED;
		if (read_user(s->window, FRAME_WINDOW, (const void *)frame))
			return WALK_FAULT;
		code = *(__u64 *)(window + (layout->frame_code & FRAME_WINDOW_MASK));
		instr = *(__u64 *)(window + (layout->frame_instr & FRAME_WINDOW_MASK));
		frame = *(__u64 *)(window + (layout->frame_previous & FRAME_WINDOW_MASK));
		if (!code)
			return WALK_TORN;
		if (read_user(s->checked, words * 8,
					(const void *)(code + layout->code_checksum)))
			return WALK_FAULT;
		s->frames[slot].address = ((__u64)PYTHON_CODE << 56) | (code & ((1ULL << 56) - 1));
		s->frames[slot].position = instr - code - layout->code_first_instr;
		s->frames[slot].checksum = checksum_words(s->checked);
		s->frames[slot].owner = 0;
		*count = slot + 1;
	}
	return frame ? WALK_TRUNCATED : WALK_COMPLETE;
}

#endif
