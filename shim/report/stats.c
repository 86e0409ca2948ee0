/*
 * stats.c: the counters.  They are only data: who counts is where it happens.
 */
#include "report/stats.h"

struct stats stats;
