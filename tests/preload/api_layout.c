/* api_layout.c: the public structs are laid out as programs have them compiled in, in C and in C++
 * (api_layout.cc).  Whoever adds a member adds it at the end, and here.  Compiling it is the test;
 * for that the header must also hold out against -pedantic. */
#include <unsplit/unsplit.h>

#ifndef __cplusplus
#define static_assert _Static_assert
#endif

#define IS_AT(type, member, offset)                                                                \
	static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define HAS_SIZE(type, size) static_assert(sizeof(struct type) == (size), #type)

IS_AT(unsplit_stats, size, 0);
IS_AT(unsplit_stats, unit, 8);
IS_AT(unsplit_stats, small_used, 16);
IS_AT(unsplit_stats, large_used, 24);
IS_AT(unsplit_stats, used_peak, 32);
IS_AT(unsplit_stats, huge_asked, 40);
IS_AT(unsplit_stats, retained, 48);
IS_AT(unsplit_stats, slack, 56);
IS_AT(unsplit_stats, returned_units, 64);
IS_AT(unsplit_stats, demoted_units, 72);
IS_AT(unsplit_stats, demoted_bytes, 80);
IS_AT(unsplit_stats, healed_units, 88);
IS_AT(unsplit_stats, heal_failures, 96);
IS_AT(unsplit_stats, longest_pause_ns, 104);
IS_AT(unsplit_stats, out_of_memory, 112);
HAS_SIZE(unsplit_stats, 120);

IS_AT(unsplit_memory, size, 0);
IS_AT(unsplit_memory, in_range, 8);
IS_AT(unsplit_memory, resident, 16);
IS_AT(unsplit_memory, huge, 24);
IS_AT(unsplit_memory, whole, 32);
HAS_SIZE(unsplit_memory, 40);

IS_AT(unsplit_plan, size, 0);
IS_AT(unsplit_plan, pages, 8);
IS_AT(unsplit_plan, populate, 12);
IS_AT(unsplit_plan, release, 16);
IS_AT(unsplit_plan, heal, 20);
IS_AT(unsplit_plan, place, 24);
IS_AT(unsplit_plan, node, 28);
HAS_SIZE(unsplit_plan, 32);

static_assert(UNSPLIT_PAGES_DEFAULT == 0 && UNSPLIT_PAGES_HUGE == 1 && UNSPLIT_PAGES_BASE == 2,
              "enum unsplit_pages");
static_assert(UNSPLIT_RELEASE_DEFAULT == 0 && UNSPLIT_RELEASE_KEEP == 1 &&
                      UNSPLIT_RELEASE_BALANCED == 2 && UNSPLIT_RELEASE_TIGHT == 3,
              "enum unsplit_release");
static_assert(UNSPLIT_HEAL_DEFAULT == 0 && UNSPLIT_HEAL_ON == 1 && UNSPLIT_HEAL_OFF == 2,
              "enum unsplit_heal");
static_assert(UNSPLIT_NODE_DEFAULT == 0 && UNSPLIT_NODE_LOCAL == 1 &&
                      UNSPLIT_NODE_INTERLEAVE == 2 && UNSPLIT_NODE_ONLY == 3 &&
                      UNSPLIT_NODE_PREFERRED == 4,
              "enum unsplit_node");
