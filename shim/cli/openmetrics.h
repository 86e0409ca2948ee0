/*
 * openmetrics.h: exit reports as OpenMetrics text, which Prometheus and the node exporter read.
 */
#ifndef UNSPLIT_CLI_OPENMETRICS_H
#define UNSPLIT_CLI_OPENMETRICS_H

#include <stddef.h>
#include <stdio.h>

#include "cli/report_file.h"

/* One family of samples for each figure, one sample in it for each report that has the figure. */
void openmetrics_write(FILE *out, const struct report_file *files, size_t count);

#endif
