/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where a Ruby version keeps what walk_ruby.h reads. Offsets in bytes; filled by name from the layout
 * rows in symbolizers/layouts/ruby.py, which say what each field means.
 */
#ifndef PIDFLAME_RUBY_LAYOUT_H
#define PIDFLAME_RUBY_LAYOUT_H

/*
 * What is checksummed: this many words from the start of an iseq's body, and this many of a method
 * entry after its flags. Mirrored by symbolizers/ruby.py.
 */
#define RUBY_BODY_WORDS 12
#define RUBY_METHOD_WORDS 4

struct ruby_layout {
	__u32 vm_ractors;
	__u32 ractor_node;
	__u32 ractor_threads;
	__u32 thread_node;
	__u32 thread_native;
	__u32 thread_native_is_pointer;
	__u32 native_id;
	__u32 thread_ec;
	__u32 ec_stack;
	__u32 ec_stack_words;
	__u32 ec_frame;
	__u32 frame_size;
	__u32 frame_pc;
	__u32 frame_iseq;
	__u32 frame_ep;
	__u32 iseq_body;
	__u32 body_code;
	__u32 svar_method;
};

/* A walk over control frames between two runs of the program: the next one, and the end of them. */
struct ruby_walk {
	__u64 frame;
	__u64 end;
	__u32 row;		/* in ruby_layouts; 0: no walk */
	__u32 count;		/* frames captured so far */
};

#endif
