/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Takes the names of Ruby's iseqs and C functions that are seen for the first time. Texts of a record:
 *
 *   0  the label as the compiler made it; where labels are put together, that of the method, class body or file
 *      around the code; of a C function, the method's name
 *   1  for RUBY_NAME_METHOD, the name alone
 *   2  for RUBY_NAME_METHOD, the class; empty if it has no name
 *   3  the file; left for a C function
 *
 * `details` is made of RUBY_NAME_*, with the number of blocks around the code from RUBY_NAME_LEVELS on.
 * symbolizers/ruby/taken.py makes a label of all that.
 */
#ifndef PIDFLAME_NAME_RUBY_H
#define PIDFLAME_NAME_RUBY_H

#include "maps.h"
#include "ruby_layout.h"

#define RUBY_OBJECT_BYTES 40	/* of the smallest slot */
#define RUBY_OUTWARDS 8		/* iseqs around another that are looked at */
#define RUBY_VARIABLES 8	/* of a class, that are looked at */
#define RUBY_DELETED 0xffffffffffffffffULL	/* the hash of a deleted entry of a table */

/* The same in every version so far; symbolizers/ruby/derive.py prints them again. */
#define TYPE_CLASS 0x02
#define TYPE_MODULE 0x03
#define TYPE_STRING 0x05
#define TYPE_ARRAY 0x07

#define IN_SLOT(offset) (*(__u64 *)((__u8 *)s->window + ((offset) & (WINDOW_BYTES - 8))))

/* Loads the slot of an object into the window. Returns the object's type; 0, which none has, for a fault. */
static __always_inline __u32 read_ruby_slot(struct scratch *s, __u64 address)
{
	if (read_user(s->window, RUBY_OBJECT_BYTES, (const void *)address))
		return 0;
	return s->window[0] & TYPE_MASK;
}

/* Takes the text of a String. */
static __always_inline void take_ruby_string(struct scratch *s, const struct ruby_layout *layout, __u32 number,
					     __u64 string)
{
	__u64 start = string + layout->string_embedded, bytes, flags;

	if (read_ruby_slot(s, string) != TYPE_STRING)
		return;
	flags = s->window[0];
	bytes = IN_SLOT(layout->string_length);
	if (flags >> (layout->string_heap_bit & 63) & 1)
		start = IN_SLOT(layout->string_pointer);
	else if (layout->string_embedded_length_bit != RUBY_ABSENT)
		bytes = flags >> (layout->string_embedded_length_bit & 63) & 31;
	take_text(s, number, start, bytes);
}

/* Takes the text of the String that is at `address`. */
static __always_inline void take_ruby_text(struct scratch *s, const struct ruby_layout *layout, __u32 number,
					   __u64 address)
{
	__u64 string = 0;

	if (!READ_USER(string, address))
		take_ruby_string(s, layout, number, string);
}

/* Reads an element of an Array. Nonzero when there is none, or when it is not resident. */
static __always_inline int read_ruby_element(struct scratch *s, const struct ruby_layout *layout, __u64 array,
					     __u64 index, __u64 *value)
{
	__u64 start = array + layout->array_embedded, length, flags;

	if (read_ruby_slot(s, array) != TYPE_ARRAY)
		return WALK_TORN;
	flags = s->window[0];
	length = flags >> (layout->array_embedded_length_bit & 63);
	length &= (1 << (layout->array_embedded_length_bits & 31)) - 1;
	if (!(flags >> (layout->array_embedded_bit & 63) & 1)) {
		length = IN_SLOT(layout->array_length);
		start = IN_SLOT(layout->array_pointer);
	}
	return index >= length || READ_USER(*value, start + index * sizeof(__u64)) ? WALK_FAULT : WALK_COMPLETE;
}

/* Takes the path of an iseq: a String, or an Array of it and the real path. */
static __always_inline void take_ruby_path(struct scratch *s, const struct ruby_layout *layout, __u64 body)
{
	__u64 path = 0;

	if (READ_USER(path, body + layout->body_path))
		return;
	if (read_ruby_slot(s, path) == TYPE_ARRAY && read_ruby_element(s, layout, path, 0, &path))
		return;
	take_ruby_string(s, layout, 3, path);
}

/*
 * Reads what a class has at `field` behind its slot, or else among its hidden variables as number `id`; 0 if it has
 * none. Nonzero when that is not resident, or too far behind.
 */
