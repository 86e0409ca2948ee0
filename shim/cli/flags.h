/*
 * flags.h: the options of a subcommand, and the numbers that it is given.
 *
 * What is wrong is said in one line on stderr.
 */
#ifndef UNSPLIT_CLI_FLAGS_H
#define UNSPLIT_CLI_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One option: either a switch or, if `value` is not NULL, one that takes a value ("--name VALUE",
 * "--name=VALUE", "-n VALUE"). */
struct flag {
	const char *name; /* with its dashes */
	bool *on;
	const char **value;
};

/* Take the options out of `args` and return what remains: NULL if one of them is wrong.  Stops
 * behind "--" or, if a command follows the options, at the first word that is none. */
char **take_flags(const char *command, char **args, const struct flag *flags, size_t count,
                  bool command_follows);

/* A whole decimal number; false if `word` is none, or is not in the range. */
bool parse_number(const char *word, uint64_t least, uint64_t most, uint64_t *value);
/* Seconds, with decimals ("0.5"), as milliseconds: from 0.001 to 86400. */
bool parse_seconds(const char *word, uint64_t *milliseconds);

#endif
