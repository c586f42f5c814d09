/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which file the code at an address comes from, as the kernel itself knows it: found in the process's own tree of
 * mappings, at the interrupt. So it holds for every process from its first instruction on, whatever it maps later.
 *
 * The tree is read by probes that can't fault, and without its lock: whoever changes it meanwhile makes a lookup
 * fail, or find a mapping that was there a moment ago. Every loop is bounded whatever the tree holds. Linux has a
 * maple tree since 6.1 (include/linux/maple_tree.h), before that a red-black tree; BTF offsets come by -D.
 */
#ifndef PIDFLAME_CODE_MAP_H
#define PIDFLAME_CODE_MAP_H

#include "maps.h"

#define VMA_START 0	/* struct vm_area_struct begins with start and end, in all versions */
#define VMA_EXECUTABLE 4	/* VM_EXEC */
#define PAGE_SHIFT 12
#define NANOSECONDS_MASK 0x3fffffff	/* newer kernels keep a flag in the bits above */

#ifdef MM_MAPLE_TREE
/* What a pointer to a node says of it (enum maple_type), and the node's layout by type. */
#define MAPLE_NODE_BYTES 256
#define MAPLE_NODE_MASK 255ULL
#define MAPLE_TYPE_SHIFT 3
#define MAPLE_TYPE_MASK 15
#define MAPLE_LEAF_64 1
#define MAPLE_RANGE_64 2
#define MAPLE_ARANGE_64 3
#define MAPLE_PIVOTS_AT 1	/* words: behind the parent */
#define MAPLE_PIVOTS 15
#define MAPLE_ARANGE_PIVOTS 9
#define MAPLE_LEVELS 6		/* 10 * 16 ** 4 mappings and more: the limit is 65,530 */

/* The mapping around `address`, or 0. */
static __always_inline __u64 find_mapping(struct scratch *s, const void *mm, __u64 address)
{
	__u64 entry = 0;

	if (read_kernel(&entry, sizeof(entry), mm + MM_MAPLE_TREE + MAPLE_ROOT) || (entry & 3) != 2)
		return 0;
	for (int level = 0; level < MAPLE_LEVELS; level++) {
		__u64 type = entry >> MAPLE_TYPE_SHIFT & MAPLE_TYPE_MASK, before = 1, slot = 0, few = 0;

		if (read_kernel(s->window, MAPLE_NODE_BYTES, (const void *)(entry & ~MAPLE_NODE_MASK)))
			return 0;
		/* The slot behind the last pivot below the address. Without branches: the verifier would follow each. */
#pragma unroll
		for (int i = 0; i < MAPLE_PIVOTS; i++) {
			__u64 pivot = s->window[MAPLE_PIVOTS_AT + i];

			before &= (~pivot & (pivot - address)) >> 63;
			slot += before;
			if (i == MAPLE_ARANGE_PIVOTS - 1)
				few = slot;
		}
		slot = type == MAPLE_ARANGE_64 ? MAPLE_PIVOTS_AT + MAPLE_ARANGE_PIVOTS + few
					       : MAPLE_PIVOTS_AT + MAPLE_PIVOTS + slot;
		s->code.node = slot;
		slot = READ_BACK(s->code.node);
		entry = s->window[slot & (WINDOW_WORDS - 1)];
		if (type == MAPLE_LEAF_64)
			return entry;
		if (type != MAPLE_RANGE_64 && type != MAPLE_ARANGE_64)
			return 0;
	}
	return 0;
}
#else
#define TREE_LEVELS 36	/* twice what 65,530 mappings take at least */

/* struct rb_node */
struct tree_node {
	__u64 parent;
	__u64 right;
	__u64 left;
};

/* The mapping around `address`, or 0. */
static __always_inline __u64 find_mapping(struct scratch *s, const void *mm, __u64 address)
{
	__u64 node = 0, range[2] = {};
	struct tree_node links = {};

	(void)s;
	read_kernel(&node, sizeof(node), mm + MM_TREE);
	for (int level = 0; level < TREE_LEVELS; level++) {
		if (!node || read_kernel(range, sizeof(range), (const void *)(node - VMA_TREE + VMA_START)))
			return 0;
		if (read_kernel(&links, sizeof(links), (const void *)node))
			return 0;
		if (address - range[0] < range[1] - range[0])
			return node - VMA_TREE;
		node = address < range[0] ? links.left : links.right;
	}
	return 0;
}
#endif

