/*
 * A server with many sessions.  A session is a list of small records.  A request looks through the
 * oldest records of one, makes and drops some short strings, appends a few records and drops as
 * many of the oldest; from time to time a session ends and another begins.
 */
#include "simulate.h"

enum {
	RECORDS = 64, /* of a full session */
	RECORD_MIN = 32,
	RECORD_MAX = 512,
	MEAN_SIZE = 173, /* of a record: (max - min) / ln(max / min) */
	READ = 16,       /* records of a request */
	NEW = 4,         /* records of a request */
	STRINGS = 12,    /* of a request */
	STRING_MAX = 256,
	REQUEST_BYTES = 4096,
	LIFE = 512, /* requests until a session ends, on average */
};

struct record {
	struct record *next;
	uint32_t size;
};

struct session {
	struct record *oldest, **end;
};

static void append(struct part *self, struct session *s)
{
	size_t size = random_size(&self->random, RECORD_MIN, RECORD_MAX);
	struct record *r = take(size);

	memset(r, (int)size, size);
	r->next = NULL;
	r->size = (uint32_t)size;
	self->live += size;
	*s->end = r;
	s->end = &r->next;
}

static void drop_oldest(struct part *self, struct session *s)
{
	struct record *r = s->oldest;

	s->oldest = r->next;
	if (!s->oldest)
		s->end = &s->oldest;
	self->live -= r->size;
	free(r);
}

static void session_open(struct part *self, struct session *s)
{
	s->end = &s->oldest;
	for (size_t i = 0; i < RECORDS; i++)
		append(self, s);
}

static void session_close(struct part *self, struct session *s)
{
	while (s->oldest)
		drop_oldest(self, s);
}

static uint64_t session_read(const struct session *s)
{
	uint64_t sum = 0;
	size_t left = READ;

	for (const struct record *r = s->oldest; r && left; r = r->next, left--)
		sum += r->size;
	return sum;
}

static void serve(struct part *self, struct session *s)
{
	char *request = take(REQUEST_BYTES), *string[STRINGS];
	uint64_t sum = session_read(s);

	memset(request, (int)sum, STRING_MAX);
	for (size_t i = 0; i < STRINGS; i++) {
		size_t size = 1 + random_below(&self->random, STRING_MAX);

		string[i] = take(size);
		memcpy(string[i], request, size);
	}
	for (size_t i = 0; i < NEW; i++) {
		append(self, s);
		drop_oldest(self, s);
	}
	for (size_t i = 0; i < STRINGS; i++)
		free(string[i]);
	free(request);
}

static void serve_all(struct part *self, struct session *sessions, size_t count)
{
	for (size_t n = share_of(conf.count); n; n--) {
		struct session *s = &sessions[random_below(&self->random, count)];
		uint64_t start = now_ns();

		serve(self, s);
		if (!random_below(&self->random, LIFE)) {
			session_close(self, s);
			session_open(self, s);
		}
		histogram_record(&self->latency, now_ns() - start);
	}
}

static void run(struct part *self)
{
	size_t count = share_of(conf.mib * MIB) / (RECORDS * MEAN_SIZE) + 1;
	struct session *sessions = map_table(count * sizeof(*sessions));

	for (size_t i = 0; i < count; i++)
		session_open(self, &sessions[i]);
	phase_end(self, "start");
	serve_all(self, sessions, count);
	phase_end(self, "serve");
	for (size_t i = 0; i < count; i++)
		session_close(self, &sessions[i]);
	phase_end(self, "stop");
}

const struct mode server_mode = {
	.name = "server",
	.help = "requests to sessions that are lists of small records",
	.run = run,
	.defaults = {.mib = 512, .count = 300000, .threads = 2},
	.threads_multiple = 1,
	.threads_max = MAX_THREADS,
};
