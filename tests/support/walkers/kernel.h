/*
 * Stands in for BCC and the kernel, so that a C compiler makes a user-space program of the sampler's text. Helpers
 * are functions of harness.c.
 */
#ifndef PIDFLAME_TESTS_KERNEL_H
#define PIDFLAME_TESTS_KERNEL_H

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define PAGE_SIZE 4096
#define TICK_NS 10000000

/* What a process has mapped, in a tree of one: all of its memory is code without a file. */
struct node {
	__u64 parent, right, left;
};

struct mapping {
	__u64 start, end, page, flags;
	struct node node;
	const void *file, *operations;
};

struct memory {
	const struct node *root;
};

/* The one task, which is its own group leader and its own parent. */
struct task {
	const struct task *leader, *parent;
	__u64 start_ns, thread_pointer, program, parents_program;
	__u32 pid, tgid;
	char comm[16];
	const void *signal, *stack;
	const struct memory *memory;
};

#define TASK_GROUP_LEADER offsetof(struct task, leader)
#define TASK_REAL_PARENT offsetof(struct task, parent)
#define TASK_START_BOOTTIME offsetof(struct task, start_ns)
#define TASK_PROGRAM offsetof(struct task, program)
#define TASK_PARENTS_PROGRAM offsetof(struct task, parents_program)
#define TASK_COMM offsetof(struct task, comm)
#define TASK_PID offsetof(struct task, pid)
#define TASK_TGID offsetof(struct task, tgid)
#define TASK_SIGNAL offsetof(struct task, signal)
#define SIGNAL_LIVE 0
#define TASK_STACK offsetof(struct task, stack)
#define TASK_THREAD offsetof(struct task, thread_pointer)
#define THREAD_POINTER 0
#define TASK_MM offsetof(struct task, memory)
#define MM_TREE offsetof(struct memory, root)
#define VMA_TREE offsetof(struct mapping, node)
#define VMA_PAGE offsetof(struct mapping, page)
#define VMA_FLAGS offsetof(struct mapping, flags)
#define VMA_FILE offsetof(struct mapping, file)
#define VMA_OPERATIONS offsetof(struct mapping, operations)
/* No mapping has a file. */
#define FILE_INODE 0
#define INODE_NUMBER 0
#define INODE_BLOCK 0
#define BLOCK_DEVICE 0
#define INODE_CHANGED_S 0
#define INODE_CHANGED_NS 0

#define BPF_FUNC_probe_read_user probe_read_user
#define BPF_FUNC_probe_read_kernel probe_read_kernel
#define BPF_FUNC_ktime_get_boot_ns ktime_get_boot_ns
#define BPF_FUNC_map_lookup_elem map_lookup_elem

static long probe_read_user(void *destination, __u32 size, const void *address);
static long probe_read_kernel(void *destination, __u32 size, const void *address);
static void *map_lookup_elem(void *map, const void *key);
static long bpf_get_stack(void *context, void *buffer, __u32 size, __u64 flags);
static __u64 bpf_get_current_pid_tgid(void);
static __u64 bpf_get_current_uid_gid(void);
static __u64 bpf_get_current_cgroup_id(void);
static __u64 bpf_get_current_task(void);
static __u64 bpf_ktime_get_ns(void);
static __u64 ktime_get_boot_ns(void);
static __u32 bpf_get_smp_processor_id(void);
static __u32 bpf_get_prandom_u32(void);
static void tail_call(struct bpf_perf_event_data *context, __u32 program);
static long ringbuf_output(const void *record, __u64 size, __u64 flags);

/* BPF_ARRAY, and the share of one CPU of BPF_PERCPU_ARRAY. An index out of bounds finds nothing. */
#define BPF_ARRAY(name, leaf, count)                                                               \
	static leaf name##_entries[count];                                                         \
	static leaf *name##_lookup(const __u32 *index)                                             \
	{                                                                                          \
		return *index < (count) ? &name##_entries[*index] : NULL;                          \
	}                                                                                          \
	static const struct {                                                                      \
		leaf *(*lookup)(const __u32 *);                                                    \
	} name = {name##_lookup}
#define BPF_PERCPU_ARRAY(name, leaf, count) BPF_ARRAY(name, leaf, count)

#define BPF_F_TABLE(kind, key, leaf, name, count, flags) BPF_ARRAY(name, leaf, count)

#define BPF_ARRAY_OF_MAPS(name, inner, count)                                                      \
	static void *table_in_slot(__u32 slot);                                                    \
	static void *name##_lookup(const __u32 *index)                                             \
	{                                                                                          \
		return table_in_slot(*index);                                                      \
	}                                                                                          \
	static const struct {                                                                      \
		void *(*lookup)(const __u32 *);                                                    \
	} name = {name##_lookup}

#define TABLE_ENTRIES 1024	/* more than one sample makes */

/* A map that is searched from its start on. What is deleted makes room for the last entry. */
#define BPF_TABLE(kind, key_type, leaf, name, size)                                                \
	static struct {                                                                            \
		key_type key;                                                                      \
		leaf value;                                                                        \
	} name##_entries[TABLE_ENTRIES];                                                           \
	static __u32 name##_count;                                                                 \
	static leaf *name##_lookup(const key_type *key)                                            \
	{                                                                                          \
		for (__u32 i = 0; i < name##_count; i++)                                           \
			if (!memcmp(key, &name##_entries[i].key, sizeof(*key)))                    \
				return &name##_entries[i].value;                                   \
		return NULL;                                                                       \
	}                                                                                          \
	static void name##_update(const key_type *key, const leaf *value)                          \
	{                                                                                          \
		leaf *found = name##_lookup(key);                                                  \
		if (!found && name##_count < TABLE_ENTRIES) {                                      \
			name##_entries[name##_count].key = *key;                                   \
			found = &name##_entries[name##_count++].value;                             \
		}                                                                                  \
		if (found)                                                                         \
			*found = *value;                                                           \
	}                                                                                          \
	static void name##_delete(const key_type *key)                                             \
	{                                                                                          \
		for (__u32 i = 0; i < name##_count; i++)                                           \
			if (!memcmp(key, &name##_entries[i].key, sizeof(*key)))                    \
				name##_entries[i] = name##_entries[--name##_count];                \
	}                                                                                          \
	static const struct {                                                                      \
		leaf *(*lookup)(const key_type *);                                                 \
		void (*update)(const key_type *, const leaf *);                                    \
		void (*delete)(const key_type *);                                                  \
	} name = {name##_lookup, name##_update, name##_delete}

#define BPF_PROG_ARRAY(name, count)                                                                \
	static const struct {                                                                      \
		void (*call)(struct bpf_perf_event_data *, __u32);                                 \
	} name = {tail_call}

#define BPF_RINGBUF_OUTPUT(name, pages)                                                            \
	static const struct {                                                                      \
		long (*ringbuf_output)(const void *, __u64, __u64);                                \
	} name = {ringbuf_output}

#endif
