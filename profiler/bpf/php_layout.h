/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where a PHP version keeps what walk_php.h and name_php.h read. Offsets in bytes; filled by name from the layout rows in
 * symbolizers/php/layouts.py, which say what each field means; the last four are of the build, and relative to
 * the root of the walk.
 */
#ifndef PIDFLAME_PHP_LAYOUT_H
#define PIDFLAME_PHP_LAYOUT_H

/* What interpreter_frame.address points at. */
enum php_kind {
	PHP_FUNCTION = 4,	/* opcodes; owner: an op_array that has them */
	PHP_INTERNAL = 5,	/* an internal function; no owner */
	PHP_INCLUDE = 6,	/* opcodes of a file that the caller loads in this way; owner: as above */
	PHP_INCLUDE_ONCE = 7,
	PHP_REQUIRE = 8,
	PHP_REQUIRE_ONCE = 9,
};

#define PHP_ABSENT 4294967295	/* a field that the build doesn't have */
#define PHP_POSITION_UNKNOWN 4294967295	/* where no opline is believed */

/* The same in every version so far; symbolizers/php/derive.py prints them again. */
#define FUNCTION_NAME 8
#define FUNCTION_SCOPE 16
#define CLASS_NAME 8
#define STRING_LENGTH 16
#define STRING_TEXT 24
#define INTERNAL_FUNCTION 1
#define USER_FUNCTION 2
#define EVAL_CODE 4
#define OBJECT_CLASS 16
#define TYPE_OBJECT 8
#define OPCODE_BYTES 32
#define OPCODE_EXTENDED_VALUE 20
#define INCLUDE_OR_EVAL 73
#define BY_INCLUDE 2
#define BY_INCLUDE_ONCE 4
#define BY_REQUIRE 8
#define BY_REQUIRE_ONCE 16
#define FRAMELESS_FIRST 204	/* from 8.4 on, where there are frameless calls at all */
#define FRAMELESS_LAST 207
#define EXCEPTION_OPCODES 3

struct php_layout {
	__u32 current_frame;
	__u32 bailout;
	__u32 exception_op;
	__u32 exception_opline;
	__u32 function_last;
	__u32 function_opcodes;
	__u32 function_filename;
	__u32 function_lines;
	__u32 internal_handler;
	__u32 generator_frame;
	__u32 generator_parent;
	__u32 generator_class;
	__u32 frameless_functions;
	__u32 code_start;
	__u32 code_bytes;
};

/* The start of a frame of PHP's, zend_execute_data. */
struct php_execute_data {
	__u64 opline;
	__u64 call;
	__u64 return_value;
	__u64 function;
	__u64 this;
	__u32 this_type;
	__u32 arguments;
	__u64 previous;
};

/* The start of a caller's. */
struct php_caller {
	__u64 opline;
	__u64 call;
	__u64 return_value;
	__u64 function;
};

/* The end of an instruction, zend_op, from its extended value on. */
struct php_opline {
	__u32 extended_value;
	__u32 line;
	__u8 opcode;
	__u8 operand_types[3];
};

/* The function that a frame runs, as far as it is captured. */
struct php_function {
	__u64 address;		/* 0: none was read */
	__u64 name;		/* 0: none */
	__u64 opcodes;		/* 0: an internal function */
	__u32 last;		/* how many opcodes */
	__u32 checksum;
};

/* What PHP adds to struct walk, whose root is the address of executor_globals. */
struct php_walk {
	__u64 frame;		/* the next execute_data */
	__u64 callee;		/* the execute_data walked before it */
	__u64 generator;	/* of generators that delegate to each other: the next one to look at; 0: none */
	__u64 inner;		/* the generator that it delegates to */
	__u64 outermost;	/* the first of them */
	__u64 frameless;	/* the function that `frame` calls without a frame, to be captured next; 0: none */
	__u64 with_callee;	/* the execute_data for which such a function was captured */
	__u64 plain_opline;	/* an instruction that was seen to be no such call */
	__u32 begun;
	__u32 is_below_leaf;	/* whether a frame of an execute_data was captured */
	__u32 delegating;	/* how many generators are not captured yet */
	__u32 counted;		/* how many there are; 0 while they are counted */
	__u32 status;		/* how the run has gone so far (enum walk_status) */
	__u32 padding;
	struct php_execute_data now;
	struct php_function function;
};

#endif
