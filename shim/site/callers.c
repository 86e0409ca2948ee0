#include "site/callers.h"

#include "options.h"
#include "pmd/atomic.h"
#include "site/decided.h"
#include "site/modules.h"
#include "site/rules.h"
#include "site/symbols.h"
#include "table.h"

TABLE const void *callers_plain[1 << CALLERS_BITS];

static TABLE struct decided callers[1 << CALLERS_BITS];

static void match(const struct rules *rules, const void *pc, uint64_t bits[2])
{
	bits[0] = bits[1] = 0;
	if (!rules->count)
		return;
	struct place place = module_place(pc);
	struct rule_frame frame = {
		.function = symbol_of(&place),
		.module = place.module->name,
		.offset = place.offset,
	};
	struct rule_query query = {.frames = &frame, .frame_count = 1};

	rules_match_stack(rules, &query, bits);
}

/* Of two threads, one of which loads other rules while the other is here, one sees what the other
 * did, as the store comes before the look in one order that all agree on: so no caller stays plain
 * by rules that are no longer in force. */
static void note_plain(const struct rules *rules, const void *pc)
{
	const void **slot = &callers_plain[caller_hash(pc)];

	__atomic_store_n(slot, pc, __ATOMIC_SEQ_CST);
	if (rules_now() != rules)
		at_set(slot, NULL);
}

void callers_forget(void)
{
	for (size_t i = 0; i < 1 << CALLERS_BITS; i++)
		__atomic_store_n(&callers_plain[i], NULL, __ATOMIC_SEQ_CST);
}

void caller_bits(const struct rules *rules, const void *pc, uint64_t bits[2])
{
	struct decided *d = &callers[caller_hash(pc)];

	if (decided_read(d, rules, pc, bits))
		return;
	match(rules, pc, bits);
	decided_write(d, rules, pc, bits);
	/* What is to be sampled must come by. */
	if (!(bits[0] | bits[1]) && !options.sites)
		note_plain(rules, pc);
}
