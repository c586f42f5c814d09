/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Walks the interrupted thread's own Ruby control frames, leaf first.
 *
 * Reads: the VM's ractors (before 3.0 just the VM) and their threads until one has the thread's fs base
 * as its pthread id (so no GVL holder is mistaken for it), then that thread's execution context, which
 * follows fiber switches, and from it control frame by control frame: FRAMES_PER_READ of them in one read,
 * and for each its environment, its iseq and the iseq's body. A frame's method entry is what Ruby itself
 * would say it is: the first on the way from the frame's environment out to the method's own. Writes
 * scratch.frames:
 *
 *   iseq    {RUBY_ISEQ, position, checksum of the body and the owner, owner: method entry or 0}
 *   C       {RUBY_CFUNC: method entry, 0, checksum of the method entry, owner: the same}
 *
 * Ruby moves a frame's pc on before it runs an instruction, so the position is that of the last word
 * of the running instruction, which is where Ruby looks up its line. Frames without code (the dummies
 * at the bottom, blocks that are C functions) are passed over, as Ruby's own backtraces do. Every loop
 * is bounded whatever the target's pointers say. A deep stack, or many threads, take several runs: the
 * program calls itself (a tail call) while walk_ruby() says WALK_TRUNCATED.
 */
#ifndef PIDFLAME_WALK_RUBY_H
#define PIDFLAME_WALK_RUBY_H

#include "maps.h"

#define MAX_ENV_HOPS 10

/* What the verifier can follow in little time. 33 runs, the kernel's limit, pass all frames or 2,000 threads. */
#define RUBY_THREADS_PER_RUN 64
#define RUBY_FRAMES_PER_RUN 32
#define FRAMES_PER_READ 4
#define WINDOW_BYTES (WINDOW_WORDS * sizeof(__u64))

/* The same in every version so far; `derive_ruby` prints them again. */
#define FRAME_MAGIC_MASK 0x7fff0001
#define FRAME_MAGIC_CFUNC 0x55550001
#define FRAME_MAGIC_DUMMY 0x79990001
#define ENV_LOCAL 0x2
#define TYPE_MASK 0x1f
#define TYPE_IMEMO 0x1a
#define IMEMO_SHIFT 12
#define IMEMO_MASK 0xf
#define IMEMO_SVAR 2
#define IMEMO_METHOD 6

/* The start of an object: its flags, then for a method entry the words that never change. */
struct ruby_object {
	__u64 flags;
	__u64 words[RUBY_METHOD_WORDS];
};

/* An environment as its three last words; `ep` points at `flags`. */
struct ruby_env {
	__u64 method;		/* method entry, cref or svar */
	__u64 parent;		/* of a block: the outer ep, tagged in its low bits */
	__u64 flags;
};

#define READ_ENV(env, ep) READ_USER(env, (ep) - 2 * sizeof(__u64))

static __always_inline bool is_imemo(__u64 flags, __u32 type)
{
	return (flags & (IMEMO_MASK << IMEMO_SHIFT | TYPE_MASK)) == (type << IMEMO_SHIFT | TYPE_IMEMO);
}

/*
 * Finds the VM (walk->vm stays 0 before Ruby is set up) and, in versions without ractors, the first thread.
 * Nonzero when a page is not resident.
 */
static __always_inline int begin_ruby_walk(struct ruby_walk *walk, const struct ruby_layout *layout)
{
	if (READ_USER(walk->vm, walk->root))
		return WALK_FAULT;
	walk->ractor = walk->vm + layout->vm_ractors;
	if (!walk->vm || layout->vm_threads == RUBY_ABSENT)
		return WALK_COMPLETE;
	walk->threads = walk->vm + layout->vm_threads;
	return READ_USER(walk->thread, walk->threads) ? WALK_FAULT : WALK_COMPLETE;
}

/*
 * Looks through some threads, ractor by ractor, for the one whose pthread id is walk->fsbase: *found, which
 * stays 0 when this thread is none of Ruby's. WALK_TRUNCATED says that threads are left, for another run.
 */
