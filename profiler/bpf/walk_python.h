/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Walks the interrupted thread's own CPython frames, leaf first.
 *
 * Reads the interpreters' lists of thread states until one has the thread pointer as its thread_id (so no
 * GIL holder is mistaken for it) and runs something (a thread has a state in every interpreter that it was
 * in, the newest first). Then it reads, for each frame, one window of the frame and one of its code object.
 * It leaves out frames that run no Python code. It writes scratch.frames:
 *
 *   code    {PYTHON_CODE: code object, position, checksum of its immutable part, 0}
 *   task    {PYTHON_TASK: what asyncio runs on the thread, 0, 0, its identity}; after the last frame, if any
 *
 * Every loop is bounded whatever the target's pointers say. A deep stack takes several runs: next_walk() begins
 * another one while walk_python() says WALK_TRUNCATED. What differs between versions is in the layout.
 */
#ifndef PIDFLAME_WALK_PYTHON_H
#define PIDFLAME_WALK_PYTHON_H

#include "maps.h"
#include "python_layout.h"

/* The verifier follows these in little time. 24 runs, the most that there are, pass all frames, many threads. */
#define PYTHON_THREADS_PER_RUN 96
#define PYTHON_STEPS_PER_RUN 64

/* From 3.14 on a reference to an object has tags in its lowest bits; before, these are 0. */
#define REFERENCE_TAGS 7ULL

#define IN_FRAME(type, offset) AT(type, s->window, in_window + (offset), WINDOW_BYTES - 1)
#define IN_CODE(type, offset) \
	AT(type, s->checked, (offset) - layout->code_checksum, sizeof(s->checked) - sizeof(type))

/* Finds the frame that `thread` runs; 0 if it runs none. Returns nonzero when a page is not resident. */
static __always_inline int read_python_frame(const struct python_layout *layout, __u64 thread, __u64 *frame)
{
	if (READ_USER(*frame, thread + layout->thread_frame))
		return WALK_FAULT;
	if (layout->cframe_frame == PYTHON_ABSENT || !*frame)
		return WALK_COMPLETE;
	return READ_USER(*frame, *frame + layout->cframe_frame) ? WALK_FAULT : WALK_COMPLETE;
}

/*
 * Looks through some threads for the frame that the interrupted one runs: walk->frame, which stays 0 when it
 * runs no Python. WALK_TRUNCATED says that threads are left, for another run.
 */
static __always_inline int find_python_frame(struct scratch *s, struct python_walk *walk,
					     const struct python_layout *layout)
{
	__u64 thread_id = 0;

	if (!walk->interpreter)	/* so that the next one is the first */
		walk->interpreter = s->walk.root + layout->runtime_interpreters_head - layout->interpreter_next;
	ROUNDS(s, look, PYTHON_THREADS_PER_RUN) {
		if (!walk->thread) {
			if (READ_USER(walk->interpreter, walk->interpreter + layout->interpreter_next))
				return WALK_FAULT;
			if (!walk->interpreter)
				return WALK_COMPLETE;
			if (READ_USER(walk->thread, walk->interpreter + layout->interpreter_threads_head))
				return WALK_FAULT;
			continue;
		}
		if (READ_USER(thread_id, walk->thread + layout->thread_thread_id))
			return WALK_FAULT;
		if (thread_id == s->walk.thread_pointer) {
			if (read_python_frame(layout, walk->thread, &walk->frame))
				return WALK_FAULT;
			if (walk->frame)
				return WALK_COMPLETE;
		}
		if (READ_USER(walk->thread, walk->thread + layout->thread_next))
			return WALK_FAULT;
	}
	return WALK_TRUNCATED;
}

/*
 * Whether s->checked is the code object that nobody wrote: from 3.12 on, a call of a class puts a frame of it
 * under __init__. Its name and its file are one string, "__init__", and it has no line.
 */
static __always_inline bool is_init_cleanup(const struct scratch *s, const struct python_layout *layout)
{
	return layout->frame_first_shim_owner != PYTHON_ABSENT &&
	       !IN_CODE(__u32, layout->code_first_line) &&
	       IN_CODE(__u64, layout->code_filename) == IN_CODE(__u64, layout->code_name);
}

/*
 * Loads the frame at walk->frame into s->window; *in_window says where it is there. From 3.11 on, frames lie
 * in one stack: the callers' come with it, as far as they are on the same page. At the start of a page the
 * window goes on behind the frame: it is full in any case, and holds nothing of what was read before.
 */
static __always_inline int read_python_window(struct scratch *s, struct python_walk *walk,
					      const struct python_layout *layout, __u64 *in_window)
{
	__u64 page = walk->frame & ~(PAGE_SIZE - 1ULL), end = walk->frame + layout->frame_window;

	if (!walk->window || walk->frame < walk->window || end > walk->window + WINDOW_BYTES) {
		walk->window = end - WINDOW_BYTES > page ? end - WINDOW_BYTES : page;
		if (read_user(s->window, WINDOW_BYTES, (const void *)walk->window))
			return WALK_FAULT;
	}
	*in_window = walk->frame - READ_BACK(walk->window);
	return WALK_COMPLETE;
}

