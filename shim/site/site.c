/*
 * site.c: from a request to its site, and to the plan that the rules have for it.
 *
 * Nothing on this way takes a lock, so nothing can wait for a thread that is stopped, or that did
 * not come along to a forked child; but it may call malloc (the C++ demangler does), which must not
 * lead here again.
 */
#include "site/site.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include "kernel/nodes.h"
#include "kernel/say.h"
#include "options.h"
#include "pmd/atomic.h"
#include "pmd/meta.h"
#include "report/stats.h"
#include "process/thp.h"
#include "site/callers.h"
#include "site/frames.h"
#include "site/learn.h"
#include "site/modules.h"
#include "site/rules.h"
#include "site/sites.h"
#include "site/stacks.h"
#include "site/symbols.h"

/* Smaller requests are many: for them see callers.h. */
enum { LOOKED_UP = 16 << 10 };

/* Bytes of small requests between two samples, on average. */
enum { SAMPLE_MEAN = 512 << 10 };

bool site_active, site_small;

static bool started; /* site_init() is over */

/* The rules in force, and what follows from them.  Others take their place when other rules are
 * loaded; a request goes by one of them from its start to its end. */
struct regime {
	const struct rules *rules;
	unsigned needs; /* of the rules: RULES_NEED_... */
	/* How many frames tell a site; 0 if nobody asks where a request comes from. */
	size_t frames;
	/* Whether a rule asks for functions or modules, whose names cost a look into files. */
	bool names;
	/* The rules that ask nothing of the stack: for when `frames` is 0. */
	uint64_t anywhere[2];
};

static const struct regime *in_force; /* NULL until there is one */

static __thread struct {
	bool busy;
	uint32_t random;
	int64_t until_sample; /* bytes */
	struct site *last;    /* looked up */
} mine __attribute__((tls_model("initial-exec")));

static bool enter(void)
{
	if (mine.busy)
		return false;
	*(volatile bool *)&mine.busy = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return true;
}

static void leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*(volatile bool *)&mine.busy = false;
}

/* ---- a stack seen for the first time ---- */

static struct place place_of(site_frame frame)
{
	struct module *module = site_frame_module(frame);

	return (struct place){module, site_frame_offset(frame), module->path};
}

/* `f` is NULL if the stack is gone: other rules were loaded since it was first seen. */
static size_t name_frames(struct rule_frame *named, const struct site *site, const struct frames *f)
{
	for (size_t i = 0; i < site->frame_count; i++) {
		struct place place = f ? module_place(f->pcs[i]) : place_of(site->frames[i]);

		named[i] = (struct rule_frame){
			.function = symbol_of(&place),
			.module = place.module->name,
			.offset = place.offset,
		};
	}
	return site->frame_count;
}

/* Ask the rules, and keep what they say. */
static void match(const struct regime *g, struct site *site, const struct frames *f,
                  uint64_t bits[2])
{
	struct rule_frame named[FRAMES_MOST];
	struct rule_query query = {.site = site->hash, .frames = named};

	bits[0] = bits[1] = 0;
	if (g->rules->count) {
		if (g->names)
			query.frame_count = name_frames(named, site, f);
		rules_match_stack(g->rules, &query, bits);
	}
	decided_write(&site->decided, g->rules, NULL, bits);
}

static void tell_caller(const struct site *site, const struct frames *f)
{
	struct rule_frame named[FRAMES_MOST];
	size_t count = name_frames(named, site, f);

	learn_caller(site, rules_caller(named, count));
}

/* Fill in what is known of the site itself, and find or add it.  If there is no room for it, it is
 * known for this once. */
static __attribute__((noinline)) struct site *learn(const struct regime *g, struct site *made,
                                                    const void *caller, uintptr_t at)
{
	int saved_errno = errno;
	struct frames f;
	uint64_t bits[2];

	frames_find(&f, caller, g->frames);
	made->frame_count = (uint16_t)f.count;
	for (size_t i = 0; i < f.count; i++) {
		struct place place = module_place(f.pcs[i]);

		made->frames[i] = site_frame_make(&place);
	}
	made->hash = sites_hash(made->frames, f.count);
	struct site *site = sites_find(made->hash);
	if (!site) {
		match(g, made, &f, bits);
		site = sites_add(made);
		if (site && learn_active)
			tell_caller(site, &f);
	}
	if (site)
		stacks_add(&f, at, site);
	errno = saved_errno;
	return site;
}

