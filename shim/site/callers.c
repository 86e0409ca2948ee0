#include "site/callers.h"

#include "options.h"
#include "pmd/atomic.h"
#include "site/modules.h"
#include "site/rules.h"
#include "site/symbols.h"

const void *callers_plain[1 << CALLERS_BITS];

static struct caller {
	const void *pc;
	uint64_t bits[2]; /* the rules whose conditions on the stack hold */
} callers[1 << CALLERS_BITS];

static void match(const void *pc, uint64_t bits[2])
{
	bits[0] = bits[1] = 0;
	if (!site_rules.count)
		return;
	struct place place = module_place(pc);
	struct rule_frame frame = {
		.function = symbol_of(&place),
		.module = place.module->name,
		.offset = place.offset,
	};
	struct rule_query query = {.frames = &frame, .frame_count = 1};

	rules_match_stack(&site_rules, &query, bits);
}

/* The address is there only while the bits are its own. */
static void remember(struct caller *c, const void *pc, const uint64_t bits[2])
{
	at_set(&c->pc, NULL);
	at_publish(&c->bits[0], bits[0]);
	at_publish(&c->bits[1], bits[1]);
	at_publish(&c->pc, pc);
	/* What is to be sampled must come by. */
	if (!(bits[0] | bits[1]) && !options.sites)
		at_set(&callers_plain[caller_hash(pc)], pc);
}

void caller_bits(const void *pc, uint64_t bits[2])
{
	struct caller *c = &callers[caller_hash(pc)];

	if (at_acquire(&c->pc) == pc) {
		bits[0] = at_acquire(&c->bits[0]);
		bits[1] = at_acquire(&c->bits[1]);
		if (at_get(&c->pc) == pc)
			return;
	}
	match(pc, bits);
	remember(c, pc, bits);
}
