/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The one definition of what crosses from the kernel to user space, and back through maps.
 *
 * profiler/capture/header.py reads this file, so it keeps to a small part of C: enums and defines of
 * plain numbers; structs of __u8 … __u64, __s32, char arrays, arrays of these and of structs defined before,
 * one field a line, padding written out. A test compares every offset with what the C compiler makes of it.
 */
#ifndef PIDFLAME_RECORDS_H
#define PIDFLAME_RECORDS_H

#define MAX_USER_FRAMES 256
#define MAX_KERNEL_FRAMES 127
#define MAX_INTERPRETER_FRAMES 1024
#define MAX_SYMBOLS 64	/* kernel addresses that are named at once, */
#define SYMBOL_BYTES 256	/* with names of so many bytes */

/* How many languages one process can have walkers of. */
#define MAX_WALKERS 4

/*
 * The kind of an interpreter frame is the top byte of its address. Each language numbers its own kinds in its
 * X_layout.h, and no number is used twice. From FIRST_ANNOTATION on, a frame is an *annotation*: not code,
 * but something else that a walker knows about the stack, in its place among the frames.
 */
#define KIND_SHIFT 56
#define FIRST_ANNOTATION 128

/*
 * In a frame's position: C code called the evaluation loop that runs it. The frames from one with this bit to the
 * next, leaf first, belong to one call of the loop.
 */
#define FRAME_ENTERED 2147483648

/* The texts that name a code object: how many there are at most, and how long each is at most. */
#define MAX_TEXTS 4
#define TEXT_BYTES 128
#define TEXT_LEFT 65535	/* instead of a length: the text was not taken */

enum record_type {
	RECORD_SAMPLE = 1,
	RECORD_EXEC = 2,
	RECORD_EXIT = 3,
	RECORD_NAME = 4,
	RECORD_REPEAT = 5,
	RECORD_COPY = 6,
};

/* Which record found the ring buffer full: the index in the map `lost`. */
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
	WALK_ROOT_FAULT = 4,	/* the page where it begins is not resident: perhaps the interpreter did not use it yet */
};

/* How the stack of user addresses ended. */
enum user_end {
	USER_STACK_ROOT = 0,	/* nothing called the last frame; also: a thread of the kernel, without any */
	USER_STACK_DEEP = 1,	/* more than MAX_USER_FRAMES */
	USER_STACK_FAULT = 2,	/* a page on the way is not resident */
	USER_STACK_LOST = 3,	/* nothing says what called the last frame */
	USER_STACK_GOES_ON = 4,	/* while it is followed */
};

/*
 * RECORD_SAMPLE: this head, then interpreter frames, user addresses, kernel addresses; each leaf
 * first. user[0] is the user-space instruction pointer, the rest are return addresses. (Where a signal interrupted
 * a function, it is the address behind the instruction's first byte.)
 */
struct sample_head {
	__u32 type;
	__u32 cpu;
	__u32 pid;		/* thread group, in the initial pid namespace */
	__u32 tid;
	__u64 time_ns;		/* CLOCK_MONOTONIC */
	__u64 start_ns;		/* when the group leader started, CLOCK_BOOTTIME */
	__u64 parent_start_ns;
	__u64 thread_pointer;	/* what pthread_self() returns in the thread; 0 without one */
	char comm[16];		/* of the group leader */
	char thread_comm[16];	/* of the thread itself */
	__u32 parent_pid;	/* thread group of the parent */
	__u32 uid;		/* the real one, in the initial user namespace */
	__u16 interpreter_frames;
	__u16 user_frames;
	__u8 kernel_frames;
	__u8 user_end;		/* enum user_end */
	__u8 walk_status;
	__u8 walkers;		/* how many were to run */
	__u32 lacks_table;	/* whether a frame is in a file whose unwind table is not there yet: the stack may lie */
	__u32 padding;
	__u64 cgroup;		/* the id of the thread's cgroup in the unified hierarchy: the inode number of its folder */
	__u64 stack[2];		/* a hash of all that a RECORD_REPEAT leaves out; 0: no such record refers to it */
};

/*
 * RECORD_COPY: this head, then what lies on the user stack from `sp` on, up to a page that is not resident or the
 * longest copy. The sample of the same CPU and time follows: user space goes on with its user stack once it has the
 * unwind table that was lacking.
 */
struct copy_head {
	__u32 type;
	__u32 cpu;
	__u64 time_ns;		/* as in sample_head */
	__u64 ip;		/* the registers of the first frame in a file whose table is not there */
	__u64 sp;
	__u64 fp;
	__u64 argument;		/* the register of the first argument, in the leaf */
	__u32 is_exact;		/* whether ip is an instruction that runs, and not where a call returns to */
	__u32 user_frames;	/* the number of that frame among the user addresses, from 1 */
};