/* ---- requests ---- */

static void count(struct site *site, enum site_kind kind, uint64_t requests, uint64_t bytes)
{
	at_add(&site->count, requests);
	at_add(&site->bytes, bytes);
	if (!(at_get(&site->kinds) & kind))
		__atomic_fetch_or(&site->kinds, (unsigned)kind, __ATOMIC_RELAXED);
}

static const struct rule *choose(const struct regime *g, const uint64_t bits[2],
                                 enum site_kind kind, size_t bytes, uint64_t hash)
{
	char thread[16] = "";
	struct rule_query query = {.kind = kind, .bytes = bytes, .site = hash, .thread = thread};

	if (!(bits[0] | bits[1]))
		return NULL;
	if (g->needs & RULES_NEED_THREAD)
		prctl(PR_GET_NAME, thread);
	return rules_choose(g->rules, bits, &query);
}

static const struct rule *choose_for(const struct regime *g, struct site *site, enum site_kind kind,
                                     size_t bytes)
{
	uint64_t bits[2];

	if (!decided_read(&site->decided, g->rules, NULL, bits))
		match(g, site, NULL, bits);
	const struct rule *rule = choose(g, bits, kind, bytes, site->hash);

	if (rule && at_get(&site->rule) != rule)
		at_set(&site->rule, rule);
	return rule;
}

/* Of a stack not seen before. */
static __attribute__((noinline)) const struct rule *first_sight(const struct regime *g,
                                                                enum site_kind kind, size_t bytes,
                                                                const void *caller, uintptr_t at)
{
	struct site made = {0};
	struct site *site = learn(g, &made, caller, at);

	mine.last = site;
	if (!site) {
		stat_add(sites_missed, 1);
		return choose_for(g, &made, kind, bytes);
	}
	count(site, kind, 1, bytes);
	return choose_for(g, site, kind, bytes);
}

static const struct rule *look_up(const struct regime *g, enum site_kind kind, size_t bytes,
                                  const void *caller, uintptr_t at)
{
	struct site *site;

	if (!g->frames)
		return choose(g, g->anywhere, kind, bytes, 0);
	site = stacks_find(caller, at);
	if (!site)
		return first_sight(g, kind, bytes, caller, at);
	mine.last = site;
	count(site, kind, 1, bytes);
	return choose_for(g, site, kind, bytes);
}

static const struct rule *look_up_small(const struct regime *g, size_t bytes, const void *caller)
{
	int saved_errno = errno;
	uint64_t bits[2] = {0};

	caller_bits(g->rules, caller, bits);
	errno = saved_errno;
	return choose(g, bits, SITE_MALLOC, bytes, 0);
}

const struct plan *site_lookup(enum site_kind kind, size_t bytes, const void *caller)
{
	bool small = kind == SITE_MALLOC && bytes < LOOKED_UP;
	const struct rule *rule;

	if ((small && !site_small) || !enter())
		return NULL;
	const struct regime *g = at_acquire(&in_force);
	rule = small ? look_up_small(g, bytes, caller)
	             : look_up(g, kind, bytes, caller, (uintptr_t)__builtin_frame_address(0));
	leave();
	if (!rule)
		return NULL;
	rules_count(rule, bytes);
	process_thp_apply((enum plan_thp)rule->plan.thp);
	return rule_plan(rule);
}

const struct site *site_take_last(void)
{
	const struct site *last = mine.last;

	mine.last = NULL;
	return last;
}

/* ---- samples of small requests ---- */

/* Evenly spread, so that no pattern of the program's keeps in step with it. */
static int64_t next_interval(void)
{
	mine.random ^= mine.random << 13;
	mine.random ^= mine.random >> 17;
	mine.random ^= mine.random << 5;
	return 1 + (int64_t)(((uint64_t)mine.random * (2ul * SAMPLE_MEAN)) >> 32);
}

