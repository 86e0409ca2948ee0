/*
 * new.c: C++'s operators new and delete, under their mangled names.
 *
 * This object does not depend on a C++ runtime, which most programs do not have.  Whoever calls
 * operator new has one; what is needed of it to fail the standard's way (new handler, bad_alloc)
 * is looked up when the first request cannot be met, in the scope of the caller's own object: a C
 * program that opens a C++ plugin has the runtime in the plugin's scope alone.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

#include "abi/export.h"
#include "heap/heap.h"
#include "kernel/say.h"

/* ---- failing ---- */

/* Find a symbol in the scope of the object that holds `caller`, but not `except`. */
static void *find_in_object(const char *symbol, void *caller, const void *except)
{
	Dl_info info;

	if (!dladdr(caller, &info))
		return NULL;
	void *object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (!object)
		return NULL;
	void *found = dlsym(object, symbol);
	dlclose(object); /* the caller itself keeps it loaded */
	return found == except ? NULL : found;
}

/* Find a symbol in the global scope, else in that of the caller's object. */
static void *find(const char *symbol, void *caller)
{
	void *found = dlsym(RTLD_DEFAULT, symbol);

	return found ? found : find_in_object(symbol, caller, NULL);
}

typedef void (*handler)(void);

static handler new_handler(void *caller)
{
	handler (*get)(void) = NULL;

	*(void **)&get = find("_ZSt15get_new_handlerv", caller);
	return get ? get() : NULL;
}

/* throw std::bad_alloc(), in the words of the Itanium C++ ABI: the object is its vtable pointer, in
 * libstdc++ and in libc++. */
static void throw_bad_alloc(void *caller)
{
	void *(*allocate)(size_t) = NULL;
	void (*throw)(void *, void *, void *) = NULL;
	void *type = find("_ZTISt9bad_alloc", caller);
	void *destroy = find("_ZNSt9bad_allocD1Ev", caller);
	void **table = find("_ZTVSt9bad_alloc", caller);

	*(void **)&allocate = find("__cxa_allocate_exception", caller);
	*(void **)&throw = find("__cxa_throw", caller);
	if (!allocate || !throw || !type || !destroy || !table)
		die("operator new: out of memory, and no C++ runtime is found to throw bad_alloc");
	void **object = allocate(sizeof(void *));
	*object = table + 2;
	throw(object, type, destroy);
}

static void *allocate(size_t align, size_t n, const void *caller)
{
	return align <= 16 ? heap_malloc(n, caller) : heap_aligned(align, n, caller);
}

/* The loop that the standard asks for: the handler frees something, throws, or gives up. */
static __attribute__((noinline)) void *new_slow(size_t align, size_t n, void *caller)
{
	for (;;) {
		void *p = allocate(align, n, caller);
		handler handle = p ? NULL : new_handler(caller);

		if (p)
			return p;
		if (!handle)
			throw_bad_alloc(caller);
		handle();
	}
}

/* A nothrow new does the same, and ends at what a handler throws.  C cannot catch that; the C++
 * runtime's own nothrow new can: it calls the throwing new, which is ours.  `name` is that of the
 * calling operator. */
static void *runtime_nothrow(const char *name, void *caller)
{
	void *own = dlsym(RTLD_DEFAULT, name), *next = dlsym(RTLD_NEXT, name);

	return next && next != own ? next : find_in_object(name, caller, own);
}

static __attribute__((noinline)) void *new_nothrow(const char *name, size_t align, size_t n,
                                                   void *caller)
{
	static const char nothrow;
	void *p = allocate(align, n, caller);

	if (p || !new_handler(caller))
		return p;
	void *runtime = runtime_nothrow(name, caller);
	if (!runtime)
		return NULL;
	if (align > 1)
		return ((void *(*)(size_t, size_t, const void *))runtime)(n, align, &nothrow);
	return ((void *(*)(size_t, const void *))runtime)(n, &nothrow);
}

/* ---- the operators ---- */

#define NEW(name)                                                                                  \
	EXPORT void *name(size_t n);                                                               \
	EXPORT void *name(size_t n)                                                                \
	{                                                                                          \
		void *p = heap_fast_malloc(&n);                                                    \
		if (__builtin_expect(p != NULL, 1))                                                \
			return p;                                                                  \
		return new_slow(1, n, __builtin_return_address(0));                                \
	}

#define NEW_ALIGNED(name)                                                                          \
	EXPORT void *name(size_t n, size_t align);                                                 \
	EXPORT void *name(size_t n, size_t align)                                                  \
	{                                                                                          \
		return new_slow(align, n, __builtin_return_address(0));                            \
	}

#define NEW_NOTHROW(name)                                                                          \
	EXPORT void *name(size_t n, const void *nothrow);                                          \
	EXPORT void *name(size_t n, const void *nothrow)                                           \
	{                                                                                          \
		return new_nothrow(#name, 1, n, __builtin_return_address(0));                      \
	}

#define NEW_ALIGNED_NOTHROW(name)                                                                  \
	EXPORT void *name(size_t n, size_t align, const void *nothrow);                            \
	EXPORT void *name(size_t n, size_t align, const void *nothrow)                             \
	{                                                                                          \
		return new_nothrow(#name, align, n, __builtin_return_address(0));                  \
	}

#define DELETE(name, ...)                                                                          \
	EXPORT void name(void *p, ##__VA_ARGS__);                                                  \
	EXPORT void name(void *p, ##__VA_ARGS__)                                                   \
	{                                                                                          \
		heap_fast_free(p);                                                                 \
	}

NEW(_Znwm)
NEW(_Znam)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE(_ZdlPvm, size_t n)
DELETE(_ZdaPvm, size_t n)
DELETE(_ZdlPvSt11align_val_t, size_t align)
DELETE(_ZdaPvSt11align_val_t, size_t align)
DELETE(_ZdlPvmSt11align_val_t, size_t n, size_t align)
DELETE(_ZdaPvmSt11align_val_t, size_t n, size_t align)
DELETE(_ZdlPvRKSt9nothrow_t, const void *nothrow)
DELETE(_ZdaPvRKSt9nothrow_t, const void *nothrow)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, size_t align, const void *nothrow)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, size_t align, const void *nothrow)
