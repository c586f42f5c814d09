/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The sampler: a perf-event program, those that go on with its sample, and three for tracepoints.
 *
 * Reads: the interrupted task's identity (task_struct, by BTF offsets), its kernel and user stack, and
 * its interpreter's frames. Writes: one record of variable length into the ring buffer `records`, or,
 * when that is full, one count into `lost`. Worst case some 2,500 reads of user memory of which none
 * can sleep; typically two a Python frame.
 */
/* BCC rewrites map accesses in this file only, so the walkers get from here what they need of maps. */
#include "maps.h"
#include "walk_python.h"
#include "walk_ruby.h"

#define READ_TASK(destination, task, offset) \
	read_kernel(&(destination), sizeof(destination), (const __u8 *)(task) + (offset))

/* The interrupted registers as words of the program's context: struct pt_regs of x86-64. */
#define REGISTER_BP 4
#define REGISTER_IP 16
#define REGISTER_CS 17
#define REGISTER_SP 19
#define USER_MODE 3	/* in the lowest bits of cs */
#define MOST_STACK_BYTES (64ULL << 20)

/* A stack into `body`, in bytes; 0 where there is no such stack (a kernel thread's in user space, say). */
static __always_inline __u64 capture_stack(struct bpf_perf_event_data *ctx, __u8 *body, __u64 flags)
{
	long size = bpf_get_stack(ctx, body, NATIVE_BYTES, flags);

	SHOW_BOUNDS(size);
	return size > 0 && size <= NATIVE_BYTES ? size : 0;
}

/*
 * Whether the interrupted code ran in user space and without a frame pointer: the register points nowhere
 * into its stack. The stack is then the instruction pointer alone. The kernel would find no more, by a page
 * fault that takes longer than any other step.
 */
static __always_inline bool has_no_frame_pointer(const volatile __u64 *registers)
{
	return (registers[REGISTER_CS] & USER_MODE) == USER_MODE &&
	       registers[REGISTER_BP] - registers[REGISTER_SP] >= MOST_STACK_BYTES;
}

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

static __always_inline void count_lost(__u32 what)
{
	__u64 *slot = lost.lookup(&what);

	if (slot)
		*slot += 1;
}

/*
 * Whether user space should look at this sample now: when it is the first of a process, or of a function
 * or region of code in it, because its memory can be gone in a moment. All others wait for the next regular look. Were
 * each one to wake the profiler, it would be scheduled in step with its own samples, and so would what
 * runs next: of one busy process among four on two CPUs, 10 % too many samples were then seen.
 */
static __always_inline __u64 wake_flags(const struct scratch *s, __u32 count)
{
	struct seen_key key = {};
	__u32 pid = s->head.pid, *ancestor = forked_from.lookup(&pid);
	__u8 yes = 1;

	key.pid = ancestor ? *ancestor : pid;
	if (count) {
		key.checksum = s->frames[0].checksum;
		key.address = s->frames[0].address;
	} else if (s->head.user_frames) {
		key.address = *(const __u64 *)s->body >> CODE_REGION_SHIFT;
	}
	if (seen.lookup(&key))
		return BPF_RB_NO_WAKEUP;
	seen.update(&key, &yes);
	return BPF_RB_FORCE_WAKEUP;
}

/* Puts the native stacks behind the `used` bytes of interpreter frames. What is used then. */
static __always_inline __u64 capture_stacks(struct bpf_perf_event_data *ctx, struct scratch *s, __u64 used)
{
	const volatile __u64 *registers = (const volatile __u64 *)ctx;
	__u64 size;

	s->head.kernel_frames = 0;
	if (has_no_frame_pointer(registers)) {
		*(__u64 *)(s->body + used) = registers[REGISTER_IP];
		s->head.user_frames = 1;
		return used + sizeof(__u64);
	}
	size = capture_stack(ctx, s->body + used, BPF_F_USER_STACK);
	s->head.user_frames = size / 8;
	used += size;
	SHOW_BOUNDS(used);
	if (used > RECORD_BYTES - NATIVE_BYTES)
		return used;
	size = capture_stack(ctx, s->body + used, 0);
	s->head.kernel_frames = size / 8;
	return used + size;
}

