/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What is seen for the first time, in any frame of a stack: user space is told its name, and woken where it has to read
 * something of it.
 *
 * The code that bears a name may be gone in a moment: the body of a module that is imported, a template, eval'd
 * text. So the name is read while the target stands still (naming.h). This costs something only once for each code
 * object: for a stack all of whose code was seen before, the only cost is a lookup of its hash.
 *
 * A fork is told apart from what it was forked from, but has the code that was seen there before.
 */
#ifndef PIDFLAME_FIRST_SIGHT_H
#define PIDFLAME_FIRST_SIGHT_H

#include "maps.h"
#include "arch_x86_64.h"

/* The child has the code of its parent, and of the process that its parent was forked from. */
static __always_inline void note_fork(__u32 parent, __u32 child, __u64 now_ns)
{
	const struct origin *of_parent = origins.lookup(&parent);
	struct origin origin = {.began_ns = now_ns, .forked_ns = now_ns, .ancestor = parent};

	if (of_parent && of_parent->ancestor) {
		origin.forked_ns = of_parent->forked_ns;
		origin.ancestor = of_parent->ancestor;
	}
	origins.update(&child, &origin);
}

/* From now on the process runs another program. */
static __always_inline void note_exec(__u32 pid)
{
	struct origin origin = {.began_ns = boot_ns()};

	origins.update(&pid, &origin);
}

/* Whether user space was told of `key`, which gets its pid here, in this process itself. */
static __always_inline bool is_seen_here(const struct scratch *s, struct seen_key *key)
{
	const __u64 *since_ns;

	key->pid = s->head.pid;
	since_ns = seen.lookup(key);
	return since_ns && *since_ns >= s->sight.origin.began_ns;
}

/* The same, or before the fork. */
static __always_inline bool is_seen(const struct scratch *s, struct seen_key *key)
{
	const struct origin *origin = &s->sight.origin;
	const __u64 *since_ns;

	if (is_seen_here(s, key))
		return true;
	if (!origin->ancestor)
		return false;
	key->pid = origin->ancestor;
	since_ns = seen.lookup(key);
	return since_ns && *since_ns < origin->forked_ns;
}

static __always_inline void see(const struct scratch *s, struct seen_key *key)
{
	__u64 now_ns = s->sight.now_ns;

	key->pid = s->head.pid;
	seen.update(key, &now_ns);
}

/* Whether nothing new was seen in the process itself before. What ran before is looked into as sampling begins. */
static __always_inline bool is_new_process(const struct scratch *s)
{
	struct seen_key key = {.address = (__u64)STACK_KIND << KIND_SHIFT};

	if (!s->sight.is_recent || is_seen_here(s, &key))
		return false;
	see(s, &key);
	return true;
}

/*
 * Whether user space wants a name of the thread from its interpreter, and was not woken for `key`, the thread's: see()
 * then says that it was.
 */
static __always_inline bool is_new_thread(struct scratch *s, struct seen_key *key)
{
	__u32 only = 0;
	const struct settings *set = settings.lookup(&only);

	if (!set || !set->threads || !s->head.interpreter_frames || is_seen_here(s, key))
		return false;
	s->sight.now_ns = boot_ns();
	return true;
}

/* The key of the sample as a whole: its code objects, or the region of native code. */
static __always_inline void make_whole_key(const struct scratch *s, __u32 count, struct seen_key *key)
{
	if (count) {
		key->address = (__u64)STACK_KIND << KIND_SHIFT | s->walk.codes >> (64 - KIND_SHIFT);
		key->checksum = (__u32)s->walk.codes;
	} else {
		key->address = s->registers[REGISTER_INSTRUCTION] >> CODE_REGION_SHIFT;
	}
}

/* Whether the sample shows something new, for which on_fresh() has to look through its `count` frames. */
static __always_inline bool is_fresh(struct scratch *s, __u32 count)
{
	__u32 pid = s->head.pid;
	const struct origin *origin = origins.lookup(&pid);
	struct seen_key key = {};

	s->sight.looked = 1;
	s->sight.origin.began_ns = s->head.start_ns;
	if (origin) {
		s->sight.origin = *origin;
		s->sight.is_recent = 1;
	}
	make_whole_key(s, count, &key);
	if (is_seen(s, &key))
		return false;
	s->sight.now_ns = boot_ns();
	s->sight.wakes = 1;	/* on_fresh() may know better */
	if (!count)
		see(s, &key);
	return count;
}

#endif
