/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Walks the interrupted thread's PHP frames, leaf first.
 *
 * Reads: executor_globals, of which there is one (builds with one for each thread are not supported). Its bailout
 * is a jump buffer on the C stack of the thread that PHP runs on; where that is another thread's, there is
 * nothing to walk. From the current execute_data on, frame by frame, the execute_data, the start of its function,
 * and of some the instruction. Writes scratch.frames:
 *
 *   user code  {PHP_FUNCTION: opcodes, position, checksum of the op_array, owner: the op_array}
 *   a file     {PHP_INCLUDE …: the same}, where the caller's instruction says that it loads a file
 *   internal   {PHP_INTERNAL: function, 0, checksum of the function, 0}
 *
 * The running instruction of a caller is in its execute_data. That of the leaf is in a register (gcc builds of
 * PHP reserve r15 for it), and in its execute_data only where it can throw: what is there may be old, or was never
 * written. So each is believed only if it points at an instruction of the function, and the latter not where JIT
 * compiled code runs, which is outside of PHP's own file. Frames without a name that PHP's own backtraces pass over
 * (the bottom of a fiber, say) are passed over. Every loop is bounded whatever the target's pointers say. A deep
 * stack takes several runs: next_walk() begins another one while walk_php() says WALK_TRUNCATED.
 */
#ifndef PIDFLAME_WALK_PHP_H
#define PIDFLAME_WALK_PHP_H

#include "maps.h"
#include "arch_x86_64.h"
#include "php_layout.h"

#define CALL_TOP (1 << 17)	/* ZEND_CALL_TOP: C code called the evaluation loop for it */
#define PHP_STEPS_PER_RUN 60	/* what the verifier can follow in little time */
#define MOST_PHP_STACK_BYTES (8ULL << 20)	/* a usual limit of the C stack */

#define IN_FUNCTION(type, offset) \
	(*(type *)((__u8 *)s->window + ((offset) & (WINDOW_BYTES / 2 - 1))))

/* The address of what lies `displacement` (a signed number) from the root. */
static __always_inline __u64 php_address(const struct scratch *s, __u32 displacement)
{
	return s->walk.root + (__s64)(__s32)displacement;
}

/* Finds the leaf, if the thread runs PHP; walk->frame stays 0 otherwise. Nonzero when a page is not resident. */
static __always_inline int begin_php_walk(const struct scratch *s, struct php_walk *walk,
					  const struct php_layout *layout)
{
	__u64 bailout = 0;

	walk->begun = 1;
	if (READ_USER(bailout, s->walk.root + layout->bailout))
		return WALK_ROOT_FAULT;
	if (!bailout || bailout - s->registers[REGISTER_STACK_POINTER] >= MOST_PHP_STACK_BYTES)
		return WALK_COMPLETE;
	return READ_USER(walk->frame, s->walk.root + layout->current_frame) ? WALK_FAULT : WALK_COMPLETE;
}

/* Takes what is captured of a function from the window. */
static __always_inline void take_php_function(struct scratch *s, struct php_function *function,
					      const struct php_layout *layout, bool is_internal)
{
	__u32 place = is_internal ? layout->internal_handler : layout->function_filename;

	function->name = IN_FUNCTION(__u64, FUNCTION_NAME);
	function->opcodes = is_internal ? 0 : IN_FUNCTION(__u64, layout->function_opcodes);
	function->last = is_internal ? 0 : IN_FUNCTION(__u32, layout->function_last);
	s->checked[0] = function->opcodes;
	s->checked[1] = function->name;
	s->checked[2] = IN_FUNCTION(__u64, FUNCTION_SCOPE);
	s->checked[3] = IN_FUNCTION(__u64, place);
	s->checked[4] = is_internal ? 0 : IN_FUNCTION(__u64, layout->function_lines);
	s->checked[5] = function->last;
	function->checksum = checksum_words(s->checked);
}

/*
 * Has the start of the function at `address` in the window: as much as there is of one of user code, or, where
 * that goes beyond a page, as much as there is of any. Nonzero when a page is not resident.
 */
