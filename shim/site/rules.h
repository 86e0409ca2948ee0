/*
 * rules.h: the rule file: which plan for which call site.
 *
 * The format
 * ----------
 *
 *   # Comments start with "#" or ";", at the start of a line or behind a blank.
 *   [site hot-table]
 *   function = Table::grow
 *   size     = >=1M
 *   pages    = huge
 *   populate = on
 *
 *   [site everything else]
 *   pages = default
 *
 * A file has at most 128 rules and 256 KiB of text in UTF-8.  Each section is a rule; its name (1
 * to 47 bytes, each only once) is for messages and reports.  For each request for memory the rules
 * are tried in the order of the file, and the first one of which ALL matches hold decides alone:
 * what it does not set is left to the options, not to a later rule.  A rule without a match holds
 * always, so it stands last.  A rule without a setting leaves everything as it is: it makes an
 * exception from rules below it.  A key stands once in a section, one to a line; case counts.
 *
 * Matches, which say when the rule holds:
 *
 *   function = GLOB       the function of any frame that is looked at (glob.h)
 *   caller = GLOB         the function of the caller: the innermost frame that is no part of the C
 *                         or C++ runtime, neither by its file (libc, libstdc++, libunsplit, the
 *                         loader, ...) nor by its name (std::, operator new, ..., which templates
 *                         put into any file)
 *   module = GLOB         the base name of the file that this same caller's code is in: the
 *                         program's, or a library's such as libfoo.so.2
 *   size = SIZE           bytes of the request: >=1M, >1M, <=64K, <64K, 1M..4M (both in), 64K
 *   kind = KIND,...       how it is asked for: malloc (or new, calloc, ...), mmap (private),
 *                         shared (a mapping that is)
 *   thread = GLOB         the name of the thread that asks
 *   site = HASH           the 16 hex digits by which reports name a site
 *
 * The name of a C++ function is the demangled one.  A pattern without "(" need not care about
 * parameters and return types: Table::grow fits "Table::grow(int) const", and Table::grow<* fits
 * "void Table::grow<int>(int, char*)".  Where there is no caller, as in a thread that the C library
 * started for itself, neither `caller` nor `module` holds.
 *
 * Settings, which say what is done:
 *
 *   pages = huge|base|default             which pages the memory is put on
 *   populate = on|off                     whether it is made resident when it is handed out
 *   release = keep|balanced|tight         how it goes back; as the option `release`, but under
 *                                         release:tight `balanced` is as good as tight
 *   heal = on|off                         whether broken units of it are made huge again
 *   node = local|interleave|N|preferred N where it lies: on the asking thread's NUMA node, over all
 *                                         in turn, on node N only, or there while there is room
 *   name = TEXT                           what the kernel and reports call it: 1 to 47 printable
 *                                         ASCII characters without [ ] \ $ `
 *   thp = system|advised|off              huge pages in the whole process, from the first time that
 *                                         the site is seen on
 *
 * A section [plan NAME] has settings only, and holds for no request.  Programs that know of us ask
 * for it by its name (unsplit_plan_create() of unsplit.h), which they may also do with a [site
 * NAME]; so whoever runs such a program can say what its plans are.
 *
 * A mistake is told with its place, as FILE:LINE:COLUMN (both from 1; a column is a character), and
 * a file with a mistake is not used at all: half the rules may well be worse than none.
 *
 * Who reads the file
 * ------------------
 *
 * The preloaded object reads it itself, once, before main(), so that LD_PRELOAD and
 * UNSPLIT_CONF=rules:/path suffice, in a systemd unit, say; `unsplit check` uses this very code, so
 * that both always agree.  Hence a parser of our own: it must not call malloc, and it must know the
 * column.  The text stays in a static buffer, to which the rules point.
 */
#ifndef UNSPLIT_SITE_RULES_H
#define UNSPLIT_SITE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "site/plan.h"
#include "site/site.h"

enum {
	RULES_MAX = 128,
	RULES_TEXT_MAX = 256 << 10, /* bytes of a file */
	RULES_TITLE_SIZE = 48,      /* with its NUL, as plan.name */
};

