/*
 * rules.c: no rules are read yet.
 */
#include "site/rules.h"

struct rules site_rules;

void rules_load(void)
{
}

unsigned rules_needs(const struct rules *rules)
{
	(void)rules;
	return 0;
}

void rules_match_stack(const struct rules *rules, const struct rule_query *query, uint64_t bits[2])
{
	(void)rules;
	(void)query;
	bits[0] = bits[1] = 0;
}

const struct rule *rules_choose(const struct rules *rules, const uint64_t bits[2],
                                const struct rule_query *query)
{
	(void)rules;
	(void)bits;
	(void)query;
	return NULL;
}
