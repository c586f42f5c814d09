/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Behind the sampler, and in the place of on_count(): sends the whole record, and lets the event through that was
 * interrupted for. So perf writes its own record of the same interrupt: the registers, and a copy of the stack from the
 * stack pointer on. What is below, where leaf functions may keep something, comes behind our record.
 */
#define RED_ZONE 128

int on_keep(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	__u64 used;

	(void)ctx;
	if (!s)
		return 0;
	used = (__u64)READ_BACK(s->head.interpreter_frames) * sizeof(struct interpreter_frame);
	used += sizeof(__u64) * (s->head.user_frames + s->head.kernel_frames);
	SHOW_BOUNDS(used);
	if (used > RECORD_BYTES - RED_ZONE)
		return 0;
	read_user(s->body + used, RED_ZONE, (const void *)(s->registers[REGISTER_STACK_POINTER] - RED_ZONE));
	return send_whole(s, used + RED_ZONE);
}
