/*
 * site_plugin.c: code to be called through: a static function and an exported one, each with its
 * frame on the stack.
 */
#include "site_plugin.h"

/* Makes the variants different files, with different build-ids. */
const char *plugin_name(void)
{
	return PLUGIN_NAME;
}

static __attribute__((noinline)) int inner(plugin_callback *back, void *arg)
{
	int result = back(arg);

	__asm__ volatile("" : "+r"(result)); /* no tail call */
	return result;
}

int plugin_call(plugin_callback *back, void *arg)
{
	int result = inner(back, arg);

	__asm__ volatile("" : "+r"(result));
	return result;
}
