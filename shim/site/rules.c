/* rules.c: the rules of this process: read at start, counted later. */
#include "site/rules.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "kernel/say.h"
#include "kernel/sysfs.h"
#include "options.h"
#include "pmd/atomic.h"
#include "table.h"

TABLE struct rules site_rules;

static const struct rules *now = &site_rules;

const struct rules *rules_now(void)
{
	return at_acquire(&now);
}

void rules_set(const struct rules *r)
{
	at_publish(&now, r);
}

const struct rule *rules_titled(const struct rules *r, const char *title)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rule[i].title, title) == 0)
			return &r->rule[i];
	return NULL;
}

const struct rule *rules_named(const char *title)
{
	return rules_titled(rules_now(), title);
}

bool rules_need_nodes(const struct rules *r)
{
	if (r->count && kernel->nodes() > 1)
		return true;
	for (size_t i = 0; i < r->count; i++)
		if (r->rule[i].plan.node_mode != NODE_DEFAULT)
			return true;
	return false;
}

const struct plan *rule_plan(const struct rule *rule)
{
	return rule->earlier ? rule->earlier : &rule->plan;
}

static void complain_of_file(const char *path, const char *what, rules_complaint complain)
{
	char line[1024];

	say_into(line, sizeof(line), "%s: %s", path, what);
	complain(line);
}

unsigned rules_read(struct rules *r, const char *path, char *text, rules_complaint complain)
{
	/* One byte more than may be there, to notice it, and the NUL. */
	long length = sysfs_read(path, text, RULES_TEXT_MAX + 2);
	char what[128];

	r->count = r->needs = 0;
	if (length < 0) {
		const char *reason = strerrordesc_np((int)-length);

		say_into(what, sizeof(what), "cannot be read: %s",
		         reason ? reason : "unknown error");
		complain_of_file(path, what, complain);
		return 1;
	}
	if (length > RULES_TEXT_MAX) {
		say_into(what, sizeof(what), "too big; accepted: at most %d KiB",
		         RULES_TEXT_MAX >> 10);
		complain_of_file(path, what, complain);
		return 1;
	}
	return rules_parse(r, text, (size_t)length, path, complain);
}

/* A file that is no rule file at all may have a mistake in each line. */
static void complain_to_stderr(const char *line)
{
	enum { SHOWN = 10 };
	static unsigned shown;

	if (shown++ < SHOWN)
		say("%s", line);
	else if (shown == SHOWN + 2)
		say("... and so on; \"unsplit check\" tells all");
}

void rules_load(void)
{
	static TABLE char text[RULES_TEXT_MAX + 2];
	int saved_errno = errno;

	if (strcmp(options.rules, "off") == 0)
		return;
	if (rules_read(&site_rules, options.rules, text, complain_to_stderr)) {
		if (options.strict)
			_exit(2);
		say("%s: the program runs on without rules", options.rules);
	}
	errno = saved_errno;
}

unsigned rules_needs(const struct rules *r)
{
	return r->needs;
}

/* Plans and rules are constant to whoever gets them, but for their counters. */
void rules_count(const struct rule *rule, size_t bytes)
{
	struct rule *r = (struct rule *)rule;

	__atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&r->bytes, bytes, __ATOMIC_RELAXED);
}

void rules_counted(const struct rule *rule, uint64_t *count, uint64_t *bytes)
{
	*count = __atomic_load_n(&rule->count, __ATOMIC_RELAXED);
	*bytes = __atomic_load_n(&rule->bytes, __ATOMIC_RELAXED);
}

void rules_forget_counts(void)
{
	struct rules *rules = (struct rules *)rules_now();

	for (struct rule *r = rules->rule; r < rules->rule + rules->count; r++) {
		__atomic_store_n(&r->count, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&r->bytes, 0, __ATOMIC_RELAXED);
	}
}
