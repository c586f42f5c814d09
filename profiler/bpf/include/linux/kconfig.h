/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What BCC's own headers expect of a kernel source tree, for programs that touch UAPI types only.
 * With this tree as BCC_KERNEL_SOURCE no kernel headers are needed. The other headers here exist
 * because BCC includes them by name; they are empty where this one already says everything.
 */
#ifndef PIDFLAME_KCONFIG_H
#define PIDFLAME_KCONFIG_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u64 __le64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef unsigned long size_t;
typedef unsigned long uintptr_t;

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)
#define __always_inline inline __attribute__((always_inline))
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define roundup_pow_of_two(n) (1UL << (64 - __builtin_clzl((n) - 1)))

#define CONFIG_BPF_SYSCALL 1
#define PAGE_SIZE 4096

#endif
