/*
 * atomic.h: short names for the compiler's atomic operations on plain members.
 *
 * Plain members rather than _Atomic ones, so that C++ tests can include the headers.
 */
#ifndef UNSPLIT_PMD_ATOMIC_H
#define UNSPLIT_PMD_ATOMIC_H

#define at_get(p)        __atomic_load_n((p), __ATOMIC_RELAXED)
#define at_acquire(p)    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define at_set(p, v)     __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define at_publish(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define at_add(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define at_sub(p, v)     __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define at_swap(p, v)    __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
/* If *p is *old, make it `v`; else read it into *old. */
#define at_cas(p, old, v)                                                                          \
	__atomic_compare_exchange_n((p), (old), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

#endif
