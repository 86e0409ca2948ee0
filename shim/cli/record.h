/*
 * record.h: what a recording looks like, for who writes and who reads it: comma-separated values,
 * with one line of heads: RECORD_TIME, then sample_keys.
 */
#ifndef UNSPLIT_CLI_RECORD_H
#define UNSPLIT_CLI_RECORD_H

#define RECORD_TIME "time_ms"

#endif
