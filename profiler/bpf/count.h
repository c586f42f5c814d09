/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Equal samples: of a stack that user space has the whole record of, only a short record goes out.
 *
 * Two samples are equal if their hashes are. The hash is SipHash-1-3 with 128 bits of output (J.-P. Aumasson, D. J.
 * Bernstein, "SipHash: a fast short-input PRF", 2012), and its key is drawn at random for each recording: a program
 * that chooses what is hashed can't make two stacks one. Pid and start time are part of it. Mirrored by
 * tests/support/siphash.py.
 */
#ifndef PIDFLAME_COUNT_H
#define PIDFLAME_COUNT_H

#include "maps.h"

/*
 * A stack of more interpreter frames goes out whole: the verifier follows each. So does one that user space has a copy
 * of: what called its frames is not known yet.
 */
#define MAX_COUNTED 256
#define HEAD_WORDS 10

struct siphash {
	__u64 v0, v1, v2, v3;
};

#define ROTATED(value, bits) ((value) << (bits) | (value) >> (64 - (bits)))

static __always_inline void sip_round(struct siphash *h)
{
	h->v0 += h->v1;
	h->v1 = ROTATED(h->v1, 13) ^ h->v0;
	h->v0 = ROTATED(h->v0, 32);
	h->v2 += h->v3;
	h->v3 = ROTATED(h->v3, 16) ^ h->v2;
	h->v0 += h->v3;
	h->v3 = ROTATED(h->v3, 21) ^ h->v0;
	h->v2 += h->v1;
	h->v1 = ROTATED(h->v1, 17) ^ h->v2;
	h->v2 = ROTATED(h->v2, 32);
}

static __always_inline void absorb(struct siphash *h, __u64 word)
{
	h->v3 ^= word;
	sip_round(h);
	h->v0 ^= word;
}

static __always_inline void begin_hash(struct siphash *h, const __u64 key[2])
{
	h->v0 = key[0] ^ 0x736f6d6570736575ULL;
	h->v1 = key[1] ^ 0x646f72616e646f6dULL ^ 0xee;
	h->v2 = key[0] ^ 0x6c7967656e657261ULL;
	h->v3 = key[1] ^ 0x7465646279746573ULL;
}

/* Gives one of the two words of a hash. */
static __always_inline __u64 squeeze(struct siphash *h)
{
	sip_round(h);
	sip_round(h);
	sip_round(h);
	return h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}

static __always_inline void end_hash(struct siphash *h, __u64 words, __u64 out[2])
{
	absorb(h, words * 8 << 56);	/* as SipHash ends a text of so many bytes */
	h->v2 ^= 0xee;
	out[0] = squeeze(h);
	h->v1 ^= 0xdd;
	out[1] = squeeze(h);
}

/* What of the head makes two samples differ. */
static __always_inline void absorb_head(struct siphash *h, const struct sample_head *head)
{
	absorb(h, (__u64)head->tid << 32 | head->pid);
	absorb(h, head->start_ns);
	absorb(h, (__u64)head->uid << 32 | head->parent_pid);
	absorb(h, ((const __u64 *)head->comm)[0]);
	absorb(h, ((const __u64 *)head->comm)[1]);
	absorb(h, ((const __u64 *)head->thread_comm)[0]);
	absorb(h, ((const __u64 *)head->thread_comm)[1]);
	absorb(h, (__u64)head->walkers << 32 | head->lacks_table << 16 | head->user_end << 8 | head->walk_status);
	absorb(h, (__u64)head->kernel_frames << 32 | (__u64)head->user_frames << 16 | head->interpreter_frames);
	absorb(h, head->cgroup);
}

/*
 * Where the instruction counts as being. Anywhere in an evaluation loop is the same place, since user space shows an
 * interpreter's frame there. So is, for what runs, anywhere in a function that the unwind table knows: user space shows
 * functions, and a busy one would make hundreds of stacks else. (Where it shows what is inlined there, the mask is 0.)
 */
static __always_inline __u64 place_of(const struct scratch *s, __u64 address)
{
#pragma unroll
	for (int slot = 0; slot < MAX_WALKERS; slot++) {
		const struct walker *walker = &s->walkers[slot];

		if (!walker->row)
			break;
		if (address - walker->loop < walker->loop_bytes)
			return walker->loop;
		if (address - walker->cold_loop < walker->cold_loop_bytes)
			return walker->loop;
	}
	return address;
}

static __always_inline void hash_stack(struct scratch *s, const struct settings *set, __u64 native_at)
{
	__u32 frames = s->head.interpreter_frames, native = s->head.user_frames + s->head.kernel_frames;
	struct siphash h;

	begin_hash(&h, set->key);
	absorb_head(&h, &s->head);
	ROUNDS(s, slot, MAX_COUNTED) {
		const struct interpreter_frame *frame;

		if (slot >= READ_BACK(s->head.interpreter_frames))
			break;
		frame = frame_at(s, slot);
		absorb(&h, frame->address);
		absorb(&h, (__u64)frame->checksum << 32 | (frame->position & set->position_mask));
	}
	ROUNDS(s, level, MAX_USER_FRAMES + MAX_KERNEL_FRAMES) {
		__u64 at = native_at + level * sizeof(__u64), address;

		if (level >= READ_BACK(s->head.user_frames) + READ_BACK(s->head.kernel_frames))
			break;
		SHOW_BOUNDS(at);
		if (at > RECORD_BYTES - sizeof(__u64))
			break;
		address = *(__u64 *)(s->body + at);
		/* Read back, so that all ways through it are one for the verifier. */
		s->unwind.place = place_of(s, address - (level ? 0 : READ_BACK(s->unwind.beyond) & set->beyond_mask));
		absorb(&h, READ_BACK(s->unwind.place));
	}
	end_hash(&h, HEAD_WORDS + 2 * frames + native, s->head.stack);
}

/* Sends what is at hand, which on_unwind() has completed: a short record, if user space has the whole one. */
int on_count(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	const struct settings *set;
	struct stack_key key = {};
	struct repeat repeat = {};
	__u64 used, native_at;
	__u32 only = 0;
	__u8 known = 1;

	(void)ctx;
	if (!s)
		return 0;
	set = settings.lookup(&only);
	native_at = (__u64)READ_BACK(s->head.interpreter_frames) * sizeof(struct interpreter_frame);
	used = used_bytes(s);
	if (!set || used > RECORD_BYTES)
		return 0;
	if (READ_BACK(s->head.interpreter_frames) > MAX_COUNTED || READ_BACK(s->stop.is_copied)) {
		send_whole(s, used);
		return 0;
	}
	hash_stack(s, set, native_at);
	key.words[0] = s->head.stack[0];
	key.words[1] = s->head.stack[1];
	if (!stacks.lookup(&key)) {
		if (send_whole(s, used))
			stacks.update(&key, &known);
		return 0;
	}
	repeat.type = RECORD_REPEAT;
	repeat.cpu = s->head.cpu;
	repeat.time_ns = s->head.time_ns;
	repeat.stack[0] = key.words[0];
	repeat.stack[1] = key.words[1];
	if (records.ringbuf_output(&repeat, sizeof(repeat), wake_flags(s, sizeof(repeat))))
		count_lost(LOST_SAMPLE);
	return 0;
}

#endif
