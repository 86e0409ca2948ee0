/*
 * rules.h: the rules of a file, and which of them a request meets.
 */
#ifndef UNSPLIT_SITE_RULES_H
#define UNSPLIT_SITE_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "site/plan.h"
#include "site/site.h"

struct rule_frame {
	const char *function; /* demangled if C++; "" if unknown */
	const char *module;   /* file's base name */
	uint64_t offset;
};

struct rule_query {
	enum site_kind kind;
	size_t bytes;
	uint64_t site;
	const char *thread;
	const struct rule_frame *frames; /* innermost first */
	size_t frame_count;
};

struct rule {
	struct plan plan;
	char title[48];
	unsigned line;
};

struct rules {
	size_t count;
};

enum {
	RULES_NEED_SIZE = 1,
	RULES_NEED_THREAD = 2,
	RULES_NEED_CALLER = 4, /* module or caller or function of some frame */
	RULES_NEED_DEEP = 8,   /* frames above the innermost */
	RULES_NEED_KIND = 16,
};

/* What rules_load() read; count 0 if none. */
extern struct rules site_rules;

/* From options.rules; called by site_init(). */
void rules_load(void);
unsigned rules_needs(const struct rules *rules);
/* Bit i (of up to 128) is set if rule i's conditions on the stack (function, module, caller, site)
 * hold. */
void rules_match_stack(const struct rules *rules, const struct rule_query *query, uint64_t bits[2]);
/* The first of those whose conditions on kind, size and thread hold too; NULL if none. */
const struct rule *rules_choose(const struct rules *rules, const uint64_t bits[2],
                                const struct rule_query *query);

#endif
