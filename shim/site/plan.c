#include "site/plan.h"

struct placement plan_placement(const struct plan *plan)
{
	switch (plan->node_mode) {
	case NODE_LOCAL:
		return (struct placement){PLACE_PREFERABLY, kernel->node()};
	case NODE_INTERLEAVE:
		return (struct placement){PLACE_INTERLEAVED, 0};
	case NODE_BIND:
		return (struct placement){PLACE_ON, plan->node};
	case NODE_PREFERRED:
		return (struct placement){PLACE_PREFERABLY, plan->node};
	default:
		return (struct placement){PLACE_ANYWHERE, 0};
	}
}
