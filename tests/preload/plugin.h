/* plugin.h: what the C host calls in the C++ plugins. */
#ifndef UNSPLIT_TESTS_PLUGIN_H
#define UNSPLIT_TESTS_PLUGIN_H

/* Returns NULL if all is well, else what went wrong. */
typedef const char *plugin_check(void);

#define PLUGIN_EXPORT __attribute__((visibility("default")))

#endif
