/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Walks the interrupted thread's own Ruby control frames, leaf first.
 *
 * Reads the VM's ractors (before 3.0 just the VM) and their threads until one has the thread pointer as
 * its pthread id (so no GVL holder is mistaken for it). Then it reads that thread's execution context, which
 * follows fiber switches, and its control frames, FRAMES_PER_READ of them in one read, and for each its
 * environment, its iseq and the iseq's body. A frame's method entry is the one that Ruby itself would name:
 * the first on the way from the frame's environment out to the method's own. The walker writes
 * scratch.frames:
 *
 *   iseq    {RUBY_ISEQ, position, checksum of the body and the owner, owner: method entry or 0}
 *   C       {RUBY_CFUNC: method entry, 0, checksum of the method entry, owner: the same}
 *   [gc]    {RUBY_GARBAGE: 0, 0, 0, 0}; before the first frame, if the thread collects garbage
 *
 * Ruby moves a frame's pc on before it runs an instruction, so the position is that of the last word
 * of the running instruction, which is where Ruby looks up its line. Frames without code (the dummies
 * at the bottom, blocks that are C functions) are passed over, as Ruby's own backtraces do. Every loop
 * is bounded whatever the target's pointers say. A deep stack, or many threads, take several runs:
 * next_walk() begins another one while walk_ruby() says WALK_TRUNCATED.
 */
#ifndef PIDFLAME_WALK_RUBY_H
#define PIDFLAME_WALK_RUBY_H

#include "maps.h"
#include "ruby_layout.h"

#define MAX_ENV_HOPS 10

/* The verifier follows these in little time. 26 runs, the most that there are, pass all frames, 2,000 threads. */
#define RUBY_THREADS_PER_RUN 80
#define RUBY_STEPS_PER_RUN 60
#define FRAMES_PER_READ 8
#define LOWEST_ADDRESS 65536	/* no page lies below: vm.mmap_min_addr */

/* The same in every version so far; symbolizers/ruby/derive.py prints them again. */
#define FRAME_MAGIC_MASK 0x7fff0001
#define FRAME_MAGIC_CFUNC 0x55550001
#define FRAME_MAGIC_DUMMY 0x79990001
#define FRAME_FLAG_FINISH 0x20	/* its end ends a run of the evaluation loop, which C code called */
#define ENV_LOCAL 0x2
#define TYPE_IMEMO 0x1a
#define IMEMO_SHIFT 12
#define IMEMO_MASK 0xf
#define IMEMO_SVAR 2
#define IMEMO_METHOD 6

#define READ_ENV(env, ep) READ_USER(env, (ep) - 2 * sizeof(__u64))	/* ep points at the flags */

static __always_inline bool is_imemo(__u64 flags, __u32 type)
{
	return (flags & (IMEMO_MASK << IMEMO_SHIFT | TYPE_MASK)) == (type << IMEMO_SHIFT | TYPE_IMEMO);
}

/*
 * Finds the VM (walk->vm stays 0 before Ruby is set up) and, in versions without ractors, the first thread.
 * Nonzero when a page is not resident.
 */
static __always_inline int begin_ruby_walk(const struct scratch *s, struct ruby_walk *walk,
					   const struct ruby_layout *layout)
{
	if (READ_USER(walk->vm, s->walk.root))
		return WALK_ROOT_FAULT;
	walk->ractor = walk->vm + layout->vm_ractors;
	if (!walk->vm || layout->vm_threads == RUBY_ABSENT)
		return WALK_COMPLETE;
	walk->threads = walk->vm + layout->vm_threads;
	return READ_USER(walk->thread, walk->threads) ? WALK_FAULT : WALK_COMPLETE;
}

/*
 * Looks through some threads, ractor by ractor, for the one that was interrupted: *found, which stays 0 when
 * this thread is not Ruby's. WALK_TRUNCATED says that threads are left, for another run.
 */
static __always_inline int find_ruby_thread(const struct scratch *s, struct ruby_walk *walk,
					    const struct ruby_layout *layout, __u64 *found)
{
	int status = walk->vm ? WALK_COMPLETE : begin_ruby_walk(s, walk, layout);
	__u64 thread, native, id;

	*found = 0;
	if (status != WALK_COMPLETE || !walk->vm)
		return status;
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
		id = 0;	/* stays so for a thread that no native thread runs now */
		if (native && READ_USER(id, native + layout->native_id))
			return WALK_FAULT;
		if (id == s->walk.thread_pointer) {
			*found = thread;
			return WALK_COMPLETE;
		}
		if (READ_USER(walk->thread, walk->thread))
			return WALK_FAULT;
	}
	return WALK_TRUNCATED;
}

