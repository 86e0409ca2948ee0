/*
 * plan.h: what the rules decided for a site.
 *
 * A plan is made when the rules are read and lives as long as the process, so a pointer to one may
 * be kept anywhere.  0 in a member means that the rule says nothing: then the options decide.
 */
#ifndef UNSPLIT_SITE_PLAN_H
#define UNSPLIT_SITE_PLAN_H

#include <stdint.h>

#include "kernel/kernel.h"

enum plan_pages { PAGES_DEFAULT, PAGES_HUGE, PAGES_BASE };
enum plan_switch { SWITCH_DEFAULT, SWITCH_ON, SWITCH_OFF };
enum plan_release { RELEASE_DEFAULT, RELEASE_AS_KEEP, RELEASE_AS_BALANCED, RELEASE_AS_TIGHT };
enum plan_node { NODE_DEFAULT, NODE_LOCAL, NODE_INTERLEAVE, NODE_BIND, NODE_PREFERRED };
enum plan_thp { THP_DEFAULT, THP_SYSTEM, THP_ADVISED, THP_OFF };

struct plan {
	uint8_t pages;     /* enum plan_pages */
	uint8_t populate;  /* enum plan_switch */
	uint8_t release;   /* enum plan_release */
	uint8_t heal;      /* enum plan_switch */
	uint8_t node_mode; /* enum plan_node */
	uint8_t thp;       /* enum plan_thp: the process' setting, once the site is seen */
	uint16_t node;     /* for NODE_BIND and NODE_PREFERRED */
	char name[48];     /* "" if the rule gives none */
};

/* Where the memory of a plan shall lie, for the calling thread. */
struct placement plan_placement(const struct plan *plan);

#endif