#ifdef BACKING_PATH
/*
 * FMODE_NOACCOUNT. Of all files with it, programs map only those in a struct backing_file, whose own flag has had
 * different numbers.
 */
#define NOT_ACCOUNTED 0x20000000

/*
 * The inode that a process has opened, where the kernel has mapped another one instead: that of the file below an
 * overlay. Otherwise NULL. /proc/PID/maps tells of the one in front since Linux 6.8.
 */
static __always_inline const void *inode_in_front(const void *file)
{
	const void *entry = NULL, *inode = NULL;
	__u32 mode = 0;

	read_kernel(&mode, sizeof(mode), file + FILE_MODE);
	if (!(mode & NOT_ACCOUNTED))
		return NULL;
	read_kernel(&entry, sizeof(entry), file + BACKING_PATH);
	read_kernel(&inode, sizeof(inode), entry + ENTRY_INODE);
	return inode;
}
#else
#define inode_in_front(file) NULL
#endif

/* What identifies the file that `vma` maps; zeros for the vDSO. Returns whether there is code in a file. */
static __always_inline bool read_file_key(struct file_key *key, __u64 vma)
{
	const void *file = NULL, *inode = NULL, *block = NULL, *operations = NULL;
	__u32 nanoseconds = 0;

	key->inode = key->changed_s = 0;
	key->changed_ns = key->device = 0;
	read_kernel(&file, sizeof(file), (const void *)(vma + VMA_FILE));
	if (!file) {
		read_kernel(&operations, sizeof(operations), (const void *)(vma + VMA_OPERATIONS));
		return operations != NULL;
	}
	inode = inode_in_front(file);
	if (!inode)
		read_kernel(&inode, sizeof(inode), file + FILE_INODE);
	read_kernel(&block, sizeof(block), inode + INODE_BLOCK);
	read_kernel(&key->inode, sizeof(key->inode), inode + INODE_NUMBER);
	read_kernel(&key->device, sizeof(key->device), block + BLOCK_DEVICE);
	read_kernel(&key->changed_s, sizeof(key->changed_s), inode + INODE_CHANGED_S);
	if (read_kernel(&nanoseconds, sizeof(nanoseconds), inode + INODE_CHANGED_NS))
		return false;
	key->changed_ns = nanoseconds & NANOSECONDS_MASK;
	return true;
}

/*
 * Finds what is mapped at `address`: s->code, unless it is there already. Returns false where nothing is, or no
 * code.
 */
static __always_inline bool find_code(struct scratch *s, __u64 address)
{
	struct code *code = &s->code;
	struct unwind_table *table;
	struct file_key key = {};
	const void *mm = NULL;
	__u64 vma, page = 0;

	if (address - code->start < code->bytes)
		return true;
	code->bytes = code->chunks = code->lacks_table = 0;
	READ_TASK(mm, (const void *)bpf_get_current_task(), TASK_MM);
	if (!mm)
		return false;
	vma = find_mapping(s, mm, address);
	if (!vma || read_kernel(code->range, sizeof(code->range), (const void *)(vma + VMA_START)))
		return false;
	if (address - code->range[0] >= code->range[1] - code->range[0])
		return false;
	read_kernel(&page, sizeof(page), (const void *)(vma + VMA_PAGE));
	read_kernel(&code->flags, sizeof(code->flags), (const void *)(vma + VMA_FLAGS));
	if (!(code->flags & VMA_EXECUTABLE))
		return false;
	code->start = code->range[0];
	code->bytes = code->range[1] - code->range[0];
	code->is_generated = !read_file_key(&key, vma);
	code->offset = key.inode ? page << PAGE_SHIFT : 0;
	if (READ_BACK(code->is_generated)) {
		key.inode = 0;
		key.changed_s = s->head.start_ns / TICK_NS;
		key.changed_ns = s->head.pid;
		key.device = GENERATED_DEVICE;
		code->offset = code->start;
	}
	table = unwind_tables.lookup(&key);
	code->lacks_table = !table && !READ_BACK(code->is_generated);
	if (table) {
		code->offset -= table->base;
		code->slot = table->slot;
		code->chunks = table->chunks;
		table->used_ns = s->head.time_ns;
	}
	return true;
}

#endif