/* Loads what env.method points at into now->object; no flags for NULL. Nonzero when it is not resident. */
static __always_inline int read_ruby_object(struct ruby_step *now)
{
	__u64 address = now->env.method;

	if (address == now->object_address)
		return 0;	/* as for the last frame: a method calls itself, or a block of its own */
	now->object_address = address;
	now->object.flags = 0;
	return address ? READ_USER(now->object, address) : 0;
}

/*
 * Looks in the environment at hand for the method entry that its frame runs for: now->owner, 0 if there is
 * none (the top of a file, a class body), and the words of its checksum. WALK_TRUNCATED says that this
 * environment can't tell, and that the next one out is at hand now. WALK_FAULT: a page is not resident.
 */
static __always_inline int find_ruby_owner(struct ruby_step *now, const struct ruby_layout *layout,
					   __u64 words[RUBY_METHOD_WORDS])
{
	now->owner = 0;
	/* a block has a method entry of its own if define_method made a method of it */
	if (read_ruby_object(now))
		return WALK_FAULT;
	if (now->env.flags & ENV_LOCAL && is_imemo(now->object.flags, IMEMO_SVAR)) {
		/* the special variables ($~, $_) were put in front of it */
		if (READ_USER(now->env.method, now->env.method + layout->svar_method))
			return WALK_FAULT;
		if (read_ruby_object(now))
			return WALK_FAULT;
	}
	if (is_imemo(now->object.flags, IMEMO_METHOD)) {
		now->owner = now->env.method;
		for (int word = 0; word < RUBY_METHOD_WORDS; word++)
			words[word] = now->object.words[word];
		return WALK_COMPLETE;
	}
	if (now->env.flags & ENV_LOCAL)
		return WALK_COMPLETE;
	return READ_ENV(now->env, now->env.parent & ~3ULL) ? WALK_FAULT : WALK_TRUNCATED;
}

/* Writes the frame of a method that is a C function. */
static __always_inline void capture_cfunc(struct scratch *s, struct ruby_step *now, __u64 slot, __u64 method)
{
	struct interpreter_frame *frame = frame_at(s, slot);

	frame->address = ((__u64)RUBY_CFUNC << KIND_SHIFT) | (method & ADDRESS_MASK);
	frame->position = 0;
	__builtin_memset(s->checked, 0, RUBY_BODY_WORDS * sizeof(__u64));
	now->checked = 0;
	frame->checksum = checksum_words(s->checked);
	frame->owner = method;
	mix_code(s, frame->address, frame->checksum);
}

/* Writes the frame at hand, of code that Ruby runs. Nonzero when a page on the way is not resident. */
static __always_inline int capture_iseq(struct scratch *s, struct ruby_step *now,
					const struct ruby_layout *layout, __u64 slot)
{
	struct interpreter_frame *frame;
	__u64 iseq = now->iseq, body = 0, position;

	if (iseq != now->checked) {	/* else it calls itself */
		if (READ_USER(body, iseq + layout->iseq_body))
			return WALK_FAULT;
		if (read_user(s->checked, RUBY_BODY_WORDS * sizeof(__u64), (const void *)body))
			return WALK_FAULT;
		now->checked = iseq;
	}
	position = now->pc - s->checked[layout->body_code / sizeof(__u64) & 7];
	if (position)
		position -= sizeof(__u64);
	frame = frame_at(s, slot);
	frame->address = ((__u64)RUBY_ISEQ << KIND_SHIFT) | (iseq & ADDRESS_MASK);
	frame->position = position;
	frame->checksum = checksum_words(s->checked);
	frame->owner = now->owner;
	mix_code(s, frame->address, frame->checksum);
	return 0;
}

/*
 * Whether the thread collects garbage: some thread of the VM does, and this is the one that may run Ruby (others
 * can be in C code meanwhile). A failed read counts as no: it loses this one frame, and the stack stays.
 */