static __always_inline int read_php_window(struct scratch *s, const struct php_layout *layout, __u64 address)
{
	__u64 whole = layout->function_lines + sizeof(__u64), least = layout->internal_handler + sizeof(__u64);

	SHOW_BOUNDS(whole);
	SHOW_BOUNDS(least);
	if (whole > WINDOW_BYTES / 2 || least > WINDOW_BYTES / 2)
		return WALK_TORN;
	if (address % PAGE_SIZE + whole > PAGE_SIZE) {
		if (read_user(s->window, least, (const void *)address))
			return WALK_FAULT;
		if (IN_FUNCTION(__u8, 0) == INTERNAL_FUNCTION)
			return WALK_COMPLETE;
	}
	return read_user(s->window, whole, (const void *)address) ? WALK_FAULT : WALK_COMPLETE;
}

/* Has the function at `address` in walk->function. */
static __always_inline int read_php_function(struct scratch *s, struct php_walk *walk,
					     const struct php_layout *layout, __u64 address)
{
	struct php_function *function = &walk->function;
	int status;
	__u8 type;

	if (address == function->address)
		return WALK_COMPLETE;	/* it calls itself */
	status = read_php_window(s, layout, address);
	if (status != WALK_COMPLETE)
		return status;
	type = IN_FUNCTION(__u8, 0);
	if (type != INTERNAL_FUNCTION && type != USER_FUNCTION && type != EVAL_CODE)
		return WALK_TORN;
	function->address = address;
	take_php_function(s, function, layout, type == INTERNAL_FUNCTION);
	return WALK_COMPLETE;
}

/* Bytes from the first opcode of the function at hand to `opline`, if that is one of them. */
static __always_inline __u32 position_of(const struct php_function *function, __u64 opline)
{
	__u64 position = opline - function->opcodes;

	return position < (__u64)function->last * OPCODE_BYTES && !(position % OPCODE_BYTES) ? position
											     : PHP_POSITION_UNKNOWN;
}

/* The opline that the leaf runs, as the register says, or else, in PHP's own code, its frame; 0 for neither. */
static __always_inline __u64 leaf_opline(const struct scratch *s, const struct php_walk *walk,
					 const struct php_layout *layout, bool *is_certain)
{
	__u64 in_code = s->registers[REGISTER_INSTRUCTION] - php_address(s, layout->code_start);
	__u64 opline = s->registers[REGISTER_R15];

	*is_certain = position_of(&walk->function, opline) != PHP_POSITION_UNKNOWN ||
		      opline - s->walk.root - layout->exception_op < EXCEPTION_OPCODES * OPCODE_BYTES;
	if (*is_certain)
		return opline;
	return in_code < layout->code_bytes ? walk->now.opline : 0;
}

/* Where the frame at hand is; while an exception is handled, that is at the opline that raised. */
static __always_inline __u32 php_position(const struct scratch *s, const struct php_walk *walk,
					  const struct php_layout *layout, bool *is_certain)
{
	__u64 opline = walk->now.opline;

	*is_certain = true;
	if (!walk->is_below_leaf)
		opline = leaf_opline(s, walk, layout, is_certain);
	if (opline - s->walk.root - layout->exception_op < EXCEPTION_OPCODES * OPCODE_BYTES &&
	    READ_USER(opline, s->walk.root + layout->exception_opline))
		return PHP_POSITION_UNKNOWN;
	return position_of(&walk->function, opline);
}

/*
 * How the caller, the execute_data at `caller`, loads the file whose frame is at hand: the kind of that frame.
 * Nonzero when a page is not resident.
 */
static __always_inline int find_file_kind(__u64 caller, __u64 *kind)
{
	struct php_caller from = {};
	struct php_opline opline = {};
	__u8 type = 0;

	*kind = PHP_FUNCTION;
	if (!caller)
		return WALK_COMPLETE;
	if (READ_USER(from, caller) || (from.function && READ_USER(type, from.function)))
		return WALK_FAULT;
	if (type != USER_FUNCTION && type != EVAL_CODE)
		return WALK_COMPLETE;
	if (READ_USER(opline, from.opline + OPCODE_EXTENDED_VALUE))
		return WALK_FAULT;
	if (opline.opcode != INCLUDE_OR_EVAL)
		return WALK_COMPLETE;
	if (opline.extended_value == BY_INCLUDE || opline.extended_value == BY_INCLUDE_ONCE)
		*kind = opline.extended_value == BY_INCLUDE ? PHP_INCLUDE : PHP_INCLUDE_ONCE;
	else if (opline.extended_value == BY_REQUIRE || opline.extended_value == BY_REQUIRE_ONCE)
		*kind = opline.extended_value == BY_REQUIRE ? PHP_REQUIRE : PHP_REQUIRE_ONCE;
	return WALK_COMPLETE;
}