static __always_inline int find_ruby_thread(struct ruby_walk *walk, const struct ruby_layout *layout,
					    __u64 *found)
{
	__u64 thread, native, id;

	*found = 0;
	if (!walk->vm && begin_ruby_walk(walk, layout))
		return WALK_FAULT;
	if (!walk->vm)
		return WALK_COMPLETE;
	for (int i = 0; i < RUBY_THREADS_PER_RUN; i++) {
		if (walk->thread == walk->threads) {
			if (layout->vm_ractors == RUBY_ABSENT)
				return WALK_COMPLETE;
			if (READ_USER(walk->ractor, walk->ractor))
				return WALK_FAULT;
			if (walk->ractor == walk->vm + layout->vm_ractors || !walk->ractor)
				return WALK_COMPLETE;
			walk->threads = walk->ractor - layout->ractor_node + layout->ractor_threads;
			if (READ_USER(walk->thread, walk->threads))
				return WALK_FAULT;
			continue;
		}
		thread = walk->thread - layout->thread_node;
		native = thread + layout->thread_native;
		if (layout->thread_native_is_pointer && READ_USER(native, native))
			return WALK_FAULT;
		id = 0;	/* of a thread that no native thread runs now */
		if (native && READ_USER(id, native + layout->native_id))
			return WALK_FAULT;
		if (id == walk->fsbase) {
			*found = thread;
			return WALK_COMPLETE;
		}
		if (READ_USER(walk->thread, walk->thread))
			return WALK_FAULT;
	}
	return WALK_TRUNCATED;
}

/*
 * Climbs from `env` to the method entry that it runs for: *owner, 0 where there is none (the top of a
 * file, a class body), and the words of its checksum. Nonzero when a page on the way is not resident.
 */
static __always_inline int find_ruby_owner(const struct ruby_layout *layout, struct ruby_env env,
					   __u64 *owner, __u64 words[RUBY_METHOD_WORDS])
{
	struct ruby_object object = {};

	*owner = 0;
	for (int i = 0; i < MAX_ENV_HOPS && !(env.flags & ENV_LOCAL); i++) {
		/* a block has one of its own where define_method made a method of it */
		if (env.method) {
			if (READ_USER(object, env.method))
				return WALK_FAULT;
			if (is_imemo(object.flags, IMEMO_METHOD))
				goto found;
		}
		if (READ_ENV(env, env.parent & ~3ULL))
			return WALK_FAULT;
	}
	if (!env.method)
		return 0;
	if (READ_USER(object, env.method))
		return WALK_FAULT;
	if (is_imemo(object.flags, IMEMO_SVAR)) {
		/* the special variables ($~, $_) were put in front of it */
		if (READ_USER(env.method, env.method + layout->svar_method))
			return WALK_FAULT;
		if (!env.method)
			return 0;
		if (READ_USER(object, env.method))
			return WALK_FAULT;
	}
	if (!is_imemo(object.flags, IMEMO_METHOD))
		return 0;
found:
	*owner = env.method;
	for (int word = 0; word < RUBY_METHOD_WORDS; word++)
		words[word] = object.words[word];
	return 0;
}

/* The frame at `slot`, which was checked: Linux 6.1 forgets the bound of what was on the stack meanwhile. */
static __always_inline struct interpreter_frame *frame_at(struct scratch *s, __u64 slot)
{
	SHOW_BOUNDS(slot);
	return &s->frames[slot & (MAX_INTERPRETER_FRAMES - 1)];
}

/* Writes the frame of a method that is a C function. */
static __always_inline void capture_cfunc(struct scratch *s, __u64 slot, __u64 method)
{
	struct interpreter_frame *frame = frame_at(s, slot);

	frame->address = ((__u64)RUBY_CFUNC << 56) | (method & ((1ULL << 56) - 1));
	frame->position = 0;
	__builtin_memset(s->checked, 0, RUBY_BODY_WORDS * sizeof(__u64));
	frame->checksum = checksum_words(s->checked);
	frame->owner = method;
}

/* Writes the frame of code that runs `pc`. Nonzero when a page on the way is not resident. */
static __always_inline int capture_iseq(struct scratch *s, const struct ruby_layout *layout, __u64 slot,
					__u64 iseq, __u64 pc, __u64 owner)
{
	struct interpreter_frame *frame;
	__u64 body = 0, position;

	if (READ_USER(body, iseq + layout->iseq_body))
		return WALK_FAULT;
	if (read_user(s->checked, RUBY_BODY_WORDS * sizeof(__u64), (const void *)body))
		return WALK_FAULT;
	position = pc - s->checked[layout->body_code / sizeof(__u64) & 7];
	if (position)
		position -= sizeof(__u64);
	frame = frame_at(s, slot);
	frame->address = ((__u64)RUBY_ISEQ << 56) | (iseq & ((1ULL << 56) - 1));
	frame->position = position;
	frame->checksum = checksum_words(s->checked);
	frame->owner = owner;
	return 0;
}

