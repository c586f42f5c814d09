/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where a Ruby version keeps what walk_ruby.h and name_ruby.h read. Offsets in bytes; filled by name from the
 * layout rows in symbolizers/ruby/layouts.py, which say what each field means. Those of the garbage
 * collector and global_symbols depend on the build.
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

/* The type of an object among its flags: the same in every version so far, see symbolizers/ruby/derive.py. */
#define TYPE_MASK 31

/* What name_head.details says of the texts. Mirrored by symbolizers/ruby/taken.py. */
#define RUBY_NAME_METHOD 1	/* the code is a method of the class */
#define RUBY_NAME_SINGLETON 2	/* … of its singleton class */
#define RUBY_NAME_PART 4	/* the code is a rescue or an ensure, which shows as the code around it */
#define RUBY_NAME_LEVELS 8	/* from this bit on: the number of blocks around the code, and its own */

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
	__u32 body_type;
	__u32 body_path;
	__u32 body_base_label;
	__u32 body_label;
	__u32 body_first_line;
	__u32 body_first_line_tag_bits;
	__u32 body_local_iseq;
	__u32 body_parent_iseq;
	__u32 body_type_method;
	__u32 body_type_block;
	__u32 body_type_rescue;
	__u32 body_type_ensure;
	__u32 body_type_eval;
	__u32 labels_by_method;	/* 1: a label is put together when it is asked for, else the compiler makes it */
	__u32 method_definition;
	__u32 method_owner;
	__u32 definition_id;
	__u32 class_path;
	__u32 class_attached;
	__u32 class_ext;
	__u32 ext_variables;
	__u32 table_first;
	__u32 table_bound;
	__u32 table_entries;
	__u32 class_path_id;
	__u32 class_attached_id;
	__u32 class_singleton_bit;
	__u32 symbols_last_id;
	__u32 symbols_ids;
	__u32 ids_per_block;
	__u32 ids_block_stride;
	__u32 last_operator_id;
	__u32 id_scope_bits;
	__u32 global_symbols;	/* from the root, a signed number; RUBY_ABSENT: unknown */
	__u32 string_length;
	__u32 string_pointer;
	__u32 string_embedded;
	__u32 string_heap_bit;
	__u32 string_embedded_length_bit;
	__u32 array_length;
	__u32 array_pointer;
	__u32 array_embedded;
	__u32 array_embedded_bit;
	__u32 array_embedded_length_bit;
	__u32 array_embedded_length_bits;
};

/* An entry of a class's table of variables (st.c). */
struct ruby_entry {
	__u64 hash;
	__u64 key;
	__u64 value;
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
	__u32 enters;		/* whether C code called the evaluation loop for the last frame */
	__u32 hops;		/* from the last frame's environment outwards, so far; 0 when its owner is known */
	__u32 collects_garbage;	/* whether the thread does */
	__u32 padding;
	struct ruby_step now;
};

#endif
