/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Names of kernel addresses, by the kernel's own "%ps": user space runs this when a recording ends. From Linux 5.13
 * on, as `print_to`; an earlier kernel refuses the program.
 */
#ifndef PIDFLAME_SYMBOLS_H
#define PIDFLAME_SYMBOLS_H

#include "maps.h"

/* BPF_FUNC_snprintf: BCC's headers may not know it. */
static long (*print_to)(char *text, __u32 size, const char *format, const void *values, __u32 bytes) = (void *)165;

int on_symbols(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 only = 0;
	struct symbol_format *format = symbol_format.lookup(&only);
	struct symbols *s = (struct symbols *)symbols.lookup(&only);

	(void)ctx;
	if (!format || !s)
		return 0;
	for (int i = 0; i < MAX_SYMBOLS; i++) {
		if (s->addresses[i])
			print_to(s->names[i], SYMBOL_BYTES, format->text, &s->addresses[i], sizeof(__u64));
	}
	return 0;
}

#endif
