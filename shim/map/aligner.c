#include "map/aligner.h"

#include <string.h>
#include <sys/mman.h> /* PROT_*, MAP_*: no call is made from here */

#include "options.h"

enum { CALLERS = 4, WATCHED = 8, PROOFS = 4, TRIES = 64, BANNED = -1 };

/* A hint this near to something was given because of it. */
#define NEAR (1ul << 30)
/* Hints below are given for addresses of 32 bits, hints this near to the code for its jumps. */
#define LOW (1ul << 32)

struct caller {
	const void *address; /* NULL: nobody yet */
	size_t align;
	uintptr_t last_hint;
	int proofs; /* or BANNED */
	unsigned tries;
};

/* A mapping that the kernel placed, and what is left of it. */
struct watched {
	enum { FREE, BUSY, WATCHING } state;
	struct caller *by;
	struct reservation asked;
	struct span left;
};

static struct caller callers[CALLERS];
static struct watched watched[WATCHED];
static unsigned turn;
static size_t proven_bytes;
bool aligner_watches;

static uintptr_t distance(uintptr_t a, uintptr_t b)
{
	return a > b ? a - b : b - a;
}

bool aligner_like(const struct reservation *r, int protection, int flags)
{
	return options.pack && r->caller && r->hint >= LOW && !(r->hint & (machine.page - 1)) &&
	       distance(r->hint, (uintptr_t)r->caller) >= LOW && protection == PROT_NONE &&
	       flags == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

/* ---- callers ---- */

static struct caller *known_caller(const void *address)
{
	for (unsigned i = 0; i < CALLERS; i++)
		if (at_get(&callers[i].address) == address)
			return &callers[i];
	return NULL;
}

static struct caller *make_caller(const void *address)
{
	struct caller *c = known_caller(address);

	for (unsigned i = 0; !c && i < CALLERS; i++) {
		const void *nobody = NULL;

		if (at_cas(&callers[i].address, &nobody, address) || nobody == address)
			c = &callers[i];
	}
	return c;
}

/* Whether this hint is far from the last one. */
static bool scatters(struct caller *c, uintptr_t hint)
{
	return distance(at_swap(&c->last_hint, hint), hint) >= NEAR;
}

size_t aligner_proven(const struct reservation *r)
{
	struct caller *c = known_caller(r->caller);

	if (!c || at_get(&c->proofs) < PROOFS || !scatters(c, r->hint))
		return 0;
	if (r->hint & (c->align - 1) || r->bytes < c->align)
		return 0;
	at_add(&proven_bytes, r->bytes);
	return c->align;
}

bool aligner_big(void)
{
	return at_get(&proven_bytes) >= 16 * options.huge_after;
}

void aligner_insists(const void *caller)
{
	struct caller *c = known_caller(caller);

	if (c)
		at_set(&c->proofs, BANNED);
}

/* All are with the same alignment, or they prove nothing. */
static void prove(struct caller *c, size_t align)
{
	size_t none = 0;
	int proofs = at_get(&c->proofs);

	if (!at_cas(&c->align, &none, align) && none != align)
		at_cas(&c->proofs, &proofs, BANNED);
	else if (proofs >= 0)
		at_cas(&c->proofs, &proofs, proofs + 1);
}

/* ---- what they do ---- */

void aligner_mapped(const struct reservation *r, uintptr_t start)
{
	struct caller *c = make_caller(r->caller);

	if (!c || !scatters(c, r->hint) || at_get(&c->proofs) < 0 || at_add(&c->tries, 1) >= TRIES)
		return;
	struct watched *w = &watched[at_add(&turn, 1) % WATCHED];
	if (at_swap(&w->state, BUSY) == BUSY)
		return;
	w->by = c;
	w->asked = *r;
	w->left = (struct span){start, start + r->bytes};
	at_publish(&w->state, WATCHING);
	at_set(&aligner_watches, true);
}

static bool touches(const struct watched *w, struct span s)
{
	return at_get(&w->left.start) < s.end && s.start < at_get(&w->left.end);
}

/* Take the one that `s` lies in, if any, from all others. */
static struct watched *take(struct span s)
{
	for (struct watched *w = watched; w < watched + WATCHED; w++) {
		unsigned watching = WATCHING;

		if (at_get(&w->state) != WATCHING || !touches(w, s) ||
		    !at_cas((unsigned *)&w->state, &watching, BUSY))
			continue;
		if (touches(w, s))
			return w;
		at_publish(&w->state, WATCHING);
	}
	return NULL;
}

/* Returns whether what is left is worth watching. */
static bool cut_off(struct watched *w, struct span s)
{
	if (s.start <= w->left.start && s.end >= w->left.end) {
		if (w->left.start != w->asked.hint && span_bytes(w->left) == w->asked.bytes)
			at_set(&w->by->proofs, BANNED);
		return false;
	}
	if (s.start == w->left.start)
		at_set(&w->left.start, s.end);
	else if (s.end == w->left.end)
		at_set(&w->left.end, s.start);
	else
		return false;
	return true;
}

void aligner_unmapped(struct span s)
{
	struct watched *w = take(s);

	if (w)
		at_publish(&w->state, cut_off(w, s) ? WATCHING : FREE);
}

static bool is_alignment(size_t align)
{
	return align >= 16 * machine.page && align <= machine.unit && !(align & (align - 1));
}

static void judge(const struct watched *w, struct span s)
{
	size_t align = w->asked.bytes - span_bytes(s) + machine.page;

	if (s.start == w->left.start && s.end == w->left.end && is_alignment(align) &&
	    !((s.start | w->asked.hint) & (align - 1)))
		prove(w->by, align);
}

void aligner_opened(struct span s)
{
	struct watched *w = take(s);

	if (!w)
		return;
	judge(w, s);
	at_publish(&w->state, FREE);
}

void aligner_reset(void)
{
	memset(callers, 0, sizeof(callers));
	memset(watched, 0, sizeof(watched));
	turn = 0;
	proven_bytes = 0;
	aligner_watches = false;
}
