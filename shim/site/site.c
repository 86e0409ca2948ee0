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

static unsigned needs; /* of the rules: RULES_NEED_... */

/* How many frames tell a site; 0 if nobody asks where a request comes from. */
static size_t frames_wanted;

/* Whether a rule asks for functions or modules, whose names cost a look into files. */
static bool names_matter;

/* The rules that ask nothing of the stack: for when frames_wanted is 0. */
static uint64_t bits_anywhere[2];

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

static void name_frames(struct rule_frame *named, const struct frames *f, const site_frame *frames)
{
	for (size_t i = 0; i < f->count; i++) {
		struct place place = module_place(f->pcs[i]);

		named[i] = (struct rule_frame){
			.function = symbol_of(&place),
			.module = site_frame_module(frames[i])->name,
			.offset = site_frame_offset(frames[i]),
		};
	}
}

static void match(struct site *made, const struct frames *f)
{
	struct rule_frame named[FRAMES_MOST];
	struct rule_query query = {
		.site = made->hash,
		.frames = named,
		.frame_count = f->count,
	};

	if (!site_rules.count)
		return;
	if (names_matter)
		name_frames(named, f, made->frames);
	else
		query.frame_count = 0;
	rules_match_stack(&site_rules, &query, made->bits);
}

static void tell_caller(const struct site *site, const struct frames *f)
{
	struct rule_frame named[FRAMES_MOST];

	name_frames(named, f, site->frames);
	learn_caller(site, rules_caller(named, f->count));
}

/* Fill in what is known of the site itself, and find or add it.  If there is no room for it, it is
 * known for this once. */
static __attribute__((noinline)) struct site *learn(struct site *made, const void *caller,
                                                    uintptr_t at)
{
	int saved_errno = errno;
	struct frames f;

	frames_find(&f, caller, frames_wanted);
	made->frame_count = (uint16_t)f.count;
	for (size_t i = 0; i < f.count; i++) {
		struct place place = module_place(f.pcs[i]);

		made->frames[i] = site_frame_make(&place);
	}
	made->hash = sites_hash(made->frames, f.count);
	struct site *site = sites_find(made->hash);
	if (!site) {
		match(made, &f);
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

static const struct rule *choose(const uint64_t bits[2], enum site_kind kind, size_t bytes,
                                 uint64_t hash)
{
	char thread[16] = "";
	struct rule_query query = {.kind = kind, .bytes = bytes, .site = hash, .thread = thread};

	if (!(bits[0] | bits[1]))
		return NULL;
	if (needs & RULES_NEED_THREAD)
		prctl(PR_GET_NAME, thread);
	return rules_choose(&site_rules, bits, &query);
}

static const struct rule *choose_for(struct site *site, enum site_kind kind, size_t bytes)
{
	const struct rule *rule = choose(site->bits, kind, bytes, site->hash);

	if (rule && at_get(&site->rule) != rule)
		at_set(&site->rule, rule);
	return rule;
}

/* Of a stack not seen before. */
static __attribute__((noinline)) const struct rule *first_sight(enum site_kind kind, size_t bytes,
                                                                const void *caller, uintptr_t at)
{
	struct site made = {0};
	struct site *site = learn(&made, caller, at);

	mine.last = site;
	if (!site) {
		stat_add(sites_missed, 1);
		return choose_for(&made, kind, bytes);
	}
	count(site, kind, 1, bytes);
	return choose_for(site, kind, bytes);
}

static const struct rule *look_up(enum site_kind kind, size_t bytes, const void *caller,
                                  uintptr_t at)
{
	struct site *site;

	if (!frames_wanted)
		return choose(bits_anywhere, kind, bytes, 0);
	site = stacks_find(caller, at);
	if (!site)
		return first_sight(kind, bytes, caller, at);
	mine.last = site;
	count(site, kind, 1, bytes);
	return choose_for(site, kind, bytes);
}

static const struct rule *look_up_small(size_t bytes, const void *caller)
{
	int saved_errno = errno;
	uint64_t bits[2] = {0};

	caller_bits(caller, bits);
	errno = saved_errno;
	return choose(bits, SITE_MALLOC, bytes, 0);
}

const struct plan *site_lookup(enum site_kind kind, size_t bytes, const void *caller)
{
	bool small = kind == SITE_MALLOC && bytes < LOOKED_UP;
	const struct rule *rule;

	if ((small && !site_small) || !enter())
		return NULL;
	rule = small ? look_up_small(bytes, caller)
	             : look_up(kind, bytes, caller, (uintptr_t)__builtin_frame_address(0));
	leave();
	if (!rule)
		return NULL;
	rules_count(rule, bytes);
	process_thp_apply((enum plan_thp)rule->plan.thp);
	return &rule->plan;
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
		site = learn(&made, caller, at);
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

/* ---- start ---- */

static size_t how_many_frames(void)
{
	if (options.sites || needs & RULES_NEED_DEEP)
		return options.site_frames;
	return needs & RULES_NEED_CALLER ? 1 : 0;
}

static bool names_wanted(void)
{
	for (size_t i = 0; i < site_rules.count; i++) {
		const struct rule *rule = &site_rules.rule[i];

		if (rule->function || rule->caller || rule->module)
			return true;
	}
	return false;
}

static bool needs_symbols(void)
{
	return names_matter || strcmp(options.learn, "off") != 0;
}

static bool prepare_tables(void)
{
	modules_init();
	if (!sites_init() && !stacks_init(frames_wanted) && !(needs_symbols() && symbols_init()))
		return true;
	say("no address space for a table of call sites; rules and sites are off");
	return false;
}

/* So that nothing is left to be set up by a request in a signal handler. */
static void warm_up(void)
{
	struct frames f;

	frames_find(&f, __builtin_return_address(0), frames_wanted);
}

void site_init(void)
{
	struct rule_query anywhere = {0};

	rules_load();
	needs = rules_needs(&site_rules);
	if (!options.sites && !site_rules.count)
		return;
	frames_wanted = how_many_frames();
	names_matter = names_wanted();
	rules_match_stack(&site_rules, &anywhere, bits_anywhere);
	if (frames_wanted && !prepare_tables())
		return;
	warm_up();
	learn_init();
	/* Before rules have a say: the loader's own requests may be the first to need it. */
	if (site_rules.count && kernel->nodes() > 1)
		nodes_open();
	site_small = options.sites || rules_least(&site_rules) < LOOKED_UP;
	site_active = true;
}

void site_reset(void)
{
	site_active = false;
	sites_reset();
	stacks_reset();
}