static void start_sampling(void)
{
	mine.random = (uint32_t)((uintptr_t)&mine >> 4) | 1;
	mine.until_sample = next_interval();
}

/* How many samples fall into the next `bytes`. */
static uint64_t samples_in(size_t bytes)
{
	uint64_t samples = 0;

	if (!mine.random)
		start_sampling();
	for (mine.until_sample -= (int64_t)bytes; mine.until_sample <= 0; samples++)
		mine.until_sample += next_interval();
	return samples;
}

static __attribute__((noinline)) void sample(uint64_t samples, size_t bytes, const void *caller,
                                             uintptr_t at)
{
	struct site made = {0};
	struct site *site = stacks_find(caller, at);
	uint64_t stands_for = samples * SAMPLE_MEAN;

	if (!site)
		site = learn(at_acquire(&in_force), &made, caller, at);
	if (site)
		count(site, SITE_MALLOC, (stands_for + bytes - 1) / bytes, stands_for);
	else
		stat_add(sites_missed, 1);
}

void site_sample(size_t bytes, const void *caller)
{
	uint64_t samples;

	if (!options.sites || !bytes || bytes >= LOOKED_UP || !enter())
		return;
	samples = samples_in(bytes);
	if (samples)
		sample(samples, bytes, caller, (uintptr_t)__builtin_frame_address(0));
	leave();
}

/* ---- rules come into force ---- */

/* What was told apart by more frames is told apart by as many from then on. */
static size_t how_many_frames(const struct rules *r)
{
	const struct regime *before = at_acquire(&in_force);
	size_t frames = rules_needs(r) & RULES_NEED_CALLER ? 1 : 0;

	if (options.sites || rules_needs(r) & RULES_NEED_DEEP)
		frames = options.site_frames;
	return before && before->frames > frames ? before->frames : frames;
}

static bool names_wanted(const struct rules *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->rule[i].function || r->rule[i].caller || r->rule[i].module)
			return true;
	return false;
}

static struct regime *make_regime(const struct rules *r)
{
	static struct regime first;
	struct rule_query anywhere = {0};
	struct regime *g = in_force ? meta_block(sizeof(*g)) : &first;

	if (!g)
		return NULL;
	g->rules = r;
	g->needs = rules_needs(r);
	g->frames = how_many_frames(r);
	g->names = names_wanted(r);
	rules_match_stack(r, &anywhere, g->anywhere);
	return g;
}

static bool needs_symbols(const struct regime *g)
{
	return g->names || strcmp(options.learn, "off") != 0;
}

static bool prepare_tables(const struct regime *g)
{
	static bool known; /* the modules */

	if (!known)
		modules_init(!at_get(&started));
	known = true;
	return !sites_init() && !stacks_init(g->frames) && !(needs_symbols(g) && symbols_init());
}

/* So that nothing is left to be set up by a request in a signal handler. */
static void warm_up(const struct regime *g)
{
	struct frames f;

	frames_find(&f, __builtin_return_address(0), g->frames);
}

bool site_use(const struct rules *r)
{
	struct regime *g = make_regime(r);

	if (!g || (g->frames && !prepare_tables(g)))
		return false;
	warm_up(g);
	learn_init();
	rules_set(r);
	at_publish(&in_force, g);
	callers_forget();
	at_set(&site_small, options.sites || rules_least(r) < LOOKED_UP);
	at_publish(&site_active, true);
	return true;
}

/* ---- start ---- */

void site_init(void)
{
	rules_load();
	/* Before rules have a say: the loader's own requests may be the first to need it. */
	if (rules_need_nodes(&site_rules))
		nodes_open();
	if ((options.sites || site_rules.count) && !site_use(&site_rules))
		say("no address space for a table of call sites; rules and sites are off");
	at_set(&started, true);
}

void site_reset(void)
{
	site_active = started = false;
	in_force = NULL;
	rules_set(&site_rules);
	sites_reset();
	stacks_reset();
}