static __always_inline int read_class_field(const struct ruby_layout *layout, __u64 class, __u32 field, __u32 id,
					    __u64 *value)
{
	__u64 table = 0, entries = 0, number = 0, bound = 0;
	struct ruby_entry entry;

	*value = 0;
	if (field != RUBY_ABSENT)
		return READ_USER(*value, class + field);
	if (id == RUBY_ABSENT || READ_USER(table, class + layout->class_ext) ||
	    READ_USER(table, table + layout->ext_variables))
		return WALK_FAULT;
	if (!table)
		return WALK_COMPLETE;
	if (READ_USER(entries, table + layout->table_entries) || READ_USER(number, table + layout->table_first) ||
	    READ_USER(bound, table + layout->table_bound))
		return WALK_FAULT;
	for (int i = 0; i < RUBY_VARIABLES; i++, number++) {
		if (number >= bound)
			return WALK_COMPLETE;
		if (READ_USER(entry, entries + number * sizeof(entry)))
			return WALK_FAULT;
		if (entry.hash != RUBY_DELETED && entry.key == id) {
			*value = entry.value;
			return WALK_COMPLETE;
		}
	}
	return WALK_TRUNCATED;
}

/* Whether an object at an address is a class or a module; `flags` are the object's. */
static __always_inline bool is_ruby_module(__u64 address, __u64 *flags)
{
	__u32 type;

	*flags = 0;
	if (address & 7 || READ_USER(*flags, address))
		return false;
	type = *flags & TYPE_MASK;
	return type == TYPE_CLASS || type == TYPE_MODULE;
}

/* Takes the name of the class that a method entry is of; of a singleton class, that of its object. */
static __always_inline void take_ruby_class(struct scratch *s, const struct ruby_layout *layout, __u64 method)
{
	__u64 class = 0, flags, path = 0;
	bool has_name = true;

	s->name.head.details |= RUBY_NAME_METHOD;
	if (READ_USER(class, method + layout->method_owner) || !is_ruby_module(class, &flags))
		return;
	if ((flags & TYPE_MASK) == TYPE_CLASS && flags >> (layout->class_singleton_bit & 63) & 1) {
		s->name.head.details |= RUBY_NAME_SINGLETON;
		if (read_class_field(layout, class, layout->class_attached, layout->class_attached_id, &class))
			return;
		has_name = is_ruby_module(class, &flags);
		if (!flags && class && !(class & 7))
			return;	/* not resident */
	}
	if (has_name && read_class_field(layout, class, layout->class_path, layout->class_path_id, &path))
		return;
	if (path)
		take_ruby_string(s, layout, 2, path);
	else
		take_text(s, 2, 0, 0);
}

/* Takes the name that a number stands for. */
static __always_inline void take_ruby_id(struct scratch *s, const struct ruby_layout *layout, __u64 id)
{
	__u64 table = s->walk.root + (__s64)(__s32)layout->global_symbols, names = 0, name = 0;
	__u32 number = id <= layout->last_operator_id ? id : id >> (layout->id_scope_bits & 63), last = 0;
	__u32 in_block = layout->ids_per_block;

	if (layout->global_symbols == RUBY_ABSENT || !in_block || READ_USER(last, table + layout->symbols_last_id) ||
	    !number || number > last || READ_USER(names, table + layout->symbols_ids))
		return;
	if (read_ruby_element(s, layout, names, number / in_block, &names) ||
	    read_ruby_element(s, layout, names, number % in_block * layout->ids_block_stride, &name))
		return;
	take_ruby_string(s, layout, 0, name);
}

/* Takes the name of a method that is a C function. */
static __always_inline void take_cfunc_name(struct scratch *s, const struct ruby_layout *layout, __u64 method)
{
	__u64 definition = 0, id = 0;

	if (READ_USER(definition, method + layout->method_definition) ||
	    READ_USER(id, definition + layout->definition_id))
		return;
	take_ruby_id(s, layout, id);
	take_ruby_class(s, layout, method);
}

