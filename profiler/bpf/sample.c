/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The sampler: a perf-event program, and three for tracepoints.
 *
 * Reads: the interrupted task's identity (task_struct, by BTF offsets), and its kernel and user stack. Writes:
 * one record of variable length into the ring buffer `records`, or, when that is full, one count into `lost`.
 *
 * In between, a program for each language captures its interpreter's frames: this file knows no language. on_record()
 * then ends the sample, and on_count() (count.h) sends the record, or, where user space has that stack, a short one.
 *
 * A compiler gets it as a part of one text (profiler/capture/program.py): BCC rewrites map accesses only there.
 */
#include "maps.h"
#include "arch_x86_64.h"

#define READ_TASK(destination, task, offset) \
	read_kernel(&(destination), sizeof(destination), (const __u8 *)(task) + (offset))

#define MAX_GENERATIONS 4	/* of forks between a process and the one that is known */

static __always_inline __u64 start_ns_of(const void *leader)
{
	__u64 start_ns = 0;

	READ_TASK(start_ns, leader, TASK_START_BOOTTIME);
	return start_ns;
}

/* user space knows start times from /proc only, in ticks */
static __always_inline bool same_start(__u64 config_start_ns, __u64 start_ns)
{
	return config_start_ns / TICK_NS == start_ns / TICK_NS;
}

/*
 * Goes on behind the interpreter frames that the walkers left: with the native stack, which on_unwind() follows. If
 * code objects among the frames are new, on_fresh() has its turn first, and leads back to here.
 */
int on_record(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	__u32 count;

	if (!s)
		return 0;
	count = s->walk.count;
	if (count > MAX_INTERPRETER_FRAMES)
		count = MAX_INTERPRETER_FRAMES;
	s->head.interpreter_frames = count;
	if (!READ_BACK(s->sight.looked) && is_fresh(s, count))
		stages.call(ctx, STAGE_FRESH);
	s->unwind.ip = s->registers[REGISTER_INSTRUCTION];
	s->unwind.sp = s->registers[REGISTER_STACK_POINTER];
	s->unwind.fp = s->registers[REGISTER_FRAME_POINTER];
	s->unwind.used = count * sizeof(struct interpreter_frame);
	s->unwind.is_exact = 1;
	s->unwind.beyond = 0;
	s->code.bytes = s->code.chunks = 0;
	s->stop.frames = s->stop.is_copied = 0;
	stages.call(ctx, STAGE_UNWIND);
	count_lost(LOST_SAMPLE);
	return 0;
}

/* Fills the record's head, except for how the walk ends. */
static __always_inline void fill_head(struct scratch *s, __u64 ids, const void *task, const void *leader)
{
	const void *parent = NULL;

	s->head.type = RECORD_SAMPLE;
	s->head.cpu = bpf_get_smp_processor_id();
	s->head.pid = ids >> 32;
	s->head.tid = (__u32)ids;
	s->head.time_ns = bpf_ktime_get_ns();
	s->head.start_ns = start_ns_of(leader);
	READ_TASK(parent, leader, TASK_REAL_PARENT);
	READ_TASK(s->head.parent_pid, parent, TASK_TGID);
	READ_TASK(parent, parent, TASK_GROUP_LEADER);
	s->head.parent_start_ns = start_ns_of(parent);
	READ_TASK(s->head.comm, leader, TASK_COMM);
	READ_TASK(s->head.thread_comm, task, TASK_COMM);
	READ_TASK(s->head.thread_pointer, task, TASK_THREAD_POINTER);
	s->head.uid = (__u32)bpf_get_current_uid_gid();
	s->head.cgroup = bpf_get_current_cgroup_id();
	s->head.walk_status = WALK_COMPLETE;
	s->head.user_frames = s->head.kernel_frames = s->head.lacks_table = s->head.padding = 0;
	s->head.stack[0] = s->head.stack[1] = 0;
}

/*
 * Finds the configuration of the process that `leader` leads. A fork goes on with its parent's program, as long as
 * neither has replaced it: it takes over the parent's when it is first sampled, as most forks never are.
 */
static __always_inline const struct process_config *find_config(struct scratch *s, const void *leader)
{
	__u32 pid = s->head.pid, own_pid = pid;
	__u64 start_ns = s->head.start_ns, program = 0, parents_program = 0;
	const struct process_config *config = processes.lookup(&pid);
	struct process_config copy;

	if (config && same_start(config->start_ns, start_ns))
		return config;
#pragma unroll
	for (int generation = 0; generation < MAX_GENERATIONS; generation++) {
		READ_TASK(program, leader, TASK_PROGRAM);
		READ_TASK(parents_program, leader, TASK_PARENTS_PROGRAM);
		if (program != parents_program)
			return NULL;
		READ_TASK(leader, leader, TASK_REAL_PARENT);
		READ_TASK(leader, leader, TASK_GROUP_LEADER);
		READ_TASK(program, leader, TASK_PROGRAM);
		READ_TASK(pid, leader, TASK_TGID);
		if (program != parents_program)
			return NULL;
		config = processes.lookup(&pid);
		if (config && same_start(config->start_ns, start_ns_of(leader))) {
			copy = *config;
			copy.start_ns = start_ns;
			processes.update(&own_pid, &copy);
			return processes.lookup(&own_pid);
		}
	}
	return NULL;
}

