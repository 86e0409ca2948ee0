/* The differential test of the mmap family: map_diff_run on the plain kernel and under the shim
 * must print the same.
 *
 *     map_diff RUNNER PRELOAD FIRST COUNT LENGTH
 *     map_diff RUNNER PRELOAD FIRST COUNT LENGTH --expect-difference
 *
 * PRELOAD is what LD_PRELOAD gets.  The first difference is shrunk: calls are left out of the
 * sequence as long as what remains still differs.  With --expect-difference it is the other way
 * round: a planted error (map_faulty.c) must be found. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

constexpr uint64_t at_once = 250; // seeds that one process runs

struct Job {
	std::string runner, preload;
	uint64_t first, count;
	size_t length;
};

std::string output_of(const std::string &command)
{
	FILE *pipe = popen(command.c_str(), "r");
	std::string text;
	char buffer[1 << 16];

	if (!pipe)
		throw std::runtime_error("cannot run " + command);
	while (size_t n = fread(buffer, 1, sizeof(buffer), pipe))
		text.append(buffer, n);
	const int status = pclose(pipe);
	if (status)
		text += "ended with status " + std::to_string(status) + "\n";
	return text;
}

std::string run(const Job &job, bool preloaded, const std::string &keep = "")
{
	return output_of((preloaded ? "LD_PRELOAD='" + job.preload + "' '" : "'") + job.runner +
	                 "' " + std::to_string(job.first) + " " + std::to_string(job.count) + " " +
	                 std::to_string(job.length) + " " + keep);
}

using Lines = std::vector<std::string>;

/* The lines of each seed's sequence. */
std::map<std::string, Lines> by_seed(const std::string &text)
{
	std::map<std::string, Lines> result;
	Lines *now = &result[""];

	for (size_t at = 0; at < text.size();) {
		const size_t end = text.find('\n', at);
		const std::string line = text.substr(at, end - at);

		if (line.compare(0, 5, "seed ") == 0)
			now = &result[line.substr(5)];
		else
			now->push_back(line);
		at = end == std::string::npos ? text.size() : end + 1;
	}
	return result;
}

bool differs(const Job &one, const std::string &keep)
{
	return run(one, false, keep) != run(one, true, keep);
}

/* The seed's sequence alone, and as few calls of it as still differ. */
std::string shrink(const Job &one)
{
	std::string keep(one.length, '1');

	for (bool smaller = true; smaller;) {
		smaller = false;
		for (char &call : keep) {
			if (call == '0')
				continue;
			call = '0';
			if (differs(one, keep))
				smaller = true;
			else
				call = '1';
		}
	}
	return keep;
}

void print_both(const Lines &plain, const Lines &preloaded)
{
	for (size_t i = 0; i < plain.size() || i < preloaded.size(); i++) {
		const std::string a = i < plain.size() ? plain[i] : "(nothing)";
		const std::string b = i < preloaded.size() ? preloaded[i] : "(nothing)";

		if (a == b)
			printf("    %s\n", a.c_str());
		else
			printf("  - %s\n  + %s\n", a.c_str(), b.c_str());
	}
}

void explain(const Job &job, const std::string &seed, const Lines &plain, const Lines &preloaded)
{
	Job one = job;

	one.first = strtoull(seed.c_str(), nullptr, 10);
	one.count = 1;
	if (!differs(one, "")) {
		printf("seed %s differs (- plain, + preloaded), but only after those from %lu "
		       "on:\n",
		       seed.c_str(), job.first);
		print_both(plain, preloaded);
		return;
	}
	const std::string keep = shrink(one);
	printf("seed %s differs (- plain, + preloaded); %s %lu 1 %zu %s:\n", seed.c_str(),
	       job.runner.c_str(), one.first, one.length, keep.c_str());
	print_both(by_seed(run(one, false, keep))[seed], by_seed(run(one, true, keep))[seed]);
}

/* Returns how many sequences differ, and explains the first. */
size_t compare(const Job &job, bool quiet)
{
	auto other = std::async(std::launch::async, [&] { return by_seed(run(job, false)); });
	auto preloaded = by_seed(run(job, true)), plain = other.get();
	size_t different = 0;

	for (auto &[seed, lines] : plain)
		if (lines != preloaded[seed] && !different++ && !quiet)
			explain(job, seed, lines, preloaded[seed]);
	if (plain.size() != job.count + 1 || plain.begin()->second != Lines())
		throw std::runtime_error("the plain run did not end well");
	return different;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	const bool expected = argc > 6 && !strcmp(argv[6], "--expect-difference");
	const uint64_t first = strtoull(argv[3], nullptr, 10),
		       count = strtoull(argv[4], nullptr, 10);
	size_t different = 0;

	for (uint64_t seed = first; seed < first + count; seed += at_once) {
		const uint64_t left = first + count - seed;

		different += compare({argv[1], argv[2], seed, left < at_once ? left : at_once,
		                      strtoul(argv[5], nullptr, 10)},
		                     expected);
		if (different)
			break;
	}
	printf("%zu sequences differ\n", different);
	return (different != 0) != expected;
}
