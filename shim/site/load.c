/* load.c: other rules, while the program runs. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "kernel/nodes.h"
#include "kernel/say.h"
#include "options.h"
#include "pmd/atomic.h"
#include "pmd/meta.h"
#include "site/rules.h"
#include "site/site.h"

/* Plans point into the rules, and the rules into the text, for as long as the process lives. */
struct loaded {
	struct rules rules;
	char text[RULES_TEXT_MAX + 2];
};

/* ---- one at a time ---- */

/* The process in which a thread loads; 0 if none does.  No mutex: what it would guard calls malloc,
 * and a forked child, in which nobody goes on with it, must not wait for ever. */
static pid_t loading;

static void begin(void)
{
	pid_t me = getpid(), other = 0;

	while (!at_cas(&loading, &other, me)) {
		if (other == me) {
			sched_yield();
			other = 0;
		}
	}
}

static void end(void)
{
	at_publish(&loading, 0);
}

/* ---- mistakes ---- */

/* Where the first goes; NULL if all go to stderr.  Guarded by `loading`. */
static char *first_mistake;
static size_t room;

static void complain(const char *line)
{
	if (!first_mistake)
		say("%s", line);
	else if (room && !*first_mistake)
		say_into(first_mistake, room, "%s", line);
}

/* ---- loading ---- */

/* The plan of a rule that ever had this name and said the same; NULL if there was none. */
static const struct plan *earlier_plan(const struct rule *rule, const struct rules *before)
{
	for (const struct rules *r = before; r; r = r->before) {
		const struct rule *old = rules_titled(r, rule->title);

		if (old && memcmp(&old->plan, &rule->plan, sizeof(rule->plan)) == 0)
			return rule_plan(old);
	}
	return NULL;
}

/* A rule that says what one of its name said before goes on with that one's plan, so that blocks of
 * both lie together. */
static void carry_over(struct rules *r, const struct rules *before)
{
	r->before = before;
	for (struct rule *rule = r->rule; rule < r->rule + r->count; rule++)
		rule->earlier = earlier_plan(rule, before);
}

static int read_rules(struct loaded *l, const char *path)
{
	if (path && rules_read(&l->rules, path, l->text, complain))
		return EINVAL;
	carry_over(&l->rules, rules_now());
	if (rules_need_nodes(&l->rules))
		nodes_open();
	return site_use(&l->rules) ? 0 : ENOMEM;
}

static int load(const char *path)
{
	struct loaded *l = meta_block(sizeof(*l));
	int error = l ? read_rules(l, path) : ENOMEM;

	if (l && error)
		meta_block_free(l, sizeof(*l));
	return error;
}

int site_load_rules(const char *path, char *mistake, size_t size)
{
	/* Learning is done without rules. */
	if (strcmp(options.learn, "off") != 0)
		return EPERM;
	begin();
	first_mistake = mistake;
	room = size;
	int error = load(path);
	end();
	return error;
}