/* Completes the record behind the interpreter frames that the walkers left, and sends it. */
static __always_inline int finish(struct bpf_perf_event_data *ctx, struct scratch *s, __u32 count)
{
	__u64 used;

	if (count > MAX_INTERPRETER_FRAMES)
		count = MAX_INTERPRETER_FRAMES;
	s->head.interpreter_frames = count;
	used = capture_stacks(ctx, s, count * sizeof(struct interpreter_frame));
	SHOW_BOUNDS(used);
	if (used > RECORD_BYTES)
		return 0;
	if (records.ringbuf_output(s, sizeof(s->head) + used, wake_flags(s, count)))
		count_lost(LOST_SAMPLE);
	return 0;
}

/* Who runs: the record's head, but for how the walk ends. */
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
	s->head.task = 0;
	s->head.task_identity = 0;
	s->head.walk_status = WALK_COMPLETE;
	s->head.collects_garbage = 0;
	__builtin_memset(s->head.padding, 0, sizeof(s->head.padding));
}

/* Says what there is to walk, for the programs that do it. */
static __always_inline void begin_walks(struct scratch *s, const struct process_config *config, __u64 fsbase)
{
	__builtin_memset(&s->python, 0, sizeof(s->python));
	__builtin_memset(&s->ruby, 0, sizeof(s->ruby));
	if (!config || !fsbase || !same_start(config->start_ns, s->head.start_ns))
		return;
	s->python.row = config->python_row;
	s->python.root = config->python_root;
	s->python.fsbase = fsbase;
	s->ruby.row = config->ruby_row;
	s->ruby.root = config->ruby_root;
	s->ruby.fsbase = fsbase;
}

/*
 * The walks are programs of their own, entered by tail calls (which return only where the program is not
 * loaded), a number of frames at a time: all in one would be more than the verifier follows.
 */
int on_sample(struct bpf_perf_event_data *ctx)
{
	__u64 ids = bpf_get_current_pid_tgid(), fsbase = 0;
	__u32 pid = ids >> 32, zero = 0;
	const void *task, *leader = NULL;
	struct scratch *s;

	if (!(__u32)ids)
		return 0;	/* idle */
#if FILTER_TARGETS
	if (!targets.lookup(&pid))
		return 0;
#endif
	s = (struct scratch *)scratches.lookup(&zero);
	if (!s)
		return 0;
	task = (const void *)bpf_get_current_task();
	READ_TASK(leader, task, TASK_GROUP_LEADER);
	READ_TASK(fsbase, task, TASK_FSBASE);
	fill_head(s, ids, task, leader);
	s->head.thread_id = fsbase;
	begin_walks(s, processes.lookup(&pid), fsbase);
	if (s->python.row)
		stages.call(ctx, STAGE_PYTHON);
	if (s->ruby.row)
		stages.call(ctx, STAGE_RUBY);
	return finish(ctx, s, 0);
}

/*
 * The task that asyncio runs on the thread that was walked. Its name, mostly a number of its own, is looked
 * at because the next task is often put in the same place. Mirrored by symbolizers/python/tasks.py.
 */
static __always_inline void capture_task(struct scratch *s, const struct python_layout *layout)
{
	__u64 name = 0, value = 0;

	if (!s->python.thread || layout->thread_running_task == PYTHON_ABSENT)
		return;
	if (READ_USER(s->head.task, s->python.thread + layout->thread_running_task) || !s->head.task)
		return;
	if (READ_USER(name, s->head.task + layout->task_name) || READ_USER(value, name + layout->task_name_value))
		return;
	s->head.task_identity = name + value * CHECKSUM_MULTIPLIER;
}

