/*
 * table.h: where big tables lie.
 */
#ifndef UNSPLIT_TABLE_H
#define UNSPLIT_TABLE_H

/* For a table of many pages, few of which a short run needs.  It is laid behind all small
 * variables (the linker sorts sections by name), which so share a few pages: each page that a
 * program touches at its start costs a fault, and most programs are over soon. */
#define TABLE __attribute__((section(".bss.table")))

#endif