/* Finds the type of the iseq, or of the one that it is a part of. Nonzero when a page is not resident. */
static __always_inline int find_local_type(const struct ruby_layout *layout, __u64 iseq, __u64 body, __u32 *type)
{
	__u64 local = 0;

	if (READ_USER(local, body + layout->body_local_iseq))
		return WALK_FAULT;
	if (local != iseq && READ_USER(body, local + layout->iseq_body))
		return WALK_FAULT;
	return READ_USER(*type, body + layout->body_type) ? WALK_FAULT : WALK_COMPLETE;
}

/*
 * Goes from a body outwards to the one whose label is shown: out of blocks, which it counts, of rescues, ensures and
 * evals. `line_body` becomes the one whose first line counts. Nonzero when a page is not resident, or it is far.
 */
static __always_inline int find_labelled(struct scratch *s, const struct ruby_layout *layout, __u64 *body,
					 __u64 *line_body, __u32 *type)
{
	__u64 parent = 0;
	bool leads = false, is_part, is_inside;

	for (int i = 0; i < RUBY_OUTWARDS; i++) {
		if (READ_USER(*type, *body + layout->body_type))
			return WALK_FAULT;
		is_part = *type == layout->body_type_rescue || *type == layout->body_type_ensure;
		is_inside = is_part || *type == layout->body_type_eval;
		if (!i && is_part) {
			leads = true;
			s->name.head.details |= RUBY_NAME_PART;
		}
		if (leads && !is_inside) {
			leads = false;
			*line_body = *body;
		}
		if (*type == layout->body_type_block)
			s->name.head.details += 1 << RUBY_NAME_LEVELS;
		else if (!is_inside)
			return WALK_COMPLETE;
		if (READ_USER(parent, *body + layout->body_parent_iseq) ||
		    READ_USER(*body, parent + layout->iseq_body))
			return WALK_FAULT;
	}
	return WALK_TRUNCATED;
}

/* Takes the label of an iseq that runs for `method` (0: for none), and where it stands. */
static __always_inline void take_iseq_name(struct scratch *s, const struct ruby_layout *layout, __u64 iseq,
					   __u64 method)
{
	__u64 body = 0, labelled, line_body, line = 0;
	bool is_method;
	__u32 type = 0;

	if (READ_USER(body, iseq + layout->iseq_body))
		return;
	labelled = line_body = body;
	if (layout->labels_by_method ? find_labelled(s, layout, &labelled, &line_body, &type)
				     : find_local_type(layout, iseq, body, &type))
		return;
	is_method = method && type == layout->body_type_method;
	if (READ_USER(line, line_body + layout->body_first_line))
		return;
	s->name.head.first_line = line >> (layout->body_first_line_tag_bits & 63) & 0x7fffffff;
	take_ruby_text(s, layout, 0, labelled + (is_method && layout->labels_by_method ? layout->body_base_label
										      : layout->body_label));
	if (is_method) {
		take_ruby_text(s, layout, 1, labelled + layout->body_base_label);
		take_ruby_class(s, layout, method);
	}
	take_ruby_path(s, layout, body);
}

/* As symbolizers/ruby/taken.py has it. */
static __always_inline bool is_ruby_name_whole(const struct scratch *s, bool is_cfunc)
{
	if (!is_cfunc && !HAS_TEXT(s, 3))
		return false;
	return !(s->name.head.details & RUBY_NAME_METHOD) || (HAS_TEXT(s, 2) && (is_cfunc || HAS_TEXT(s, 1)));
}

/* Names the next of the fresh frames. Returns whether none is left. */
EACH int each_name_ruby(void *data)
{
	struct scratch *s = WALK_AGAIN(data);
	const struct interpreter_frame *frame;
	const struct ruby_layout *layout;

	if (!s)
		return 1;
	layout = layout_at_hand(s);
	frame = layout ? next_fresh(s) : NULL;
	if (!frame)
		return 1;
	if (frame->address >> KIND_SHIFT == RUBY_CFUNC)
		take_cfunc_name(s, layout, frame->owner);
	else
		take_iseq_name(s, layout, frame->address & ADDRESS_MASK, frame->owner);
	if (HAS_TEXT(s, 0))
		send_name(s, is_ruby_name_whole(s, frame->address >> KIND_SHIFT == RUBY_CFUNC));
	return 0;
}

int on_name_ruby(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();

	if (!s)
		return 0;
	CALL_AGAIN(each_name_ruby, NAMES_PER_RUN, s);
	return next_names(ctx, s);
}

#endif
