#include "site/decided.h"

#include "pmd/atomic.h"

bool decided_read(const struct decided *d, const struct rules *by, const void *what,
                  uint64_t bits[2])
{
	uint64_t version = at_acquire(&d->version);

	if (version & 1 || at_acquire(&d->by) != by || at_acquire(&d->what) != what)
		return false;
	bits[0] = at_acquire(&d->bits[0]);
	bits[1] = at_acquire(&d->bits[1]);
	return at_get(&d->version) == version;
}

void decided_write(struct decided *d, const struct rules *by, const void *what,
                   const uint64_t bits[2])
{
	uint64_t version = at_get(&d->version);

	if (version & 1 || !at_cas(&d->version, &version, version + 1))
		return;
	at_publish(&d->by, by);
	at_publish(&d->what, what);
	at_publish(&d->bits[0], bits[0]);
	at_publish(&d->bits[1], bits[1]);
	at_publish(&d->version, version + 2);
}