/* Bytes from the first instruction of `code` to the one that runs in the frame at `in_window`. */
static __always_inline __u32 python_position(const struct scratch *s, const struct python_layout *layout,
					     __u64 in_window, __u64 code)
{
	if (layout->frame_instr == PYTHON_ABSENT)
		return IN_FRAME(__u32, layout->frame_lasti) * layout->frame_lasti_unit;
	return IN_FRAME(__u64, layout->frame_instr) - code - layout->code_first_instr;
}

/*
 * Whether C code called the evaluation loop for the frame at `in_window`. Up to 3.10 it did so for each frame; 3.11
 * says it in the frame; from 3.12 on there is a frame for the call itself, see note_python_entry().
 */
static __always_inline bool python_enters(const struct scratch *s, const struct python_layout *layout,
					  __u64 in_window)
{
	if (layout->frame_entry == PYTHON_ABSENT)
		return layout->frame_owner == PYTHON_ABSENT;
	return IN_FRAME(__u8, layout->frame_entry);
}

/* A frame that stands for a call out of C code has been met: the one before it was entered by that call. */
static __always_inline void note_python_entry(struct scratch *s)
{
	__u64 slot = READ_BACK(s->walk.count) - 1;

	SHOW_BOUNDS(slot);
	if (slot < MAX_INTERPRETER_FRAMES && frame_at(s, slot)->address >> KIND_SHIFT == PYTHON_CODE)
		frame_at(s, slot)->position |= FRAME_ENTERED;
}

/*
 * Captures the frame at `in_window`, if it runs code that somebody wrote. WALK_TRUNCATED says that
 * there is no room.
 */
static __always_inline int capture_python_frame(struct scratch *s, struct python_walk *walk,
						const struct python_layout *layout, __u64 in_window)
{
	__u64 code = IN_FRAME(__u64, layout->frame_code) & ~REFERENCE_TAGS, address;
	__u32 words = layout->code_checksum_words, slot;
	struct interpreter_frame *frame;

	if (!code || words > CHECKSUM_WORDS)
		return WALK_TORN;
	slot = s->walk.count;
	if (slot >= MAX_INTERPRETER_FRAMES)
		return WALK_TRUNCATED;
	address = ((__u64)PYTHON_CODE << KIND_SHIFT) | (code & ADDRESS_MASK);
	if (address != walk->checked) {	/* else it calls itself */
		if (read_user(s->checked, words * 8, (const void *)(code + layout->code_checksum)))
			return WALK_FAULT;
		if (is_init_cleanup(s, layout)) {
			walk->checked = 0;
			return WALK_COMPLETE;
		}
		walk->checked = address;
		walk->checksum = checksum_words(s->checked);
		mix_code(s, address, walk->checksum);
	}
	frame = frame_at(s, slot);
	frame->address = address;
	frame->position = python_position(s, layout, in_window, code) & ~FRAME_ENTERED;
	if (python_enters(s, layout, in_window))
		frame->position |= FRAME_ENTERED;
	frame->checksum = walk->checksum;
	frame->owner = 0;
	s->walk.count = slot + 1;
	return WALK_COMPLETE;
}

/* Does one run of a walk: s->frames from s->walk.count on. WALK_TRUNCATED says that frames are left. */
static __always_inline int walk_python(struct scratch *s, struct python_walk *walk,
				       const struct python_layout *layout)
{
	int status = WALK_COMPLETE;
	__u64 in_window;

	if (!walk->frame)
		status = find_python_frame(s, walk, layout);
	if (status != WALK_COMPLETE || !walk->frame)
		return status;
	__builtin_memset(s->checked, 0, sizeof(s->checked));
	ROUNDS(s, step, PYTHON_STEPS_PER_RUN) {
		status = read_python_window(s, walk, layout, &in_window);
		if (status != WALK_COMPLETE)
			return status;
		walk->frame = IN_FRAME(__u64, layout->frame_previous);
		if (IN_FRAME(__u8, layout->frame_owner) < layout->frame_first_shim_owner) {
			status = capture_python_frame(s, walk, layout, in_window);
			if (status != WALK_COMPLETE)
				return status;
		} else {
			note_python_entry(s);
		}
		if (!walk->frame)
			return WALK_COMPLETE;
	}
	return WALK_TRUNCATED;
}

/*
 * Annotates the task that asyncio runs on the walked thread. Its name, mostly a number of its own, tells it
 * from the next task, which is often put in the same place. Mirrored by symbolizers/python/tasks.py.
 */
static __always_inline void annotate_task(struct scratch *s, const struct python_walk *walk,
					  const struct python_layout *layout)
{
	__u64 task = 0, name = 0, value = 0;

	if (!walk->thread || layout->thread_running_task == PYTHON_ABSENT)
		return;
	if (READ_USER(task, walk->thread + layout->thread_running_task) || !task)
		return;
	if (READ_USER(name, task + layout->task_name) || READ_USER(value, name + layout->task_name_value))
		return;
	annotate(s, PYTHON_TASK, task, name + value * CHECKSUM_MULTIPLIER);
}

int on_python(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	const struct python_layout *layout;
	struct python_walk *walk;

	if (!s)
		return 0;
	layout = layout_at_hand(s);
	if (!layout)
		return 0;
	walk = WALK_STATE(s, struct python_walk);
	s->head.walk_status = walk_python(s, walk, layout);
	if (READ_BACK(s->head.walk_status) == WALK_COMPLETE)
		annotate_task(s, walk, layout);
	return next_walk(ctx, s, READ_BACK(s->head.walk_status));
}

#endif
