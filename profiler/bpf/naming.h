/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The names of code that is seen for the first time: see first_sight.h.
 *
 * on_fresh() finds the code objects of a sample that user space was not told of. Then the program on_name_X() of each
 * language that has walked takes what names them (name_X.h), and sends a RECORD_NAME for each.
 */
#ifndef PIDFLAME_NAMING_H
#define PIDFLAME_NAMING_H

#include "first_sight.h"

/* Of the ring buffer, one sample gets about this much for names: the rest is for samples. */
#define MOST_NAME_BYTES 6144

#define MAX_LOOKED 256	/* frames, from the leaf on: what the verifier can follow */

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

#define HAS_TEXT(s, number) ((s)->name.head.texts[number].bytes != TEXT_LEFT)

/* Sends the record. User space reads the name itself where there is no room for it, or where a text is left out. */
static __always_inline void send_name(struct scratch *s, bool is_whole)
{
	__u64 bytes = READ_BACK(s->text_bytes);

	s->sight.name_bytes += sizeof(s->name.head) + bytes;
	if (!records.ringbuf_output(&s->name, sizeof(s->name.head) + MASKED(bytes, sizeof(s->name.texts) - 1),
				    BPF_RB_NO_WAKEUP))
		s->sight.told += is_whole;
}

/* Whether the lines of code that run are wanted: user space reads where each begins. */
static __always_inline bool wants_lines(void)
{
	__u32 only = 0;
	const struct settings *set = settings.lookup(&only);

	return set && set->position_mask & ~FRAME_ENTERED;
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
		s->sight.wakes = is_new_process(s) || count > MAX_LOOKED ||
				 (READ_BACK(s->sight.fresh) && wants_lines());
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

#endif