/* Finds the interrupted thread's control frames; none (end stays 0) for a thread that is not Ruby's. */
static __always_inline int find_ruby_frames(struct ruby_walk *walk, const struct ruby_layout *layout)
{
	__u64 thread, ec = 0, stack = 0, stack_words = 0, frame = 0, end;
	int status = find_ruby_thread(walk, layout, &thread);

	if (status != WALK_COMPLETE || !thread)
		return status;
	if (READ_USER(ec, thread + layout->thread_ec))
		return WALK_FAULT;
	if (!ec)
		return WALK_COMPLETE;
	if (READ_USER(stack, ec + layout->ec_stack) || READ_USER(stack_words, ec + layout->ec_stack_words) ||
	    READ_USER(frame, ec + layout->ec_frame))
		return WALK_FAULT;
	if (!stack)
		return WALK_COMPLETE;	/* before its first frame, or after its last */
	end = stack + stack_words * sizeof(__u64);
	if (frame < stack || frame > end)
		return WALK_TORN;
	walk->frame = frame;
	walk->end = end;
	return WALK_COMPLETE;
}

/* Walks on from walk->frame, over RUBY_FRAMES_PER_RUN control frames at most. */
static __always_inline int walk_ruby_frames(struct scratch *s, struct ruby_walk *walk,
					    const struct ruby_layout *layout)
{
	__u64 frame = walk->frame, end = walk->end, owner, pc, iseq, ep;
	__u64 size = layout->frame_size, slot, bytes;
	__u32 offset, magic;
	__u64 *owner_words = s->checked + RUBY_BODY_WORDS;
	const __u8 *window = (const __u8 *)s->window;
	struct ruby_env env = {};

	if (size > WINDOW_BYTES / FRAMES_PER_READ)
		return WALK_TORN;
	for (int i = 0; i < RUBY_FRAMES_PER_RUN; i++) {
		if (frame >= end)
			return WALK_COMPLETE;
		/* from memory, so that the verifier does not follow every number of frames passed over */
		slot = *(volatile __u32 *)&walk->count;
		SHOW_BOUNDS(slot);
		if (slot >= MAX_INTERPRETER_FRAMES)
			return WALK_TRUNCATED;
		if (i % FRAMES_PER_READ == 0) {
			bytes = FRAMES_PER_READ * size;
			if (bytes > end - frame)
				bytes = end - frame;
			SHOW_BOUNDS(bytes);
			if (bytes > WINDOW_BYTES || read_user(s->window, bytes, (const void *)frame))
				return WALK_FAULT;
		}
		offset = i % FRAMES_PER_READ * size;
		frame += size;
		pc = *(__u64 *)(window + ((offset + layout->frame_pc) & (WINDOW_BYTES - 8)));
		iseq = *(__u64 *)(window + ((offset + layout->frame_iseq) & (WINDOW_BYTES - 8)));
		ep = *(__u64 *)(window + ((offset + layout->frame_ep) & (WINDOW_BYTES - 8)));
		if (iseq && !pc)
			continue;	/* a block that is a C function, or a frame that is not set up yet */
		if (READ_ENV(env, ep))
			return WALK_FAULT;
		magic = env.flags & FRAME_MAGIC_MASK;
		if (magic == FRAME_MAGIC_DUMMY || (!iseq && magic != FRAME_MAGIC_CFUNC))
			continue;
		__builtin_memset(owner_words, 0, RUBY_METHOD_WORDS * sizeof(__u64));
		if (find_ruby_owner(layout, env, &owner, owner_words))
			return WALK_FAULT;
		if (!iseq && !owner)
			return WALK_TORN;
		if (!iseq)
			capture_cfunc(s, slot, owner);
		else if (capture_iseq(s, layout, slot, iseq, pc, owner))
			return WALK_FAULT;
		walk->count = slot + 1;
	}
	walk->frame = frame;
	return frame < end ? WALK_TRUNCATED : WALK_COMPLETE;
}

/*
 * Does one run of a walk: s->frames from walk->count on. WALK_TRUNCATED says that frames are left, for
 * another run while walk->count is below MAX_INTERPRETER_FRAMES.
 */
static __always_inline int walk_ruby(struct scratch *s, struct ruby_walk *walk, const struct ruby_layout *layout)
{
	int status = WALK_COMPLETE;

	if (!walk->end)
		status = find_ruby_frames(walk, layout);
	if (status != WALK_COMPLETE || !walk->end)
		return status;
	return walk_ruby_frames(s, walk, layout);
}

#endif