int on_python(struct bpf_perf_event_data *ctx)
{
	const struct python_layout *layout;
	__u32 zero = 0, row;
	struct scratch *s = (struct scratch *)scratches.lookup(&zero);

	if (!s)
		return 0;
	row = s->python.row;
	layout = python_layouts.lookup(&row);
	if (!layout)
		return 0;
	s->head.walk_status = walk_python(s, &s->python, layout);
	if (s->head.walk_status == WALK_TRUNCATED && s->python.count < MAX_INTERPRETER_FRAMES)
		stages.call(ctx, STAGE_PYTHON);
	capture_task(s, layout);
	s->ruby.count = s->python.count;
	if (s->ruby.row && s->head.walk_status == WALK_COMPLETE)
		stages.call(ctx, STAGE_RUBY);
	return finish(ctx, s, s->python.count);
}

int on_ruby(struct bpf_perf_event_data *ctx)
{
	const struct ruby_layout *layout;
	__u32 zero = 0, row;
	struct scratch *s = (struct scratch *)scratches.lookup(&zero);

	if (!s)
		return 0;
	row = s->ruby.row;
	layout = ruby_layouts.lookup(&row);
	if (!layout)
		return 0;
	s->head.walk_status = walk_ruby(s, &s->ruby, layout);
	s->head.collects_garbage = s->ruby.collects_garbage;
	if (s->head.walk_status == WALK_TRUNCATED && s->ruby.count < MAX_INTERPRETER_FRAMES)
		stages.call(ctx, STAGE_RUBY);	/* goes on below after 33 runs, the kernel's limit */
	return finish(ctx, s, s->ruby.count);
}

static __always_inline void send_event(__u32 type, __u32 pid, __u64 start_ns, __u64 flags)
{
	struct process_event event = {};

	event.type = type;
	event.pid = pid;
	event.time_ns = bpf_ktime_get_ns();
	event.start_ns = start_ns;
	if (records.ringbuf_output(&event, sizeof(event), flags))
		count_lost(LOST_EVENT);
}

/* args: struct task_struct *parent, struct task_struct *child. The child shares the addresses. */
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const void *parent = (const void *)ctx->args[0], *child = (const void *)ctx->args[1];
	const void *leader = NULL;
	__u32 parent_pid = 0, child_pid = 0, child_tid = 0;
	struct process_config *config, copy;
	__u32 *target, *ancestor, inherited;

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
	ancestor = forked_from.lookup(&parent_pid);
	inherited = ancestor ? *ancestor : parent_pid;
	forked_from.update(&child_pid, &inherited);
	config = processes.lookup(&parent_pid);
	READ_TASK(leader, parent, TASK_GROUP_LEADER);
	if (config && same_start(config->start_ns, start_ns_of(leader))) {
		copy = *config;
		copy.start_ns = start_ns_of(child);
		processes.update(&child_pid, &copy);
	}
	return 0;
}

/* args: struct task_struct *task, pid_t old_pid, struct linux_binprm *. New program, new addresses. */
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	const void *task = (const void *)ctx->args[0];
	__u32 pid = 0;

	READ_TASK(pid, task, TASK_TGID);
	processes.delete(&pid);
	forked_from.delete(&pid);
#if FILTER_TARGETS
	if (!targets.lookup(&pid))
		return 0;
#endif
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

	READ_TASK(signal, task, TASK_SIGNAL);
	READ_TASK(live, signal, SIGNAL_LIVE);
	if (live)
		return 0;
	READ_TASK(pid, task, TASK_TGID);
	READ_TASK(leader, task, TASK_GROUP_LEADER);
	processes.delete(&pid);
	forked_from.delete(&pid);
#if FILTER_TARGETS
	if (!targets.lookup(&pid))
		return 0;
	targets.delete(&pid);
#endif
	send_event(RECORD_EXIT, pid, start_ns_of(leader), BPF_RB_NO_WAKEUP);
	return 0;
}
