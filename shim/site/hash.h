/*
 * hash.h: the hash that sites are known by.
 *
 * It is written into rule files, so it may not change: it depends on the values alone, not on the
 * machine or the run.
 */
#ifndef UNSPLIT_SITE_HASH_H
#define UNSPLIT_SITE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Hash one more value. */
static inline uint64_t hash_add(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ul;
	return hash ^ hash >> 29;
}

/* FNV-1a. */
static inline uint64_t hash_bytes(const void *bytes, size_t count)
{
	const unsigned char *p = (const unsigned char *)bytes;
	uint64_t hash = 0xcbf29ce484222325ul;

	while (count--)
		hash = (hash ^ *p++) * 0x100000001b3ul;
	return hash;
}

#endif