/* One rule.  The globs are NULL where the file has none. */
struct rule {
	struct plan plan;
	char title[RULES_TITLE_SIZE];
	unsigned line;  /* of its [site NAME] or [plan NAME] */
	unsigned given; /* bit i: rule_keys[i] stands in the file (rules_keys.h) */
	const char *function, *module, *caller, *thread;
	uint64_t least, most; /* bytes of a request */
	unsigned kinds;       /* bits of enum site_kind; 0 for a plan that is asked for by name */
	uint64_t site;        /* if has_site */
	bool has_site;
	/* The same plan, of the rules that were loaded before these; NULL if there was none. */
	const struct plan *earlier;
	/* What it decided so far; touched by rules_count() and read by rules_counted() only. */
	uint64_t count, bytes;
};

static inline bool rule_is_plan(const struct rule *rule)
{
	return !rule->kinds;
}

/* What a query must tell for these rules; the rest of it may be left empty. */
enum {
	RULES_NEED_SIZE = 1,
	RULES_NEED_THREAD = 2,
	RULES_NEED_CALLER = 4, /* for `caller` or `module`: frames up to the first foreign one */
	RULES_NEED_DEEP = 8,   /* for `function` or `site`: all frames that are ever looked at */
	RULES_NEED_KIND = 16,
};

struct rules {
	const struct rules *before; /* that were in force before these; NULL if there were none */
	size_t count;
	unsigned needs; /* RULES_NEED_... */
	struct rule rule[RULES_MAX];
};

/* One frame of a call stack.  Neither text may be NULL. */
struct rule_frame {
	const char *function; /* demangled if C++; "" if unknown */
	const char *module;   /* file's base name */
	uint64_t offset;      /* in the file */
};

/* One request for memory. */
struct rule_query {
	enum site_kind kind;
	size_t bytes;
	uint64_t site;
	const char *thread;              /* its name; may be NULL if no rule needs it */
	const struct rule_frame *frames; /* innermost first */
	size_t frame_count;
};

/* The rules that this process started with. */
extern struct rules site_rules;
/* Those in force: others, if some were loaded since.  What this ever returned stays as it is. */
const struct rules *rules_now(void);
void rules_set(const struct rules *r);
/* Its rule of that name; NULL if there is none. */
const struct rule *rules_titled(const struct rules *r, const char *title);
/* The same, of those in force. */
const struct rule *rules_named(const char *title);
/* Whether libnuma is needed: where there are several nodes, or a rule names one. */
bool rules_need_nodes(const struct rules *r);
/* What the rule decides. */
const struct plan *rule_plan(const struct rule *rule);

/* Read `site_rules` from the file that options.rules names ("off": none).  Mistakes go to stderr;
 * then the process runs on without rules or, if strict is on, exits with status 2.  Once, while
 * there is only one thread; allocates nothing, keeps errno. */
void rules_load(void);

/* What to tell of a mistake: one call for each, with a whole line's text (no newline). */
typedef void (*rules_complaint)(const char *line);

/* Make rules of text[0..length), which is changed: the rules point into it, and text[length] must
 * be writable.  `file` is its name in complaints.  Returns the number of mistakes; if there is one,
 * there are no rules.  Takes linear time; allocates nothing, thread-safe. */
unsigned rules_parse(struct rules *r, char *text, size_t length, const char *file,
                     rules_complaint complain);
/* The same for the file at `path`; `text` has RULES_TEXT_MAX + 2 bytes and lives as long as `r`.
 * A file that cannot be read is a mistake, too. */
unsigned rules_read(struct rules *r, const char *path, char *text, rules_complaint complain);

/* RULES_NEED_..., of all rules together. */
unsigned rules_needs(const struct rules *r);

/* The smallest request of malloc that any rule may have a plan for; UINT64_MAX if none has. */
uint64_t rules_least(const struct rules *r);

/* Set the bits of the rules whose `function`, `module`, `caller` and `site` hold.  That depends on
 * the frames and the site alone, so it may be kept with the site.  Pure. */
void rules_match_stack(const struct rules *r, const struct rule_query *q, uint64_t bits[2]);
/* The first of those rules of which `kind`, `size` and `thread` hold, too; NULL if there is none.
 * Pure. */
const struct rule *rules_choose(const struct rules *r, const uint64_t bits[2],
                                const struct rule_query *q);

/* The caller among these frames; NULL if there is none.  Pure. */
const struct rule_frame *rules_caller(const struct rule_frame *frames, size_t count);

/* Count a request that `rule` decided.  Thread-safe, async-signal-safe. */
void rules_count(const struct rule *rule, size_t bytes);
/* What was counted. */
void rules_counted(const struct rule *rule, uint64_t *count, uint64_t *bytes);
/* Forget what was counted: in a forked child, whose report shall hold its own requests only. */
void rules_forget_counts(void);

#endif
