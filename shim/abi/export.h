/* export.h: what the version script lets out must also be visible. */
#ifndef UNSPLIT_ABI_EXPORT_H
#define UNSPLIT_ABI_EXPORT_H

#define EXPORT __attribute__((visibility("default")))

/* Whoever called the exported function that says this. */
#define CALLER __builtin_return_address(0)

#endif
