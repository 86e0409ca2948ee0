/*
 * sites.c: the table of sites.
 */
#include "site/sites.h"

#include <errno.h>

#include "pmd/atomic.h"
#include "pmd/meta.h"
#include "report/stats.h"
#include "site/hash.h"

/* An entry of the index: 48 bits of the hash above the number of the site plus 1, or above 0 while
 * the site is being filled in.  Open addressing, half full at most. */
typedef uint64_t index_word;

enum { INDEX = 2 * SITES_MOST, TAG_SHIFT = 16 };

_Static_assert(SITES_MOST < 1 << TAG_SHIFT && MODULES_MOST <= 1 << 16, "numbers fit into 16 bits");

struct site_table {
	struct site sites[SITES_MOST];
	index_word index[INDEX];
};

struct site_table *sites_table;
size_t sites_used;

int sites_init(void)
{
	if (!sites_table)
		sites_table = meta_block(sizeof(*sites_table));
	return sites_table ? 0 : ENOMEM;
}

void sites_reset(void)
{
	if (sites_table)
		meta_block_free(sites_table, sizeof(*sites_table));
	sites_table = NULL;
	sites_used = 0;
}

static index_word tag_of(uint64_t hash)
{
	return hash >> TAG_SHIFT << TAG_SHIFT;
}

/* ---- frames ---- */

#define OFFSET_BITS 48
#define OFFSET_MASK ((1ul << OFFSET_BITS) - 1)

site_frame site_frame_make(const struct place *place)
{
	return (uint64_t)(place->module - modules) << OFFSET_BITS | (place->offset & OFFSET_MASK);
}

struct module *site_frame_module(site_frame frame)
{
	return &modules[frame >> OFFSET_BITS];
}

uint64_t site_frame_offset(site_frame frame)
{
	return frame & OFFSET_MASK;
}

uint64_t sites_hash(const site_frame *frames, size_t count)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < count; i++) {
		hash = hash_add(hash, site_frame_module(frames[i])->id);
		hash = hash_add(hash, site_frame_offset(frames[i]));
	}
	/* The index takes a tag of 0 for an empty slot. */
	return tag_of(hash) ? hash : hash + (1ul << TAG_SHIFT);
}

void site_hex(char *buf, size_t size, uint64_t number, unsigned digits)
{
	size_t at = 0;

	for (unsigned place = 16; place-- > 0 && at + 1 < size;)
		if (at || place < digits || number >> 4 * place)
			buf[at++] = "0123456789abcdef"[number >> 4 * place & 15];
	buf[at] = '\0';
}

/* ---- the index ---- */

static struct site *site_of(index_word word)
{
	size_t number = word & ((1ul << TAG_SHIFT) - 1);

	return number ? &sites_table->sites[number - 1] : NULL;
}

/* Where the hash is, or would be; NULL if the index is full. */
static index_word *find_slot(uint64_t hash, index_word *word)
{
	index_word tag = tag_of(hash);

	for (size_t probe = 0; probe < INDEX; probe++) {
		index_word *slot = &sites_table->index[(hash + probe) % INDEX];

		*word = at_acquire(slot);
		if (!*word || tag_of(*word) == tag)
			return slot;
	}
	return NULL;
}

/* One that is being added will be there in a moment, unless the thread that does it was stopped, or
 * did not come along to a forked child. */
static struct site *wait_for(const index_word *slot)
{
	enum { A_MOMENT = 1000 };
	struct site *site = NULL;

	for (unsigned i = 0; i < A_MOMENT && !(site = site_of(at_acquire(slot))); i++)
		;
	return site;
}

struct site *sites_find(uint64_t hash)
{
	index_word word = 0;
	index_word *slot = sites_table ? find_slot(hash, &word) : NULL;

	if (!slot || !word)
		return NULL;
	return site_of(word) ? site_of(word) : wait_for(slot);
}

struct site *sites_add(const struct site *made)
{
	index_word word = 0, tag = tag_of(made->hash);

	while (sites_table && at_get(&sites_used) < SITES_MOST) {
		index_word *slot = find_slot(made->hash, &word);

		if (!slot || word)
			return slot ? wait_for(slot) : NULL;
		if (!at_cas(slot, &word, tag))
			continue; /* taken meanwhile, perhaps by the same one */
		size_t number = at_add(&sites_used, 1);
		if (number >= SITES_MOST)
			return NULL;
		sites_table->sites[number] = *made;
		at_publish(slot, tag | (number + 1));
		stat_add(sites, 1);
		return &sites_table->sites[number];
	}
	return sites_find(made->hash);
}

/* ---- in order ---- */

size_t site_number(const struct site *site)
{
	return (size_t)(site - sites_table->sites);
}

const struct site *site_at(size_t number)
{
	return &sites_table->sites[number];
}

size_t sites_count(void)
{
	size_t n = at_get(&sites_used);

	return n < SITES_MOST ? n : SITES_MOST;
}

/* By bytes, and among equals by where they are. */
static bool precedes(const struct site *a, const struct site *b)
{
	uint64_t x = at_get(&a->bytes), y = at_get(&b->bytes);

	return x != y ? x > y : a < b;
}

const struct site *sites_next(const struct site *after)
{
	const struct site *next = NULL;
	size_t count = sites_count();

	for (size_t i = 0; i < count; i++) {
		const struct site *s = &sites_table->sites[i];

		if (s->hash && (!after || precedes(after, s)) && (!next || precedes(s, next)))
			next = s;
	}
	return next;
}
