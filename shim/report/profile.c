/* profile.c: what was learned of each call site. */
#include "report/profile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/say.h"
#include "pmd/atomic.h"
#include "report/report.h"
#include "report/report_sites.h"
#include "site/learn.h"
#include "site/sites.h"

void profile_head(struct emitter *e, int fd)
{
	emitter_start(e, fd, EMITTER_JSON, "");
	emitter_number(e, "profile", PROFILE_VERSION, "", "");
	emitter_open_table(e, "sites", "");
}

void profile_row(struct emitter *e, const struct profile_row *row)
{
	emitter_open_row(e);
	emitter_string(e, "site", row->site, "");
	emitter_string(e, "caller", row->caller, "");
	emitter_string(e, "module", row->module, "");
	emitter_string(e, "frames", row->frames, "");
	emitter_number(e, "requests", row->requests, "", "");
	emitter_number(e, "bytes", row->bytes, "bytes", "");
	emitter_number(e, "peak", row->peak, "bytes", "");
	emitter_number(e, "lifetime_us", row->lifetime_us, "", "");
	emitter_number(e, "possible_us", row->possible_us, "", "");
	emitter_number(e, "room", row->room, "bytes", "");
	emitter_number(e, "touched", row->touched, "bytes", "");
	emitter_close_row(e);
}

int profile_foot(struct emitter *e)
{
	emitter_close_table(e);
	return emitter_finish(e);
}

static const char *known(const char *name)
{
	return name ? name : "";
}

static void write_site(struct emitter *e, const struct site *site, uint64_t run)
{
	const struct learned *l = learn_of(site);
	char hash[24], frames[REPORT_FRAMES_SIZE];

	if (!l->count)
		return;
	site_hex(hash, sizeof(hash), site->hash, 16);
	report_frames(frames, sizeof(frames), site);
	profile_row(e, &(struct profile_row){
			       .site = hash,
			       .caller = known(l->caller),
			       .module = known(l->module),
			       .frames = frames,
			       .requests = l->count,
			       .bytes = l->bytes,
			       .peak = l->peak,
			       .lifetime_us = l->lifetime / 1000,
			       .possible_us = run / 1000 * l->count,
			       .room = l->room,
			       .touched = l->touched,
		       });
}

static int write_all(int fd)
{
	struct emitter e;
	uint64_t run = learn_run();

	learn_finish();
	profile_head(&e, fd);
	for (size_t i = 0; i < sites_count(); i++)
		write_site(&e, site_at(i), run);
	return profile_foot(&e);
}

int profile_write(const char *where)
{
	int saved = errno, fd = report_open(where), error = fd < 0 ? -fd : 0;

	if (!error) {
		error = write_all(fd);
		close(fd);
	}
	if (error)
		say("what was learned cannot be written to %s: %s", where,
		    known(strerrordesc_np(error)));
	errno = saved;
	return error;
}