static __always_inline bool collects_garbage(struct ruby_walk *walk, const struct ruby_layout *layout,
					     __u64 thread, __u64 ec)
{
	__u64 objspace = 0, running = 0, owner = walk->vm;
	__u8 flags = 0;

	if (layout->vm_objspace == RUBY_ABSENT || READ_USER(objspace, walk->vm + layout->vm_objspace))
		return false;
	if (READ_USER(flags, objspace + layout->objspace_flags) || !(flags >> (layout->objspace_gc_bit & 7) & 1))
		return false;
	if (layout->vm_ractors != RUBY_ABSENT)
		owner = walk->threads - layout->ractor_threads;
	return !READ_USER(running, owner + layout->running) && (running == ec || running == thread);
}

/* Goes to the control frames of an execution context; none (end becomes 0) before its first, or after its last. */
static __always_inline int find_ruby_frames(struct ruby_walk *walk, const struct ruby_layout *layout, __u64 ec)
{
	__u64 stack = 0, stack_words = 0, frame = 0, end;

	walk->end = 0;
	if (READ_USER(stack, ec + layout->ec_stack) || READ_USER(stack_words, ec + layout->ec_stack_words) ||
	    READ_USER(frame, ec + layout->ec_frame))
		return WALK_FAULT;
	if (!stack)
		return WALK_COMPLETE;
	end = stack + stack_words * sizeof(__u64);
	if (frame < stack || frame > end)
		return WALK_TORN;
	walk->ec = ec;
	walk->frame = frame;
	walk->end = end;
	walk->window = 0;
	return WALK_COMPLETE;
}

/* Finds the interrupted thread's control frames; none (end stays 0) for a thread that is not Ruby's. */
static __always_inline int begin_ruby_frames(struct scratch *s, struct ruby_walk *walk,
					     const struct ruby_layout *layout)
{
	__u64 thread, ec = 0;
	int status = find_ruby_thread(s, walk, layout, &thread);

	if (status != WALK_COMPLETE || !thread)
		return status;
	if (READ_USER(ec, thread + layout->thread_ec))
		return WALK_FAULT;
	if (!ec)
		return WALK_COMPLETE;
	walk->collects_garbage = collects_garbage(walk, layout, thread, ec);
	status = find_ruby_frames(walk, layout, ec);
	if (status == WALK_COMPLETE && READ_BACK(walk->collects_garbage))
		annotate(s, RUBY_GARBAGE, 0, 0);
	return status;
}

/*
 * Goes to the control frames of the fiber that resumed the one at hand; none (end becomes 0) if no fiber did.
 * Every fiber holds its execution context in the same place, and the context points back at it. If the
 * context found here does not, the build is laid out otherwise, and the walk ends.
 */
static __always_inline int find_ruby_resumer(struct ruby_walk *walk, const struct ruby_layout *layout)
{
	__u64 ec = walk->ec, fiber = 0, resumer = 0, back = 0;

	walk->end = 0;
	if (layout->fiber_prev == RUBY_ABSENT)
		return WALK_COMPLETE;
	if (READ_USER(fiber, ec + layout->ec_fiber))
		return WALK_FAULT;
	if (!fiber)
		return WALK_COMPLETE;
	if (READ_USER(resumer, fiber + layout->fiber_prev))
		return WALK_FAULT;
	if (resumer < LOWEST_ADDRESS)
		return WALK_COMPLETE;
	ec += resumer - fiber;
	if (READ_USER(back, ec + layout->ec_fiber))
		return WALK_FAULT;
	return back == resumer ? find_ruby_frames(walk, layout, ec) : WALK_COMPLETE;
}

/* Takes the control frame at walk->frame out of the window, which it fills first if the frame isn't in it. */
static __always_inline int next_ruby_frame(struct scratch *s, struct ruby_walk *walk,
					   const struct ruby_layout *layout)
{
	const __u8 *window = (const __u8 *)s->window;
	__u64 size = layout->frame_size, bytes = FRAMES_PER_READ * size, offset;

	if (!walk->window || walk->frame - walk->window >= bytes) {
		if (bytes > walk->end - walk->frame)
			bytes = walk->end - walk->frame;
		SHOW_BOUNDS(bytes);
		if (bytes > WINDOW_BYTES)
			return WALK_TORN;
		if (read_user(s->window, bytes, (const void *)walk->frame))
			return WALK_FAULT;
		walk->window = walk->frame;
	}
	offset = walk->frame - READ_BACK(walk->window);
	walk->frame += size;
	walk->now.pc = *(__u64 *)(window + ((offset + layout->frame_pc) & (WINDOW_BYTES - 8)));
	walk->now.iseq = *(__u64 *)(window + ((offset + layout->frame_iseq) & (WINDOW_BYTES - 8)));
	walk->now.ep = *(__u64 *)(window + ((offset + layout->frame_ep) & (WINDOW_BYTES - 8)));
	return WALK_COMPLETE;
}

