/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Takes the names of Python's code objects that are seen for the first time. Texts of a record, each a byte a
 * character (Latin-1; in Python 2 as the bytes are):
 *
 *   0  the qualified name, or the name before 3.11
 *   1  the file
 *
 * `first_line` is that of the code; `details` is PYTHON_NAME_BYTES or 0. A name in wider characters, or of a subclass of str, is left.
 */
#ifndef PIDFLAME_NAME_PYTHON_H
#define PIDFLAME_NAME_PYTHON_H

#include "maps.h"
#include "python_layout.h"

#define ONE_BYTE_CHARACTERS 1
#define IN_STRING(type, offset) AT(type, s->window, offset, WINDOW_BYTES - sizeof(type))

/* Takes a bytes object. Returns its type; 0 where its head is not resident. */
static __always_inline __u64 take_python_bytes(struct scratch *s, const struct python_layout *layout,
					       __u32 number, __u64 object)
{
	__u64 type = 0, bytes = 0;

	if (READ_USER(type, object + layout->object_type) || READ_USER(bytes, object + layout->bytes_size))
		return 0;
	s->name.head.details = PYTHON_NAME_BYTES;
	take_text(s, number, object + layout->bytes_data, bytes);
	return type;
}

/* Takes a str object. Returns its type; 0 where its head is not resident. */
static __always_inline __u64 take_python_str(struct scratch *s, const struct python_layout *layout,
					     __u32 number, __u64 object)
{
	__u64 head_bytes = layout->unicode_ascii_data, data = object + layout->unicode_compact_data;
	__u32 state;

	SHOW_BOUNDS(head_bytes);
	if (head_bytes > WINDOW_BYTES || read_user(s->window, head_bytes, (const void *)object))
		return 0;
	state = IN_STRING(__u32, layout->unicode_state);
	if (state >> (layout->unicode_ascii_bit & 31) & 1)
		data = object + layout->unicode_ascii_data;
	if ((state >> (layout->unicode_kind_bit & 31) & 7) == ONE_BYTE_CHARACTERS &&
	    state >> (layout->unicode_compact_bit & 31) & 1)
		take_text(s, number, data, IN_STRING(__u64, layout->unicode_length));
	return IN_STRING(__u64, layout->object_type);
}

static __always_inline __u64 take_python_text(struct scratch *s, const struct python_layout *layout,
					      __u32 number, __u64 object)
{
	return layout->unicode_state == PYTHON_ABSENT ? take_python_bytes(s, layout, number, object)
						      : take_python_str(s, layout, number, object);
}

/*
 * Takes what names `code`. Whether that can be believed: both texts are of one type, as str is of all names that
 * the compiler makes. Memory that is no code object any more would hardly show that.
 */
static __always_inline bool take_python_name(struct scratch *s, const struct python_layout *layout, __u64 code)
{
	__u32 name_at = layout->code_qualname == PYTHON_ABSENT ? layout->code_name : layout->code_qualname;
	__u64 name = 0, file = 0, type;

	if (READ_USER(name, code + name_at) || READ_USER(file, code + layout->code_filename) ||
	    READ_USER(s->name.head.first_line, code + layout->code_first_line))
		return false;
	type = take_python_text(s, layout, 0, name);
	return type && type == take_python_text(s, layout, 1, file);
}

/* Names the next of the fresh frames. Returns whether none is left. */
EACH int each_name_python(void *data)
{
	struct scratch *s = WALK_AGAIN(data);
	const struct interpreter_frame *frame;
	const struct python_layout *layout;

	if (!s)
		return 1;
	layout = layout_at_hand(s);
	frame = layout ? next_fresh(s) : NULL;
	if (!frame)
		return 1;
	if (take_python_name(s, layout, frame->address & ADDRESS_MASK))
		send_name(s, HAS_TEXT(s, 0) && HAS_TEXT(s, 1));
	return 0;
}

int on_name_python(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();

	if (!s)
		return 0;
	CALL_AGAIN(each_name_python, NAMES_PER_RUN, s);
	return next_names(ctx, s);
}

#endif
