/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What is seen for the first time, in any frame of a stack: user space is woken for it, and is told its name.
 *
 * The code that bears a name may be gone in a moment: the body of a module that is imported, a template, eval'd
 * text. So the name is read while the target stands still. on_fresh() finds the code objects of a sample that user
 * space was not told of. Then the program on_name_X() of each language that has walked takes what names them
 * (name_X.h), and sends a RECORD_NAME for each. This costs something only once for each code object: for a stack
 * all of whose code was seen before, the only cost is a lookup of its hash.
 *
 * A fork is told apart from what it was forked from, but has the code that was seen there before.
 */
#ifndef PIDFLAME_FIRST_SIGHT_H
#define PIDFLAME_FIRST_SIGHT_H

#include "maps.h"
#include "arch_x86_64.h"

/* Of the ring buffer, one sample gets about this much for names: the rest is for samples. */
#define MOST_NAME_BYTES 6144

#define MAX_LOOKED 256	/* frames, from the leaf on: what the verifier can follow */

/* To wake user space makes a debt, of which each other sample pays 1 off. */
#define MOST_DEBT 64
#define DEBT_OF_WAKING 4

/* The sample that a program goes on with: s->walk, and s->frames from s->walk.count on. */
static __always_inline struct scratch *walk_at_hand(void)
{
	__u32 zero = 0;

	return (struct scratch *)scratches.lookup(&zero);
}

/* The child has the code of its parent, and of the process that its parent was forked from. */
static __always_inline void note_fork(__u32 parent, __u32 child, __u64 now_ns)
{
	const struct origin *of_parent = origins.lookup(&parent);
	struct origin origin = {.began_ns = now_ns, .forked_ns = now_ns, .ancestor = parent};

	if (of_parent && of_parent->ancestor) {
		origin.forked_ns = of_parent->forked_ns;
		origin.ancestor = of_parent->ancestor;
	}
	origins.update(&child, &origin);
}

/* From now on the process runs another program. */
static __always_inline void note_exec(__u32 pid)
{
	struct origin origin = {.began_ns = boot_ns()};

	origins.update(&pid, &origin);
}

/* Whether user space was told of `key`, which gets its pid here, in this process or before the fork. */
static __always_inline bool is_seen(const struct scratch *s, struct seen_key *key)
{
	const struct origin *origin = &s->sight.origin;
	const __u64 *since_ns;

	key->pid = s->head.pid;
	since_ns = seen.lookup(key);
	if (since_ns && *since_ns >= origin->began_ns)
		return true;
	if (!origin->ancestor)
		return false;
	key->pid = origin->ancestor;
	since_ns = seen.lookup(key);
	return since_ns && *since_ns < origin->forked_ns;
}

static __always_inline void see(const struct scratch *s, struct seen_key *key)
{
	__u64 now_ns = s->sight.now_ns;

	key->pid = s->head.pid;
	seen.update(key, &now_ns);
}

/* The key of the sample as a whole: its code objects, or the region of native code. */
static __always_inline void make_whole_key(const struct scratch *s, __u32 count, struct seen_key *key)
{
	if (count) {
		key->address = (__u64)STACK_KIND << KIND_SHIFT | s->walk.codes >> (64 - KIND_SHIFT);
		key->checksum = (__u32)s->walk.codes;
	} else {
		key->address = s->registers[REGISTER_INSTRUCTION] >> CODE_REGION_SHIFT;
	}
}

/* Whether the sample shows something new, for which on_fresh() has to look through its `count` frames. */
static __always_inline bool is_fresh(struct scratch *s, __u32 count)
{
	__u32 pid = s->head.pid;
	const struct origin *origin = origins.lookup(&pid);
	struct seen_key key = {};

	s->sight.looked = 1;
	s->sight.origin.began_ns = s->head.start_ns;
	if (origin)
		s->sight.origin = *origin;
	make_whole_key(s, count, &key);
	if (is_seen(s, &key))
		return false;
	s->sight.now_ns = boot_ns();
	s->sight.wakes = 1;
	if (!count)
		see(s, &key);
	return count;
}

/*
 * Notes the frames whose code objects are to be named. Returns false where some are left for another sample. What
 * lies deeper than MAX_LOOKED frames is left to user space: it lives longer than all that it calls.
 */
static __always_inline bool find_fresh(struct scratch *s)
{
	const struct interpreter_frame *frame;
	struct seen_key key = {};
	__u32 fresh;

	ROUNDS(s, slot, MAX_LOOKED) {
		/* read anew, so that the compiler keeps both bounds: Linux 5.10 sees no end of a loop up to a variable */
		if (slot >= READ_BACK(s->head.interpreter_frames))
			return true;
		frame = frame_at(s, slot);
		if (frame->address >> KIND_SHIFT >= FIRST_ANNOTATION)
			continue;
		if (frame->address == key.address && frame->checksum == key.checksum)
			continue;	/* it calls itself */
		key.address = frame->address;
		key.checksum = frame->checksum;
		if (is_seen(s, &key))
			continue;
		fresh = READ_BACK(s->sight.fresh);
		if (fresh >= MAX_FRESH)
			return false;
		s->sight.slots[fresh & (MAX_FRESH - 1)] = slot;
		s->sight.fresh = fresh + 1;
		see(s, &key);
	}
	return true;
}

