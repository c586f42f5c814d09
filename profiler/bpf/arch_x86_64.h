/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the sampler knows of x86-64 and of no other machine: where a thread's registers and its thread pointer
 * are. The offsets TASK_STACK, TASK_THREAD and THREAD_POINTER come by -D, see profiler/capture/program.py.
 */
#ifndef PIDFLAME_ARCH_X86_64_H
#define PIDFLAME_ARCH_X86_64_H

#include "maps.h"

/* Registers as words of struct pt_regs, with which the program's context begins. */
#define REGISTER_R15 0
#define REGISTER_FRAME_POINTER 4	/* rbp */
#define REGISTER_ARGUMENT 14	/* rdi, of the first one */
#define REGISTER_INSTRUCTION 16		/* rip */
#define REGISTER_CODE_SEGMENT 17	/* cs */
#define REGISTER_STACK_POINTER 19	/* rsp */
#define REGISTER_STACK_SEGMENT 20	/* ss */
#define USER_MODE 3			/* in the lowest bits of cs and ss */
#define MOST_SEGMENT 65535
#define KERNEL_STACK_BYTES 16384	/* THREAD_SIZE of a kernel without KASAN */
#define KERNEL_STACK_GAP 16		/* behind the registers on its stack, in kernels with FRED; or nothing */

/* In struct ucontext, at which the stack pointer is when a signal handler returns (struct sigcontext behind 40). */
#define SIGNAL_FRAME_POINTER 120
#define SIGNAL_STACK_POINTER 160
#define SIGNAL_INSTRUCTION 168

#define PLT_PUSHED 11	/* from this byte of its 16 on, an entry of the PLT has pushed a word */

/* Whether user code was interrupted, and not the kernel. */
static __always_inline bool in_user_mode(const volatile __u64 *registers)
{
	return (registers[REGISTER_CODE_SEGMENT] & USER_MODE) == USER_MODE;
}

/* Whether these can be the registers of user code. */
static __always_inline bool is_of_user_mode(const __u64 *registers)
{
	return registers[REGISTER_CODE_SEGMENT] <= MOST_SEGMENT && registers[REGISTER_STACK_SEGMENT] <= MOST_SEGMENT &&
	       (registers[REGISTER_CODE_SEGMENT] & registers[REGISTER_STACK_SEGMENT] & USER_MODE) == USER_MODE;
}

/*
 * Copies the registers of the thread's user code: as they were interrupted, or, where the kernel was, as they
 * were when the thread entered it, which left them at the end of its stack. Zeros for a thread of the kernel.
 */
static __always_inline void read_user_registers(__u64 found[REGISTERS], const volatile __u64 *interrupted,
						const void *task)
{
	__u64 end = 0;

	if (in_user_mode(interrupted)) {
#pragma unroll
		for (int i = 0; i < REGISTERS; i++)
			found[i] = interrupted[i];
		return;
	}
	read_kernel(&end, sizeof(end), (const __u8 *)task + TASK_STACK);
	end += KERNEL_STACK_BYTES - REGISTERS * sizeof(__u64);
	if (!read_kernel(found, REGISTERS * sizeof(__u64), (const void *)end) && is_of_user_mode(found))
		return;
	end -= KERNEL_STACK_GAP;
	if (!read_kernel(found, REGISTERS * sizeof(__u64), (const void *)end) && is_of_user_mode(found))
		return;
	__builtin_memset(found, 0, REGISTERS * sizeof(__u64));
}

/* The thread pointer in a task_struct: task->thread.fsbase, the base of the segment fs. */
#define TASK_THREAD_POINTER (TASK_THREAD + THREAD_POINTER)

#endif
