/* profile.c: what was learned of each call site. */
#include "report/profile.h"

#include <errno.h>
#include <string.h>

#include "kernel/say.h"
#include "pmd/meta.h"
#include "report/whole_file.h"
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

static void write_site(struct emitter *e, const struct site *site, const struct learned *l,
                       uint64_t run)
{
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

static int write_all(int fd, const struct learned *sums)
{
	struct emitter e;
	uint64_t run = learn_run();

	profile_head(&e, fd);
	for (size_t i = 0; i < sites_count(); i++)
		write_site(&e, site_at(i), &sums[i], run);
	return profile_foot(&e);
}

/* A forked child has a file of its own: its parent's would be lost. */
static int open_profile(struct whole_file *f, const char *where)
{
	char own[512];

	if (!learn_in_child() || strstr(where, "%p"))
		return whole_file_open(f, where);
	say_into(own, sizeof(own), "%s.%%p", where);
	return whole_file_open(f, own);
}

static int write_sums(const char *where, const struct learned *sums)
{
	struct whole_file f;
	int error = open_profile(&f, where);

	return error ? error : whole_file_close(&f, write_all(f.fd, sums));
}

int profile_write(const char *where)
{
	const size_t bytes = SITES_MOST * sizeof(struct learned);
	struct learned *sums = meta_block(bytes);
	int saved = errno, error = ENOMEM;

	if (sums) {
		learn_sum(sums);
		error = write_sums(where, sums);
		meta_block_free(sums, bytes);
	}
	if (error)
		say("what was learned cannot be written to %s: %s", where,
		    known(strerrordesc_np(error)));
	errno = saved;
	return error;
}
