/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where a CPython build keeps what walk_python.h and name_python.h read. Offsets in bytes; filled by name from the layout
 * rows in symbolizers/python/layouts.py, which say what each field means. A field that a version doesn't
 * have is PYTHON_ABSENT.
 */
#ifndef PIDFLAME_PYTHON_LAYOUT_H
#define PIDFLAME_PYTHON_LAYOUT_H

/* What interpreter_frame.address points at. */
enum python_kind {
	PYTHON_CODE = 1,	/* a code object; owner: 0 */
	PYTHON_TASK = 128,	/* the task that asyncio runs; owner: tells it from a later one there */
};

#define PYTHON_ABSENT 4294967295
#define PYTHON_NAME_BYTES 1	/* name_head.details: the names are bytes objects, as in Python 2 */
#define MAX_FRAME_WINDOW 128

struct python_layout {
	__u32 runtime_interpreters_head;
	__u32 interpreter_next;
	__u32 interpreter_threads_head;
	__u32 thread_next;
	__u32 thread_thread_id;
	__u32 thread_frame;
	__u32 thread_running_task;
	__u32 task_name;
	__u32 task_name_value;
	__u32 cframe_frame;
	__u32 frame_window;
	__u32 frame_code;
	__u32 frame_previous;
	__u32 frame_instr;
	__u32 frame_lasti;
	__u32 frame_lasti_unit;
	__u32 frame_owner;
	__u32 frame_first_shim_owner;
	__u32 frame_entry;
	__u32 code_first_instr;
	__u32 code_checksum;
	__u32 code_checksum_words;
	__u32 code_first_line;
	__u32 code_filename;
	__u32 code_name;
	__u32 code_qualname;
	__u32 object_type;
	__u32 unicode_length;
	__u32 unicode_state;
	__u32 unicode_kind_bit;
	__u32 unicode_compact_bit;
	__u32 unicode_ascii_bit;
	__u32 unicode_ascii_data;
	__u32 unicode_compact_data;
	__u32 bytes_size;
	__u32 bytes_data;
};

/* What Python adds to struct walk, whose root is the address of _PyRuntime, or up to 3.6 of interp_head. */
struct python_walk {
	__u64 interpreter;	/* the one whose threads are searched */
	__u64 thread;		/* the next of these threads */
	__u64 frame;		/* the next frame; 0 until the thread's first is found */
	__u64 window;		/* the address of what is in scratch.window; 0 before it is read */
	__u64 checked;		/* the code object of the last frame, as in interpreter_frame … */
	__u32 checksum;		/* … and its checksum */
	__u32 padding;
};

#endif
