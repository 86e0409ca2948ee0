#include "report/report_sites.h"

#include "kernel/say.h"
#include "options.h"
#include "pmd/atomic.h"
#include "site/rules.h"
#include "site/sites.h"

/* ---- rules ---- */

static void write_rule(struct emitter *e, const struct rule *rule)
{
	uint64_t count, bytes;

	rules_counted(rule, &count, &bytes);
	emitter_open_row(e);
	emitter_string(e, "title", rule->title, "");
	emitter_number(e, "line", rule->line, "", "");
	emitter_number(e, "count", count, "", "");
	emitter_number(e, "bytes", bytes, "bytes", "");
	emitter_close_row(e);
}

void report_rules(struct emitter *e)
{
	const struct rules *rules = rules_now();

	if (!rules->count)
		return;
	emitter_open_table(e, "rules", "Requests that rules decided");
	for (size_t i = 0; i < rules->count; i++)
		write_rule(e, &rules->rule[i]);
	emitter_close_table(e);
}

/* ---- sites ---- */

void report_frames(char *buf, size_t size, const struct site *site)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < site->frame_count && used < size; i++) {
		const char *name = site_frame_module(site->frames[i])->path;
		char offset[24];

		site_hex(offset, sizeof(offset), site_frame_offset(site->frames[i]), 1);
		used += say_into(buf + used, size - used, "%s%s+0x%s", i ? " " : "",
		                 *name ? name : "?", offset);
	}
}

const char *report_kinds(const struct site *site)
{
	switch (site->kinds) {
	case SITE_MALLOC:
		return "malloc";
	case SITE_MMAP:
		return "mmap";
	case SITE_SHARED:
		return "shared";
	default:
		return "several";
	}
}

static void write_site(struct emitter *e, const struct site *site)
{
	char hash[24], frames[REPORT_FRAMES_SIZE];

	site_hex(hash, sizeof(hash), site->hash, 16);
	report_frames(frames, sizeof(frames), site);
	emitter_open_row(e);
	emitter_string(e, "site", hash, "");
	emitter_string(e, "kind", report_kinds(site), "");
	emitter_number(e, "count", at_get(&site->count), "", "");
	emitter_number(e, "bytes", at_get(&site->bytes), "bytes", "");
	emitter_string(e, "rule", site->rule ? site->rule->title : "-", "");
	emitter_string(e, "frames", frames, "");
	emitter_close_row(e);
}

/* Those that asked for the most bytes. */
void report_sites(struct emitter *e)
{
	unsigned most = e->format == EMITTER_JSON ? 256 : 20;
	const struct site *site = sites_next(NULL);

	if (!options.sites)
		return;
	emitter_open_table(e, "sites", "Call sites, by bytes asked for");
	for (; site && most--; site = sites_next(site))
		write_site(e, site);
	emitter_close_table(e);
}
