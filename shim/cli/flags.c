/* flags.c: the options of a subcommand. */
#include "cli/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/say.h"

/* Whether `word` is this option, with or without "=VALUE". */
static bool is_flag(const struct flag *f, const char *word)
{
	size_t length = strlen(f->name);

	if (strncmp(word, f->name, length) != 0)
		return false;
	return !word[length] || (word[length] == '=' && f->value && f->name[1] == '-');
}

static const struct flag *find_flag(const struct flag *flags, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (is_flag(&flags[i], word))
			return &flags[i];
	return NULL;
}

/* Returns the word behind the option and its value, or NULL. */
static char **take_flag(const char *command, char **args, const struct flag *f)
{
	const char *equals = strchr(*args, '=');

	if (!f->value) {
		*f->on = true;
		return args + 1;
	}
	if (equals) {
		*f->value = equals + 1;
		return args + 1;
	}
	if (!args[1]) {
		say("%s: option %s needs a value; \"unsplit help %s\" tells more", command, f->name,
		    command);
		return NULL;
	}
	*f->value = args[1];
	return args + 2;
}

char **take_flags(const char *command, char **args, const struct flag *flags, size_t count,
                  bool command_follows)
{
	char **kept = args, **end = args;

	while (*args && strcmp(*args, "--") != 0) {
		const struct flag *f = find_flag(flags, count, *args);

		if (f) {
			args = take_flag(command, args, f);
			if (!args)
				return NULL;
		} else if (**args == '-' && (*args)[1]) {
			say("%s has no option \"%s\"; \"unsplit help %s\" tells more", command,
			    *args, command);
			return NULL;
		} else if (command_follows) {
			return args;
		} else {
			*end++ = *args++;
		}
	}
	if (*args)
		args++;
	if (command_follows)
		return args;
	while (*args)
		*end++ = *args++;
	*end = NULL;
	return kept;
}

bool parse_number(const char *word, uint64_t least, uint64_t most, uint64_t *value)
{
	char *end;

	if (*word < '0' || *word > '9')
		return false; /* strtoull takes blanks and a sign */
	errno = 0;
	*value = strtoull(word, &end, 10);
	return !*end && errno == 0 && *value >= least && *value <= most;
}

bool parse_seconds(const char *word, uint64_t *milliseconds)
{
	static const char digits[] = "0123456789.";
	double seconds;
	char *end;

	if (word[strspn(word, digits)])
		return false;
	seconds = strtod(word, &end);
	if (end == word || *end || !(seconds >= 0.001 && seconds <= 86400))
		return false;
	*milliseconds = (uint64_t)(seconds * 1000 + 0.5);
	return true;
}
