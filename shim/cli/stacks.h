/*
 * stacks.h: the call stacks of samples, from what the kernel copied of registers and stack.
 *
 * Frames are found by the unwind tables of the files that were mapped, as programs are built
 * without frame pointers.  Which files those are the kernel tells in records of its own, so that it
 * does not matter whether the process still runs when its samples are looked at.
 */
#ifndef UNSPLIT_CLI_STACKS_H
#define UNSPLIT_CLI_STACKS_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A call stack, and how often it was seen. */
struct stack_row {
	char *frames; /* "module+0xoffset", the innermost first, with ';' between */
	uint64_t count;
};

struct stacks;

/* Whether stacks can be had on this kind of processor. */
bool stacks_possible(void);
/* Ask for what is needed in the event that is sampled. */
void stacks_ask(struct perf_event_attr *attr);

struct stacks *stacks_new(void);
/* Keep a copy of a record for stacks_work(): a sample of such an event, or what the kernel tells of
 * a process.  Others are passed over. */
void stacks_take(struct stacks *s, const struct perf_event_header *record);
/* Work off what was kept.  Records of several processors are put in the order of their time. */
void stacks_work(struct stacks *s);

/* The stacks, the most frequent first.  They belong to `s`. */
size_t stacks_rows(struct stacks *s, const struct stack_row **rows);

#endif
