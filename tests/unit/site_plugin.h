/* What tests/unit/site_test.cc and the objects that it loads agree on. */
#ifndef UNSPLIT_TESTS_SITE_PLUGIN_H
#define UNSPLIT_TESTS_SITE_PLUGIN_H

#ifdef __cplusplus
extern "C" {
#endif

typedef int plugin_callback(void *arg);

__attribute__((visibility("default"))) int plugin_call(plugin_callback *back, void *arg);
__attribute__((visibility("default"))) const char *plugin_name(void);

#ifdef __cplusplus
}
#endif

#endif