/* Writes a frame of the function at hand, which is user code and then of this kind, to `slot`. */
static __always_inline void write_php_frame(struct scratch *s, const struct php_walk *walk, __u64 slot,
					    __u64 kind, __u32 position)
{
	struct interpreter_frame *frame = frame_at(s, slot);
	const struct php_function *function = &walk->function;

	if (function->opcodes) {
		frame->address = kind << KIND_SHIFT | (function->opcodes & ADDRESS_MASK);
		frame->position = position & ~FRAME_ENTERED;
		if (!walk->generator && walk->now.this_type & CALL_TOP)
			frame->position |= FRAME_ENTERED;
		frame->owner = function->address;
	} else {
		frame->address = (__u64)PHP_INTERNAL << KIND_SHIFT | (function->address & ADDRESS_MASK);
		frame->position = 0;
		frame->owner = 0;
	}
	frame->checksum = function->checksum;
	mix_code(s, frame->address, frame->checksum);
}

/*
 * Finds the function that the frame at hand, which is at `position`, calls without a frame: walk->frameless. It is
 * captured first, in the next step.
 */
static __always_inline int find_frameless(const struct scratch *s, struct php_walk *walk,
					  const struct php_layout *layout, __u32 position)
{
	__u64 address = walk->function.opcodes + position, functions = 0;
	struct php_opline opline = {};

	if (layout->frameless_functions == PHP_ABSENT || position == PHP_POSITION_UNKNOWN ||
	    address == walk->plain_opline || walk->with_callee == walk->frame)
		return WALK_COMPLETE;
	if (READ_USER(opline, address + OPCODE_EXTENDED_VALUE))
		return WALK_FAULT;
	if (opline.opcode < FRAMELESS_FIRST || opline.opcode > FRAMELESS_LAST) {
		walk->plain_opline = address;
		return WALK_COMPLETE;
	}
	if (READ_USER(functions, php_address(s, layout->frameless_functions)))
		return WALK_FAULT;
	functions += opline.extended_value * sizeof(__u64);
	return READ_USER(walk->frameless, functions) ? WALK_FAULT : WALK_COMPLETE;
}

/* Captures the frame at hand, whose function is, to `slot`; not yet where it calls another without a frame. */
static __always_inline int capture_php_frame(struct scratch *s, struct php_walk *walk,
					     const struct php_layout *layout, __u64 slot)
{
	__u64 kind = PHP_FUNCTION;
	bool is_certain = false;
	__u32 position = 0;
	int status = WALK_COMPLETE;

	if (walk->function.opcodes) {
		position = php_position(s, walk, layout, &is_certain);
		if (is_certain && !walk->generator)
			status = find_frameless(s, walk, layout, position);
		if (status != WALK_COMPLETE || READ_BACK(walk->frameless))
			return status;
		if (!walk->function.name)
			status = find_file_kind(walk->now.previous, &kind);
		if (status != WALK_COMPLETE)
			return status;
	}
	write_php_frame(s, walk, slot, kind, position);
	return WALK_COMPLETE;
}

/* Goes past the placeholder at hand: to the generators that it stands for, if it does so. */
static __always_inline int begin_php_generators(struct scratch *s, struct php_walk *walk,
						const struct php_layout *layout)
{
	__u64 class = 0, generators = 0;

	walk->frame = walk->now.previous;
	if ((walk->now.this_type & 0xf) != TYPE_OBJECT)
		return WALK_COMPLETE;
	if (READ_USER(class, walk->now.this + OBJECT_CLASS) ||
	    READ_USER(generators, php_address(s, layout->generator_class)))
		return WALK_FAULT;
	if (class == generators) {
		walk->generator = walk->outermost = walk->now.this;
		walk->delegating = walk->counted = 0;
	}
	return WALK_COMPLETE;
}

/*
 * Finds the execute_data whose turn it is; 0 where there is none yet. Generators that delegate to others (yield
 * from) do not run, but stand between the one that does and what resumed it, and are linked from the outermost
 * inwards. So they are counted first, and then have their turns, the outermost one in the last slot.
 */