/* A sample that equals an earlier one, whose record has this hash, in all but the time, the CPU and what it hides. */
struct repeat {
	__u32 type;
	__u32 cpu;
	__u64 time_ns;		/* as in sample_head */
	__u64 stack[2];
};

/* Each language defines its addresses and owners. An annotation has position and checksum 0. */
struct interpreter_frame {
	__u64 address;		/* kind << 56 | address of the code object */
	__u32 position;		/* bytes from the first instruction to the running one (31 bits), and FRAME_ENTERED */
	__u32 checksum;		/* of the code object's immutable part, and of the owner's */
	__u64 owner;		/* another object that the name depends on; 0: none */
};

/* One text of a RECORD_NAME. */
struct text {
	__u16 bytes;		/* its length, or TEXT_LEFT */
};

/*
 * RECORD_NAME: this head, then the texts, one behind the other. They name a code object that was seen for the
 * first time, as it was at the interrupt; the sample follows. Each language's name_X.h says what its texts are and
 * what `details` holds. A text is left to the reader where it is too long, is not of one byte a character, or
 * lies on a page that is not resident.
 */
struct name_head {
	__u32 type;
	__u32 pid;
	__u64 start_ns;		/* as in sample_head */
	__u64 parent_start_ns;
	__u64 address;		/* as in interpreter_frame */
	__u32 checksum;
	__u32 parent_pid;
	__u32 first_line;	/* of the code; 0: none */
	__u32 details;
	__u32 uid;		/* as in sample_head */
	__u32 padding;
	struct text texts[MAX_TEXTS];
};

/* RECORD_EXEC and RECORD_EXIT (of the whole thread group). */
struct process_event {
	__u32 type;
	__u32 pid;
	__u64 time_ns;
	__u64 start_ns;
	__u32 uid;		/* as in sample_head */
	__u32 padding;
};

/* One interpreter of a process. */
struct walker {
	__u64 root;		/* the address where the walk starts */
	__u32 row;		/* of the map `layouts`: the layout of this build; 0: no walker */
	__u32 program;		/* of the map `stages`: the walker */
	__u64 loop;		/* its evaluation loop: where it begins, … */
	__u64 cold_loop;	/* … and its other part, where the compiler made two */
	__u32 loop_bytes;	/* 0: unknown */
	__u32 cold_loop_bytes;
};

/*
 * The walkers that run for a process, leaf first; row is 0 behind the last. start_ns is checked, so that a
 * reused pid never inherits them. A fork that is sampled gets a copy; exec and exit remove it.
 */
struct process_config {
	__u64 start_ns;		/* in clock ticks' resolution, see same_start() */
	struct walker walkers[MAX_WALKERS];
};

/*
 * A file, as the kernel knows it: no other has the same inode on the same device and was changed at that instant.
 * Or the code that a process generates: its pid in place of nanoseconds, when it started in clock ticks in place of
 * seconds, and no inode on a device of all bits.
 */
struct file_key {
	__u64 inode;
	__u64 changed_s;	/* ctime */
	__u32 changed_ns;
	__u32 device;		/* as the kernel packs it: major << 20 | minor */
};

#define MAX_TABLES 4096
#define CHUNK_ROWS 512

#define GENERATED_DEVICE 4294967295

/* The unwind table of a file, or of generated code. */
struct unwind_table {
	__u32 slot;		/* of the map `tables` */
	__u32 chunks;		/* 0: the file has no unwind information, and there is no map */
	__u64 base;		/* the address that offsets of generated code count from; 0 for a file */
	__u64 used_ns;		/* when a stack led through the file last (CLOCK_MONOTONIC) */
};

/* What one recording asks for. The programs are the same for all, so that they need be compiled only once. */
struct settings {
	__u64 slot_ns;		/* how long a slot is in which one tick is a sample; 0: every event is one */
	__u64 key[2];		/* of the hash, at random */
	__u64 beyond_mask;	/* what of the way from where a function begins makes no difference: all of it, or none */
	__u32 only_targets;	/* whether only what is in the map `targets` is recorded */
	__u32 position_mask;	/* what of a position makes stacks differ: all bits, or FRAME_ENTERED alone */
	__u32 compiler;		/* the process that makes the rest of the sampler meanwhile, which is not recorded; or 0 */
	__u32 threads;		/* whether names of threads are wanted, which are read while these run */
};

#endif