/* The slot of the next of the fresh frames; that behind all frames where none is left, or no room. */
static __always_inline __u32 fresh_slot(const struct scratch *s)
{
	__u32 named = READ_BACK(s->sight.named);

	if (named >= READ_BACK(s->sight.fresh) || s->sight.name_bytes > MOST_NAME_BYTES)
		return MAX_INTERPRETER_FRAMES;
	return s->sight.slots[named & (MAX_FRESH - 1)];
}

/* Enters the program that names the next of the fresh frames, by a tail call. Returns where none is left. */
static __always_inline void begin_names(struct bpf_perf_event_data *ctx, struct scratch *s)
{
	__u32 slot = fresh_slot(s);
	const struct walker *walker;

	if (slot >= MAX_INTERPRETER_FRAMES || s->sight.name_runs >= MAX_NAME_RUNS)
		return;
	s->sight.name_runs += 1;
	for (int i = 0; i < MAX_WALKERS; i++) {
		if (slot >= s->sight.ends[i])
			continue;
		walker = &s->walkers[i];
		s->walk.root = walker->root;
		s->walk.row = walker->row;
		s->walk.slot = i;
		stages.call(ctx, STAGE_NAMES + walker->program);
		return;
	}
}

/* Ends a run of a program that names code: the next one has its turn, or the rest of the record. */
static __always_inline int next_names(struct bpf_perf_event_data *ctx, struct scratch *s)
{
	begin_names(ctx, s);
	stages.call(ctx, STAGE_RECORD);
	return 0;
}

/* The next frame to name among those of the walk at hand, with a record that is begun; NULL behind the last. */
static __always_inline const struct interpreter_frame *next_fresh(struct scratch *s)
{
	__u32 slot = fresh_slot(s);
	const struct interpreter_frame *frame;

	if (slot >= s->sight.ends[s->walk.slot & (MAX_WALKERS - 1)])
		return NULL;
	s->sight.named += 1;
	frame = frame_at(s, slot);
	s->name.head.address = frame->address;
	s->name.head.checksum = frame->checksum;
	s->name.head.first_line = s->name.head.details = 0;
	__builtin_memset(s->name.head.texts, 0xff, sizeof(s->name.head.texts));
	s->text_bytes = 0;
	return frame;
}

/* Linux 5.10 forgets the bounds of what the compiler kept on the stack since they were checked. */
#define MASKED(variable, mask)                                                                     \
	({                                                                                         \
		SHOW_BOUNDS(variable);                                                             \
		(variable) & (mask);                                                               \
	})

/*
 * Takes a text of so many bytes into the record, which holds the texts of lower numbers already. It stays left
 * out where it is too long or not resident. For the verifier, the read could go beyond the record, not the scratch.
 */
static __always_inline void take_text(struct scratch *s, __u32 number, __u64 address, __u64 bytes)
{
	__u64 used = READ_BACK(s->text_bytes);

	if (bytes > TEXT_BYTES || used + bytes >= sizeof(s->name.texts))
		return;
	if (bytes && read_user(s->name.texts + MASKED(used, sizeof(s->name.texts) - 1),
			       MASKED(bytes, 2 * TEXT_BYTES - 1), (const void *)address))
		return;
	s->name.head.texts[number & (MAX_TEXTS - 1)].bytes = bytes;
	s->text_bytes = used + bytes;
}

/* Sends the record. If there is no room for it, user space reads the name itself. */
static __always_inline void send_name(struct scratch *s)
{
	__u64 bytes = READ_BACK(s->text_bytes);

	s->sight.name_bytes += sizeof(s->name.head) + bytes;
	records.ringbuf_output(&s->name, sizeof(s->name.head) + MASKED(bytes, sizeof(s->name.texts) - 1),
			       BPF_RB_NO_WAKEUP);
}

/* Looks for code objects that user space was not told of, and has them named before the sample goes out. */
int on_fresh(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	struct seen_key key = {};
	__u32 count;

	if (!s)
		return 0;
	count = s->head.interpreter_frames;
	if (find_fresh(s)) {
		make_whole_key(s, count, &key);
		see(s, &key);
	}
	s->name.head.type = RECORD_NAME;
	s->name.head.pid = s->head.pid;
	s->name.head.start_ns = s->head.start_ns;
	s->name.head.parent_pid = s->head.parent_pid;
	s->name.head.uid = s->head.uid;
	s->name.head.padding = 0;
	s->name.head.parent_start_ns = s->head.parent_start_ns;
	return next_names(ctx, s);
}

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
 * Whether to wake user space for the sample: it does where something in it is new, because the memory can be gone in
 * a moment. All others wait for the next regular look. If every sample woke the profiler, it would be scheduled in
 * step with its own samples, and so would whatever runs next: one busy process among four on two CPUs then showed
 * 10 % too many samples. So there is a budget: a burst when a program begins, and one sample in five for good. The
 * first sample after a while without any wakes user space in any case, since it does not look meanwhile, and so does
 * the one (of `bytes`) that fills a part of the ring buffer.
 */
static __always_inline __u64 wake_flags(const struct scratch *s, __u64 bytes)
{
	__u32 zero = 0, *debt = debts.lookup(&zero);

	if (takes_alarm(bytes))
		return BPF_RB_FORCE_WAKEUP;
	if (!debt)
		return BPF_RB_NO_WAKEUP;
	if (READ_BACK(s->sight.wakes) && *debt <= MOST_DEBT - DEBT_OF_WAKING) {
		*debt += DEBT_OF_WAKING;
		return BPF_RB_FORCE_WAKEUP;
	}
	*debt -= *debt > 0;
	return BPF_RB_NO_WAKEUP;
}

#endif
