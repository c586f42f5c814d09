/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The one definition of what crosses from the kernel to user space, and back through maps.
 *
 * profiler/capture/header.py reads this file, so it keeps to a small part of C: enums and defines of
 * plain numbers; structs of __u8 … __u64, __s32, char arrays and arrays of these, one field a line,
 * padding written out. A test compares every offset with what the C compiler makes of it.
 */
#ifndef PIDFLAME_RECORDS_H
#define PIDFLAME_RECORDS_H

#define MAX_NATIVE_FRAMES 127
#define MAX_INTERPRETER_FRAMES 1024

enum record_type {
	RECORD_SAMPLE = 1,
	RECORD_EXEC = 2,
	RECORD_EXIT = 3,
};

/* What interpreter_frame.address points at (its top byte). */
enum capture_kind {
	PYTHON_CODE = 1,
	RUBY_ISEQ = 2,
	RUBY_CFUNC = 3,
};

/* Where programs that go on with a sample stand in the map `stages`. */
enum stage {
	STAGE_PYTHON = 0,
	STAGE_RUBY = 1,
};

/* What found the ring buffer full: an index of the map `lost`. */
enum lost_record {
	LOST_SAMPLE = 0,
	LOST_EVENT = 1,
};

/* How a walk over an interpreter's frames ended. */
enum walk_status {
	WALK_COMPLETE = 0,	/* also: this thread runs no interpreter */
	WALK_TRUNCATED = 1,	/* more than MAX_INTERPRETER_FRAMES */
	WALK_FAULT = 2,		/* a page on the way is not resident */
	WALK_TORN = 3,		/* the structures contradict themselves */
};

/*
 * RECORD_SAMPLE: this head, then interpreter frames, user addresses, kernel addresses; each leaf
 * first. user[0] is the user-space instruction pointer, the rest the frame-pointer chain.
 */
struct sample_head {
	__u32 type;
	__u32 cpu;
	__u32 pid;		/* thread group, in the initial pid namespace */
	__u32 tid;
	__u64 time_ns;		/* CLOCK_MONOTONIC */
	__u64 start_ns;		/* when the group leader started, CLOCK_BOOTTIME */
	__u64 parent_start_ns;
	__u64 task;		/* Python: what asyncio runs on the thread, an address; else 0 */
	__u64 task_identity;	/* of its name, so that another task at that address is told from it */
	__u64 thread_id;	/* the thread's fs base, which pthread_self() gives; 0 without */
	char comm[16];		/* of the group leader */
	char thread_comm[16];	/* of the thread itself */
	__u32 parent_pid;	/* thread group of the parent */
	__u16 interpreter_frames;
	__u16 user_frames;
	__u16 kernel_frames;
	__u8 walk_status;
	__u8 collects_garbage;	/* Ruby: the thread does so for its frames */
	char padding[4];
};

struct interpreter_frame {
	__u64 address;		/* capture_kind << 56 | address */
	__u32 position;		/* bytes from the first instruction to the running one */
	__u32 checksum;
	__u64 owner;		/* Ruby: the method entry that the frame runs for; else 0 */
};

/* RECORD_EXEC and RECORD_EXIT (of the whole thread group). */
struct process_event {
	__u32 type;
	__u32 pid;
	__u64 time_ns;
	__u64 start_ns;
};

/*
 * Which walkers run for a process. A row index of 0 means none. Checked against start_ns, so that a
 * pid used again never inherits it; copied to the child by fork, removed by exec and exit.
 */
struct process_config {
	__u64 start_ns;		/* in clock ticks' resolution, see start_tick_ns */
	__u64 python_root;	/* address of _PyRuntime */
	__u64 ruby_root;	/* address of the variable ruby_current_vm_ptr */
	__u32 python_row;
	__u32 ruby_row;
};

#endif
