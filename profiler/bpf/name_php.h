/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Takes the names of PHP's functions that are seen for the first time. Texts of a record:
 *
 *   0  the name; empty for a file and for eval'd code
 *   1  the class; empty without one
 *   2  the file; empty for an internal function
 *
 * `details` is the type of the function.
 */
#ifndef PIDFLAME_NAME_PHP_H
#define PIDFLAME_NAME_PHP_H

#include "maps.h"
#include "php_layout.h"

/* Takes a zend_string; an empty text for NULL. */
static __always_inline void take_php_string(struct scratch *s, __u32 number, __u64 string)
{
	__u64 bytes = 0;

	if (string && READ_USER(bytes, string + STRING_LENGTH))
		return;
	take_text(s, number, string + STRING_TEXT, bytes);
}

/* Takes what names the function at `function`. Returns false where that is not resident. */
static __always_inline bool take_php_name(struct scratch *s, const struct php_layout *layout, __u64 function)
{
	__u64 name = 0, class = 0, class_name = 0, file = 0;
	__u8 type = 0;

	if (READ_USER(type, function) || READ_USER(name, function + FUNCTION_NAME) ||
	    READ_USER(class, function + FUNCTION_SCOPE))
		return false;
	if (name && class && READ_USER(class_name, class + CLASS_NAME))
		return false;
	s->name.head.details = type;
	if (type != INTERNAL_FUNCTION &&
	    (READ_USER(file, function + layout->function_filename) ||
	     READ_USER(s->name.head.first_line, function + layout->function_lines)))
		return false;
	take_php_string(s, 0, name);
	take_php_string(s, 1, class_name);
	take_php_string(s, 2, file);
	return true;
}

/* Names the next of the fresh frames. Returns whether none is left. */
EACH int each_name_php(void *data)
{
	struct scratch *s = WALK_AGAIN(data);
	const struct interpreter_frame *frame;
	const struct php_layout *layout;

	if (!s)
		return 1;
	layout = layout_at_hand(s);
	frame = layout ? next_fresh(s) : NULL;
	if (!frame)
		return 1;
	if (take_php_name(s, layout, frame->owner ? frame->owner : frame->address & ADDRESS_MASK))
		send_name(s, HAS_TEXT(s, 0) && HAS_TEXT(s, 1) && HAS_TEXT(s, 2));
	return 0;
}

int on_name_php(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();

	if (!s)
		return 0;
	CALL_AGAIN(each_name_php, NAMES_PER_RUN, s);
	return next_names(ctx, s);
}

#endif
