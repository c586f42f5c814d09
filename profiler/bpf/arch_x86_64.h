/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The part of the sampler that is specific to x86-64: where the interrupted registers and the thread pointer
 * are. The offsets TASK_THREAD and THREAD_POINTER come by -D, see profiler/capture/program.py.
 */
#ifndef PIDFLAME_ARCH_X86_64_H
#define PIDFLAME_ARCH_X86_64_H

/* The interrupted registers as words of the program's context, struct pt_regs. */
#define REGISTER_FRAME_POINTER 4	/* rbp */
#define REGISTER_INSTRUCTION 16		/* rip */
#define REGISTER_CODE_SEGMENT 17	/* cs */
#define REGISTER_STACK_POINTER 19	/* rsp */
#define USER_MODE 3			/* in the lowest bits of cs */

/* Whether user code was interrupted, and not the kernel. */
static __always_inline bool in_user_mode(const volatile __u64 *registers)
{
	return (registers[REGISTER_CODE_SEGMENT] & USER_MODE) == USER_MODE;
}

/* The thread pointer in a task_struct: task->thread.fsbase, the base of the segment fs. */
#define TASK_THREAD_POINTER (TASK_THREAD + THREAD_POINTER)

#endif
