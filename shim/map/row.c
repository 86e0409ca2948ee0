#include "map/row.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h> /* PROT_*, MAP_*, MADV_*: no call is made from here */

#include "kernel/mapping.h"
#include "map/place.h"
#include "report/stats.h"

enum { ROWS = 8, ROW_UNITS = 16 };
enum { RESERVE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

/*
 * start                 next            reserved                     end
 *   | pieces, or holes    | not mapped    | mapped, without access     |
 *
 * BUSY: one caller changes it.  TAKEN: nothing was unmapped yet of the last piece.  TRIMMED: it was
 * not opened yet.  Pieces should be opened one after the other: what is touched on both sides of a
 * piece that is not open stays two mappings for ever, and they hold no huge page together.
 */
struct row {
	enum row_state { NONE, BUSY, READY, TAKEN, TRIMMED } state;
	uintptr_t start, next, reserved, end;
	struct span piece;  /* the last one, as it was taken */
	uintptr_t untried;  /* units from here on were not tried to collapse */
	uintptr_t again;    /* a unit that the kernel could not collapse for the moment, or 0 */
	const void *caller; /* of the last piece */
};

static struct row rows[ROWS];
static unsigned begun, ended; /* collapses */
bool rows_used;

static bool enter(struct row *row, enum row_state from)
{
	unsigned state = from;

	return at_get(&row->state) == from && at_cas((unsigned *)&row->state, &state, BUSY);
}

static void leave(struct row *row, enum row_state to)
{
	at_publish(&row->state, to);
}

bool row_wants(const struct reservation *r, size_t align)
{
	size_t kept = r->bytes - (align - machine.page);

	return r->bytes < machine.unit && !(kept & (align - 1));
}

/* ---- taking ---- */

static void close_row(struct row *row)
{
	if (row->end > row->reserved)
		kernel_map->munmap((void *)row->reserved, row->end - row->reserved);
	leave(row, NONE);
}

/* The last piece of a row may reach beyond its units. */
static bool open_row(struct row *row)
{
	size_t bytes = (ROW_UNITS + 1) * machine.unit;
	uintptr_t start = reserve_place(bytes, 0, RESERVE);

	if (!start)
		return false;
	row->start = row->next = row->reserved = row->untried = start;
	row->end = start + bytes;
	row->again = 0;
	return true;
}

static uintptr_t usable_end(const struct row *row)
{
	return row->end - machine.unit;
}

/* Map what is not mapped of the next piece; a kernel that does not know MAP_FIXED_NOREPLACE may
 * map it elsewhere. */
static bool fill_gap(const struct row *row, size_t bytes)
{
	uintptr_t end = row->next + bytes < row->reserved ? row->next + bytes : row->reserved;
	size_t gap = end - row->next;

	if (!gap)
		return true;
	long got = kernel_map->mmap((void *)row->next, gap, PROT_NONE,
	                            RESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (got >= 0 && got != (long)row->next)
		kernel_map->munmap((void *)got, gap);
	if (got != (long)row->next)
		return false;
	not_placed(got, gap);
	return true;
}

/* Somebody is in the way: go on at the next unit. */
static void skip(struct row *row)
{
	uintptr_t next = (row->reserved + machine.unit - 1) & -machine.unit;

	kernel_map->munmap((void *)row->reserved, next - row->reserved);
	row->next = row->reserved = next;
}

/* Of a row that is BUSY. */
static uintptr_t take_from(struct row *row, const struct reservation *r)
{
	if (row->next < usable_end(row) && !fill_gap(row, r->bytes))
		skip(row);
	if (row->next >= usable_end(row)) {
		close_row(row);
		return 0;
	}
	row->piece = (struct span){row->next, row->next + r->bytes};
	uintptr_t piece = row->piece.start;
	if (row->piece.end > row->reserved)
		row->reserved = row->piece.end;
	row->caller = r->caller;
	leave(row, TAKEN);
	return piece;
}

static bool fits(const struct row *row, size_t align)
{
	return !(at_get(&row->next) & (align - 1));
}

static uintptr_t take_from_any(const struct reservation *r, size_t align, enum row_state in)
{
	uintptr_t piece = 0;

	for (struct row *row = rows; row < rows + ROWS && !piece; row++)
		if (fits(row, align) && enter(row, in))
			piece = take_from(row, r);
	return piece;
}

static uintptr_t take_from_new(const struct reservation *r)
{
	for (struct row *row = rows; row < rows + ROWS; row++)
		if (enter(row, NONE)) {
			if (open_row(row))
				return take_from(row, r);
			leave(row, NONE);
			return 0;
		}
	return 0;
}

long row_take(const struct reservation *r, size_t align)
{
	uintptr_t piece = take_from_any(r, align, READY);

	if (!piece)
		piece = take_from_new(r);
	if (!piece)
		piece = take_from_any(r, align, TRIMMED);
	if (!piece)
		return -ENOMEM;
	at_set(&rows_used, true);
	stat_add(map_packed, 1);
	return (long)piece;
}

/* ---- what becomes of them ---- */

static bool meets(struct span s, uintptr_t start, uintptr_t end)
{
	return s.start < end && start < s.end;
}

/* Something else lies in what a row had reserved for later: it is the row's no more. */
static void lose(struct span s)
{
	for (struct row *row = rows; row < rows + ROWS; row++)
		if (meets(s, at_get(&row->reserved), at_get(&row->end)) &&
		    (enter(row, READY) || enter(row, TAKEN) || enter(row, TRIMMED)))
			leave(row, NONE);
}

/* The end of the last piece, or all of it. */
static void trimmed(struct row *row, struct span s)
{
	bool all = s.start == row->piece.start;

	if (all)
		aligner_insists(row->caller);
	row->next = s.start;
	leave(row, all ? READY : TRIMMED);
}

void row_unmapped(struct span s)
{
	for (struct row *row = rows; row < rows + ROWS; row++) {
		if (s.end != at_get(&row->piece.end) || !enter(row, TAKEN))
			continue;
		if (s.end == row->piece.end && s.start >= row->piece.start)
			return trimmed(row, s);
		leave(row, TAKEN);
	}
	lose(s);
}

void row_replaced(struct span s)
{
	lose(s);
}

/* ---- full units ---- */

/* That the call succeeds does not say that it is huge: it passes over mappings that do not hold a
 * unit. */
static bool is_huge(uintptr_t unit)
{
	struct kernel_unit now;

	return kernel->survey((void *)unit, 1, &now) || now.huge;
}

/* Where memory is fragmented, the kernel may compact it for a long time before it has a huge page
 * (100 ms have been seen), and it does so in the program's time. */
#define SLOW_NS  (30 * 1000000ul)
#define LEAST_NS (1000000ul)
#define MOST_NS  (10000 * 1000000ul)

static uint64_t not_before, wait; /* ns */

static bool is_time(void)
{
	return !at_get(&wait) || kernel->now() >= at_get(&not_before);
}

/* The next wait is twice as long after one that was slow or failed, half as long after another. */
static void paced(uint64_t start, bool failed)
{
	uint64_t now = kernel->now(), next = at_get(&wait) / 2;

	if (failed || now - start >= SLOW_NS)
		next = at_get(&wait) ? at_get(&wait) * 2 : LEAST_NS;
	next = next > MOST_NS ? MOST_NS : next < LEAST_NS ? 0 : next;
	at_set(&wait, next);
	at_set(&not_before, now + next);
}

static long paced_collapse(uintptr_t unit)
{
	uint64_t start = kernel->now();

	__atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
	long result = kernel_map->madvise((void *)unit, machine.unit, MADV_COLLAPSE);
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	paced(start, result == -ENOMEM);
	return result;
}

/* The advice comes last: somebody else may have a mapping where the program unmapped a piece. */
static void collapse(struct row *row, uintptr_t unit)
{
	struct span s = {unit, unit + machine.unit};

	if (note_get(unit) & NOTE_PLACED || !notes_place(s.start, s.end, 0))
		return;
	long result = paced_collapse(unit);
	if (!result && is_huge(unit)) {
		kernel_map->madvise((void *)unit, machine.unit, MADV_HUGEPAGE);
		return;
	}
	notes_forget(s.start, s.end);
	if (result == -EAGAIN)
		at_set(&row->again, unit);
}

/* Take the next full unit that was not tried yet; 0 if there is none. */
static uintptr_t take_untried(struct row *row)
{
	enum row_state state = at_get(&row->state);
	uintptr_t unit = 0;

	if (state == NONE || state == BUSY || !enter(row, state))
		return 0;
	if (row->untried + machine.unit <= row->next) {
		unit = row->untried;
		row->untried += machine.unit;
	}
	leave(row, state);
	return unit;
}

/* That of `s`, which may have been tried before `s` was opened, one for which it was not the
 * moment, and any that were filled before it was known that the program is big. */
static void opened_in(struct row *row, struct span s)
{
	uintptr_t own = s.start & -machine.unit, again = at_swap(&row->again, 0), unit;

	if (own < at_get(&row->untried))
		collapse(row, own);
	if (again)
		collapse(row, again);
	while (is_time() && (unit = take_untried(row)))
		collapse(row, unit);
}

static void next_turn(struct row *row, struct span s)
{
	if (enter(row, TRIMMED))
		leave(row, meets(s, row->piece.start, row->next) ? READY : TRIMMED);
}

void row_opened(struct span s)
{
	for (struct row *row = rows; row < rows + ROWS; row++) {
		if (!meets(s, at_get(&row->start), at_get(&row->end)))
			continue;
		next_turn(row, s);
		if (aligner_big() && is_time())
			opened_in(row, s);
	}
}

/* ---- who gives up a part meanwhile ---- */

unsigned row_quiet(void)
{
	unsigned done = __atomic_load_n(&ended, __ATOMIC_SEQ_CST);

	return done == __atomic_load_n(&begun, __ATOMIC_SEQ_CST) ? done : done - 1;
}

void row_settle(struct span s, unsigned quiet)
{
	uintptr_t ends[] = {s.start & -machine.unit, (s.end - 1) & -machine.unit};

	if (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) == quiet)
		return;
	for (unsigned i = 0; i < 2; i++)
		if (note_get(ends[i]) & NOTE_PLACED)
			kernel_map->madvise((void *)ends[i], machine.unit, MADV_COLD);
}

void row_reset(void)
{
	memset(rows, 0, sizeof(rows));
	begun = ended = 0;
	not_before = wait = 0;
	rows_used = false;
}