/* Notes which walkers are to run. */
static __always_inline void prepare_walks(struct scratch *s, const struct process_config *config)
{
	__u32 walkers = 0;

	s->walk.count = s->walk.runs = 0;
	s->walk.codes = 0;
	__builtin_memset(&s->sight, 0, sizeof(s->sight));
	s->walkers[0].row = 0;
	if (config) {
		__builtin_memcpy(s->walkers, config->walkers, sizeof(s->walkers));
#pragma unroll
		for (int slot = 0; slot < MAX_WALKERS; slot++)
			walkers += s->walkers[slot].row != 0;
	}
	s->head.walkers = walkers;
}

static __always_inline bool is_recorded(__u32 pid)
{
	__u32 only = 0;
	const struct settings *set = settings.lookup(&only);

	return set && pid != set->compiler && (!set->only_targets || targets.lookup(&pid));
}

int on_sample(struct bpf_perf_event_data *ctx)
{
	__u64 ids = bpf_get_current_pid_tgid();
	const void *task, *leader = NULL;
	struct scratch *s;

	if (!is_due() || !(__u32)ids)
		return 0;	/* not yet, or idle */
	if (!is_recorded(ids >> 32))
		return 0;
	s = walk_at_hand();
	if (!s)
		return 0;
	task = (const void *)bpf_get_current_task();
	READ_TASK(leader, task, TASK_GROUP_LEADER);
	fill_head(s, ids, task, leader);
	read_user_registers(s->registers, (const volatile __u64 *)ctx, task);
	prepare_walks(s, s->head.thread_pointer ? find_config(s, leader) : NULL);
	begin_walk(ctx, s, 0);
	return end_sample(ctx);
}

static __always_inline void send_event(__u32 type, __u32 pid, __u64 start_ns, __u64 flags)
{
	struct process_event event = {};

	event.type = type;
	event.pid = pid;
	event.time_ns = bpf_ktime_get_ns();
	event.start_ns = start_ns;
	event.uid = (__u32)bpf_get_current_uid_gid();
	if (records.ringbuf_output(&event, sizeof(event), flags))
		count_lost(LOST_EVENT);
}

/* args: struct task_struct *parent, struct task_struct *child. */
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const void *parent = (const void *)ctx->args[0], *child = (const void *)ctx->args[1];
	__u32 parent_pid = 0, child_pid = 0, child_tid = 0;
	__u32 *target, inherited;

	READ_TASK(parent_pid, parent, TASK_TGID);
	READ_TASK(child_pid, child, TASK_TGID);
	READ_TASK(child_tid, child, TASK_PID);
	if (child_pid != child_tid)
		return 0;	/* a thread */
	target = targets.lookup(&parent_pid);
	if (target && (*target & TARGET_WITH_CHILDREN)) {
		inherited = *target;
		targets.update(&child_pid, &inherited);
	}
	note_fork(parent_pid, child_pid, start_ns_of(child));
	return 0;
}

/* args: struct task_struct *task, pid_t old_pid, struct linux_binprm *. New program, new addresses. */
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	__u32 pid = 0;

	READ_TASK(pid, task, TASK_TGID);
	processes.delete(&pid);
	note_exec(pid);
	if (is_recorded(pid))
		send_event(RECORD_EXEC, pid, start_ns_of(task), BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* args: struct task_struct *task. Counts only when it was the last thread of its group. */
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0], *leader = NULL;
	const void *signal = NULL;
	__u32 pid = 0;
	__s32 live = 1;
	bool wakes;

	READ_TASK(signal, task, TASK_SIGNAL);
	READ_TASK(live, signal, SIGNAL_LIVE);
	if (live)
		return 0;
	READ_TASK(pid, task, TASK_TGID);
	READ_TASK(leader, task, TASK_GROUP_LEADER);
	processes.delete(&pid);
	origins.delete(&pid);
	if (!is_recorded(pid))
		return 0;
	/* With the last target, the recording ends. */
	wakes = takes_alarm(sizeof(struct process_event)) || targets.lookup(&pid);
	targets.delete(&pid);
	send_event(RECORD_EXIT, pid, start_ns_of(leader), wakes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return 0;
}
