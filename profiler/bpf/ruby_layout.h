/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where a Ruby version keeps what walk_ruby.h reads. Offsets in bytes; filled by name from the layout
 * rows in symbolizers/ruby/layouts.py, which say what each field means; the last three depend on the build.
 */
#ifndef PIDFLAME_RUBY_LAYOUT_H
#define PIDFLAME_RUBY_LAYOUT_H

/* What interpreter_frame.address points at. */
enum ruby_kind {
	RUBY_ISEQ = 2,		/* an iseq; owner: the method entry that the frame runs for, or 0 */
	RUBY_CFUNC = 3,		/* a method entry; owner: the same */
	RUBY_GARBAGE = 129,	/* nothing: the thread collects garbage, for the frame after this one */
};

/*
 * The checksum covers this many words from the start of an iseq's body, and this many of a method
 * entry after its flags. Mirrored by symbolizers/ruby/iseqs.py.
 */
#define RUBY_BODY_WORDS 12
#define RUBY_METHOD_WORDS 4

#define RUBY_ABSENT 4294967295	/* a field that the version doesn't have */

struct ruby_layout {
	__u32 vm_threads;
	__u32 vm_ractors;
	__u32 ractor_node;
	__u32 ractor_threads;
	__u32 thread_node;
	__u32 thread_native;
	__u32 thread_native_is_pointer;
	__u32 native_id;
	__u32 running;
	__u32 thread_ec;
	__u32 ec_stack;
	__u32 ec_stack_words;
	__u32 ec_frame;
	__u32 ec_fiber;
	__u32 fiber_prev;
	__u32 frame_size;
	__u32 frame_pc;
	__u32 frame_iseq;
	__u32 frame_ep;
	__u32 iseq_body;
	__u32 body_code;
	__u32 svar_method;
	__u32 vm_objspace;
	__u32 objspace_flags;
	__u32 objspace_gc_bit;
};

/* The last words of an environment. */
struct ruby_env {
	__u64 method;		/* method entry, cref or svar */
	__u64 parent;		/* of a block: the outer ep, tagged in its low bits */
	__u64 flags;
};

/* The start of what ruby_env.method points at. */
struct ruby_object {
	__u64 flags;
	__u64 words[RUBY_METHOD_WORDS];	/* of a method entry: those that never change */
};

/* A control frame, and one of the environments around it. */
struct ruby_step {
	__u64 pc;
	__u64 iseq;
	__u64 ep;
	__u64 owner;		/* the method entry that the frame runs for; 0: none */
	__u64 checked;		/* the iseq whose body's words are in scratch.checked; 0: none */
	struct ruby_env env;
	__u64 object_address;	/* of `object`; 0: none */
	struct ruby_object object;
};

/* What Ruby adds to struct walk, whose root is the address of the variable ruby_current_vm_ptr. */
struct ruby_walk {
	__u64 vm;		/* 0 before the first run */
	__u64 ractor;		/* the element of the VM's list of ractors whose threads are searched */
	__u64 threads;		/* the head of the list of these threads, or of all of the VM's */
	__u64 thread;		/* the next element of this list */
	__u64 ec;		/* the execution context whose control frames these are */
	__u64 frame;		/* the next control frame */
	__u64 end;		/* behind the last control frame; 0 until the thread is found */
	__u64 window;		/* the first control frame in scratch.window; 0 before one was read */
	__u32 hops;		/* from the last frame's environment outwards, so far; 0 when its owner is known */
	__u32 collects_garbage;	/* whether the thread does */
	struct ruby_step now;
};

#endif
