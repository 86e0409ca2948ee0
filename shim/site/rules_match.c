/* rules_match.c: which rule holds for a request. */
#include "site/rules.h"

#include <string.h>

#include "site/glob.h"
#include "site/rules_keys.h"

/* ---- the names of functions ---- */

/* Where the list of parameters starts: at the bracket that the last one closes.  The end of the
 * text if there is none. */
static size_t parameters(const char *function, size_t length)
{
	const char *close = memrchr(function, ')', length);
	size_t i = close ? (size_t)(close - function) + 1 : 0;
	int depth = 0;

	while (i-- > 0) {
		depth += function[i] == ')';
		depth -= function[i] == '(';
		if (!depth)
			return i ? i : length; /* a name has something before them */
	}
	return length;
}

static bool is_name_character(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* What follows is part of the name, blanks and all: "operator new", "operator<". */
static bool is_operator(const char *function, size_t i)
{
	return strncmp(function + i, "operator", 8) == 0 && !is_name_character(function[i + 8]) &&
	       (!i || !is_name_character(function[i - 1]));
}

/* Where the name starts: behind the last blank that no bracket encloses. */
static size_t name_start(const char *function, size_t end)
{
	size_t start = 0;
	int depth = 0;

	for (size_t i = 0; i < end && (depth || !is_operator(function, i)); i++) {
		char c = function[i];

		depth += c == '<' || c == '(' || c == '{' || c == '[';
		depth -= c == '>' || c == ')' || c == '}' || c == ']';
		if (c == ' ' && !depth)
			start = i + 1;
	}
	return start;
}

/* A function's name without return type and parameters. */
static struct span bare_name(const char *function)
{
	size_t end = parameters(function, strlen(function));
	size_t start = name_start(function, end);

	return (struct span){function + start, end - start};
}

static bool function_fits(const char *pattern, const char *function, struct span bare)
{
	if (glob_match(pattern, function, strlen(function)))
		return true;
	return !strchr(pattern, '(') && glob_match(pattern, bare.start, bare.length);
}

/* ---- the caller ---- */

static bool fits_any(const char *const *patterns, struct span s)
{
	for (; *patterns; patterns++)
		if (glob_match(*patterns, s.start, s.length))
			return true;
	return false;
}

/* What stands between a program and the one who serves its memory, and asks on its behalf. */
static bool is_runtime(const struct rule_frame *frame)
{
	static const char *const modules[] = {
		"libunsplit.so*",
		"libc.so*",
		"libc-2.*.so",
		"ld-linux*",
		"ld-musl*",
		"libpthread*.so*",
		"libstdc++.so*",
		"libc++.so*",
		"libc++abi.so*",
		"libgcc_s.so*",
		"libmimalloc*.so*",
		"linux-vdso.so*",
		NULL,
	};
	/* Templates of the C++ library, or all of it if linked statically, are in any file. */
	static const char *const functions[] = {
		"std::*", "__gnu_cxx::*", "__cxxabiv1::*", "operator new", "operator new[[]]", NULL,
	};

	if (fits_any(modules, (struct span){frame->module, strlen(frame->module)}))
		return true;
	return fits_any(functions, bare_name(frame->function));
}

const struct rule_frame *rules_caller(const struct rule_frame *frames, size_t count)
{
	for (const struct rule_frame *f = frames; f < frames + count; f++)
		if (!is_runtime(f))
			return f;
	return NULL;
}

static bool caller_fits(const struct rule *rule, const struct rule_frame *caller, struct span bare)
{
	if (!rule->caller && !rule->module)
		return true;
	if (!caller)
		return false;
	if (rule->module && !glob_match(rule->module, caller->module, strlen(caller->module)))
		return false;
	return !rule->caller || function_fits(rule->caller, caller->function, bare);
}

/* ---- all of it ---- */

static void set_bit(uint64_t bits[2], size_t i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool get_bit(const uint64_t bits[2], size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

/* Add those of the waiting rules whose function is the one of this frame. */
static void match_frame(const struct rules *r, const struct rule_frame *frame,
                        const uint64_t waiting[2], uint64_t bits[2])
{
	struct span bare = bare_name(frame->function);

	for (size_t i = 0; i < r->count; i++)
		if (get_bit(waiting, i) && !get_bit(bits, i) &&
		    function_fits(r->rule[i].function, frame->function, bare))
			set_bit(bits, i);
}

uint64_t rules_least(const struct rules *r)
{
	uint64_t least = UINT64_MAX;

	for (const struct rule *rule = r->rule; rule < r->rule + r->count; rule++)
		if (rule->kinds & SITE_MALLOC && rule->least < least)
			least = rule->least;
	return least;
}

void rules_match_stack(const struct rules *r, const struct rule_query *q, uint64_t bits[2])
{
	const struct rule_frame *caller = rules_caller(q->frames, q->frame_count);
	struct span bare = bare_name(caller ? caller->function : "");
	uint64_t waiting[2] = {0, 0}; /* only the function is open */

	bits[0] = bits[1] = 0;
	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->rule[i];

		if (rule_is_plan(rule) || (rule->has_site && rule->site != q->site) ||
		    !caller_fits(rule, caller, bare))
			continue;
		set_bit(rule->function ? waiting : bits, i);
	}
	if (!waiting[0] && !waiting[1])
		return;
	for (size_t i = 0; i < q->frame_count; i++)
		match_frame(r, &q->frames[i], waiting, bits);
}

static bool request_fits(const struct rule *rule, const struct rule_query *q)
{
	if (!(rule->kinds & q->kind) || q->bytes < rule->least || q->bytes > rule->most)
		return false;
	return !rule->thread ||
	       (q->thread && glob_match(rule->thread, q->thread, strlen(q->thread)));
}

const struct rule *rules_choose(const struct rules *r, const uint64_t bits[2],
                                const struct rule_query *q)
{
	for (size_t word = 0; word < 2; word++) {
		for (uint64_t left = bits[word]; left; left &= left - 1) {
			const struct rule *rule =
				&r->rule[word * 64 + (size_t)__builtin_ctzll(left)];

			if (request_fits(rule, q))
				return rule;
		}
	}
	return NULL;
}