static __always_inline int find_php_turn(struct php_walk *walk, const struct php_layout *layout, __u64 *turn)
{
	__u64 frame = 0, inner = 0;

	*turn = walk->frame;
	if (!walk->generator)
		return WALK_COMPLETE;
	if (READ_USER(frame, walk->generator + layout->generator_frame) ||
	    READ_USER(inner, walk->generator + layout->generator_parent))
		return WALK_FAULT;
	*turn = walk->counted ? frame : 0;
	walk->inner = inner;
	if (walk->counted)
		return WALK_COMPLETE;
	walk->delegating += frame != walk->callee;
	walk->generator = inner;
	if (frame == walk->callee || !inner || walk->delegating >= MAX_INTERPRETER_FRAMES) {
		walk->counted = walk->delegating;
		walk->generator = walk->counted ? walk->outermost : 0;
	}
	return WALK_COMPLETE;
}

/* Goes on to what is next, after the execute_data at `turn` was captured or passed over. */
static __always_inline void end_php_turn(struct scratch *s, struct php_walk *walk, __u64 turn, bool is_captured)
{
	if (!walk->generator) {
		walk->callee = turn;
		walk->frame = walk->now.previous;
		s->walk.count += is_captured;
		return;
	}
	if (walk->delegating == walk->counted)
		walk->callee = turn;
	walk->delegating -= 1;
	walk->generator = walk->delegating ? walk->inner : 0;
	if (!walk->delegating)
		s->walk.count += walk->counted;
}

/* Takes the execute_data whose turn it is, or the function that it calls without a frame. */
static __always_inline int next_php_frame(struct scratch *s, struct php_walk *walk,
					  const struct php_layout *layout, __u64 slot)
{
	__u64 turn, frameless = walk->frameless;
	bool is_shown;
	int status = find_php_turn(walk, layout, &turn);

	if (status != WALK_COMPLETE || !turn)
		return status;
	if (read_user(&walk->now, sizeof(walk->now), (const void *)turn))
		return WALK_FAULT;
	if (!walk->now.function)
		return walk->generator ? WALK_TORN : begin_php_generators(s, walk, layout);
	walk->frameless = 0;
	status = read_php_function(s, walk, layout, frameless ? frameless : walk->now.function);
	if (status != WALK_COMPLETE)
		return status;
	is_shown = walk->function.opcodes || walk->function.name;
	if (!is_shown && walk->generator)
		return WALK_TORN;	/* a generator's slot was counted */
	if (is_shown) {
		slot += walk->generator ? walk->delegating - 1 : 0;
		SHOW_BOUNDS(slot);
		if (slot >= MAX_INTERPRETER_FRAMES)
			return WALK_TRUNCATED;
		status = capture_php_frame(s, walk, layout, slot);
		if (status != WALK_COMPLETE || READ_BACK(walk->frameless))
			return status;
	}
	if (frameless) {
		walk->with_callee = turn;
		s->walk.count += is_shown;
		return WALK_COMPLETE;
	}
	walk->is_below_leaf |= is_shown;
	end_php_turn(s, walk, turn, is_shown);
	return WALK_COMPLETE;
}

/* Takes the next frame. Returns whether the run ends: walk->status. */
EACH int each_php(void *data)
{
	struct scratch *s = WALK_AGAIN(data);
	const struct php_layout *layout;
	struct php_walk *walk;
	__u64 slot;

	if (!s)
		return 1;
	walk = WALK_STATE(s, struct php_walk);
	layout = layout_at_hand(s);
	if (!layout)
		return 1;
	slot = READ_BACK(s->walk.count);
	SHOW_BOUNDS(slot);
	walk->status = WALK_COMPLETE;
	if (!READ_BACK(walk->generator) && !READ_BACK(walk->frame))
		return 1;
	walk->status = next_php_frame(s, walk, layout, slot);
	if (READ_BACK(walk->status) != WALK_COMPLETE)
		return 1;
	walk->status = WALK_TRUNCATED;
	return 0;
}

/* Does one run of a walk: s->frames from s->walk.count on. WALK_TRUNCATED says that frames are left. */
static __always_inline int walk_php(struct scratch *s, struct php_walk *walk, const struct php_layout *layout)
{
	int status = WALK_COMPLETE;

	if (!walk->begun)
		status = begin_php_walk(s, walk, layout);
	if (status != WALK_COMPLETE)
		return status;
	__builtin_memset(s->checked, 0, sizeof(s->checked));
	CALL_AGAIN(each_php, PHP_STEPS_PER_RUN, s);
	return READ_BACK(walk->status);
}

int on_php(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = walk_at_hand();
	const struct php_layout *layout;

	if (!s)
		return 0;
	layout = layout_at_hand(s);
	if (!layout)
		return 0;
	return next_walk(ctx, s, walk_php(s, WALK_STATE(s, struct php_walk), layout));
}

#endif
