#include "release_support.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>

namespace release
{

// ---- what is known of memory ----

namespace
{

char text[64 << 10];

/* Read a file into `text`, without malloc. */
void slurp(const char *path)
{
	size_t length = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += static_cast<size_t>(got);
	text[length] = '\0';
	if (fd < 0 || length == 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		abort();
	}
	close(fd);
}

/* The number after `key`, itself after `section`, in `text`. */
double number_after(const char *section, const char *key)
{
	char *at = strstr(text, section), *end;

	at = at ? strstr(at, key) : nullptr;
	double value = at ? strtod(at + strlen(key), &end) : 0;
	if (!at || end == at + strlen(key)) {
		fprintf(stderr, "no %s, %s in:\n%s\n", section, key, text);
		abort();
	}
	return value;
}

int write_report(const char *path)
{
	using Report = int(const char *);
	static auto *report = reinterpret_cast<Report *>(dlsym(RTLD_DEFAULT, "unsplit_report"));

	return report(path);
}

} // namespace

size_t held()
{
	static const char *charged = getenv("UNSPLIT_CHARGED");

	slurp(charged ? charged : "/proc/self/smaps_rollup");
	if (charged)
		return strtoull(text, nullptr, 10);
	return static_cast<size_t>(number_after("", "\nAnonymous:")) * support::KiB;
}

double reported(const char *section, const char *key)
{
	char path[64], quoted_section[64], quoted_key[64];

	snprintf(path, sizeof(path), "/tmp/unsplit-release-%d.json", getpid());
	snprintf(quoted_section, sizeof(quoted_section), "\"%s\": {", section);
	snprintf(quoted_key, sizeof(quoted_key), "\"%s\": ", key);
	if (write_report(path) != 0)
		abort();
	slurp(path);
	unlink(path);
	return number_after(quoted_section, quoted_key);
}

bool keeps()
{
	const char *conf = getenv("UNSPLIT_CONF");

	return conf && strstr(conf, "release:keep");
}

// ---- threads that stay: what they allocate is theirs until the end ----

Population::Population(const Shape &shape) : shape_(shape)
{
	for (unsigned i = 0; i < shape.threads; i++)
		parts_.emplace_back(i);
	/* The caller is the first of them. */
	for (unsigned i = 1; i < shape.threads; i++)
		crew_.emplace_back([this, i] { serve(parts_[i]); });
	grow();
}

Population::~Population()
{
	in_parallel([this](Part &part) { empty(part, 100); });
	over_ = true;
	for (std::thread &thread : crew_)
		thread.join();
}

void Population::serve(Part &part)
{
	unsigned done = 0;

	while (!over_) {
		if (round_ == done) {
			usleep(1000);
			continue;
		}
		done++;
		work_(part);
		busy_--;
	}
}

void Population::in_parallel(const std::function<void(Part &)> &work)
{
	work_ = work;
	busy_ = shape_.threads - 1;
	round_++;
	work(parts_[0]);
	while (busy_)
		usleep(1000);
}

// ---- objects ----

void Population::make(Part &part, Object &object)
{
	object.size = static_cast<uint32_t>(part.random.size(shape_.bits));
	object.seed = static_cast<uint32_t>(part.random.next());
	object.data = static_cast<unsigned char *>(malloc(object.size));
	if (!object.data)
		abort();
	support::fill(object.data, object.size, object.seed);
	part.bytes += object.size;
}

void Population::verify(Part &part, const Object &object)
{
	part.damaged += !support::filled(object.data, object.size, object.seed);
}

void Population::drop(Part &part, Object &object)
{
	verify(part, object);
	part.bytes -= object.size;
	free(object.data);
	object.data = nullptr;
}

void Population::refill(Part &part, unsigned percent)
{
	size_t full = shape_.bytes / shape_.threads / 100 * percent;

	for (size_t i = 0; i < part.objects.size() && part.bytes < full; i++)
		if (!part.objects[i].data)
			make(part, part.objects[i]);
	while (part.bytes < full) {
		part.objects.emplace_back();
		make(part, part.objects.back());
	}
}

/* All or none of a stretch. */
void Population::empty(Part &part, unsigned percent)
{
	bool go = false;

	for (size_t i = 0; i < part.objects.size(); i++) {
		if (i % shape_.stretch == 0)
			go = part.random.below(100) < percent;
		if (go && part.objects[i].data)
			drop(part, part.objects[i]);
	}
}

/* Half of what it looks at is written anew. */
void Population::use(Part &part)
{
	for (unsigned i = 0; i < 100; i++) {
		Object &object = part.objects[part.random.below(part.objects.size())];

		if (!object.data)
			continue;
		verify(part, object);
		if (part.random.below(2)) {
			object.seed++;
			support::fill(object.data, object.size, object.seed);
		}
	}
}

void Population::grow(unsigned percent)
{
	in_parallel([this, percent](Part &part) { refill(part, percent); });
}

void Population::drain(unsigned percent)
{
	in_parallel([this, percent](Part &part) { empty(part, percent); });
}

void Population::check()
{
	in_parallel([](Part &part) {
		for (const Object &object : part.objects)
			if (object.data)
				verify(part, object);
	});
}

bool Population::busy_until(const std::function<bool()> &condition, unsigned seconds)
{
	std::atomic<bool> done{false};
	bool met = false;
	std::thread watcher([&] {
		met = wait_until(condition, seconds);
		done = true;
	});

	in_parallel([this, &done](Part &part) {
		while (!done) {
			use(part);
			/* On few processors healing, too, must have its turn. */
			usleep(1000);
		}
	});
	watcher.join();
	return met;
}

size_t Population::damaged() const
{
	size_t sum = 0;

	for (const Part &part : parts_)
		sum += part.damaged;
	return sum;
}

size_t Population::live() const
{
	size_t sum = 0;

	for (const Part &part : parts_)
		sum += part.bytes + part.objects.capacity() * sizeof(Object);
	return sum;
}

} // namespace release