/* Whether Ruby's own backtraces show the frame, whose environment is at hand. */
static __always_inline bool shows_ruby_frame(const struct ruby_step *now)
{
	__u32 magic = now->env.flags & FRAME_MAGIC_MASK;

	return now->iseq ? magic != FRAME_MAGIC_DUMMY : magic == FRAME_MAGIC_CFUNC;
}

/* Walks on from walk->frame. A step takes a frame, or goes from an environment to the next one out. */
static __always_inline int walk_ruby_frames(struct scratch *s, struct ruby_walk *walk,
					    const struct ruby_layout *layout)
{
	__u64 *owner_words = s->checked + RUBY_BODY_WORDS, slot;
	struct ruby_step *now = &walk->now;
	int status;

	walk->hops = 0;
	now->checked = 0;
	now->object_address = 0;
	now->object.flags = 0;
	ROUNDS(s, step, RUBY_STEPS_PER_RUN) {
		if (!walk->hops) {
			if (walk->end - walk->frame < layout->frame_size)
				return WALK_COMPLETE;
			status = next_ruby_frame(s, walk, layout);
			if (status != WALK_COMPLETE)
				return status;
			if (now->iseq && !now->pc)
				continue;	/* a block that is a C function, or a frame not set up yet */
			if (READ_ENV(now->env, now->ep))
				return WALK_FAULT;
			if (!shows_ruby_frame(now))
				continue;
			walk->enters = now->env.flags & FRAME_FLAG_FINISH;
			__builtin_memset(owner_words, 0, RUBY_METHOD_WORDS * sizeof(__u64));
		}
		status = find_ruby_owner(now, layout, owner_words);
		if (status == WALK_FAULT)
			return WALK_FAULT;
		if (status == WALK_TRUNCATED && walk->hops < MAX_ENV_HOPS) {
			walk->hops++;
			continue;
		}
		walk->hops = 0;
		slot = READ_BACK(s->walk.count);
		SHOW_BOUNDS(slot);
		if (slot >= MAX_INTERPRETER_FRAMES)
			return WALK_TRUNCATED;
		if (READ_BACK(now->iseq)) {
			if (capture_iseq(s, now, layout, slot))
				return WALK_FAULT;
			if (READ_BACK(walk->enters))
				frame_at(s, slot)->position |= FRAME_ENTERED;
		} else if (READ_BACK(now->owner)) {
			capture_cfunc(s, now, slot, now->owner);
		} else {
			return WALK_TORN;
		}
		s->walk.count = slot + 1;
	}
	if (walk->hops)
		walk->frame -= layout->frame_size;	/* another run begins with this frame */
	return walk->frame < walk->end ? WALK_TRUNCATED : WALK_COMPLETE;
}

/* Does one run of a walk: s->frames from s->walk.count on. WALK_TRUNCATED says that frames are left. */
static __always_inline int walk_ruby(struct scratch *s, struct ruby_walk *walk,
				     const struct ruby_layout *layout)
{
	int status = WALK_COMPLETE;

	if (!walk->end)
		status = begin_ruby_frames(s, walk, layout);
	if (status != WALK_COMPLETE || !walk->end)
		return status;
	status = walk_ruby_frames(s, walk, layout);
	if (status != WALK_COMPLETE)
		return status;
	status = find_ruby_resumer(walk, layout);
	return status == WALK_COMPLETE && walk->end ? WALK_TRUNCATED : status;
}

int on_ruby(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	const struct ruby_layout *layout;

	if (!s)
		return 0;
	layout = layout_at_hand(s);
	if (!layout)
		return 0;
	return next_walk(ctx, s, walk_ruby(s, WALK_STATE(s, struct ruby_walk), layout));
}

#endif
