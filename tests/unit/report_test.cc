// The emitter on fixed input, and the report on this process.
extern "C" {
#include "kernel/sysfs.h"
#include "report/emitter.h"
#include "report/report.h"
#include "report/whole_file.h"
#include "report/stats.h"
#include "site/rules.h"
}

#include "no_pagemap_scan.h"
#include "real_memory.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

using namespace real_memory;

namespace
{

std::string contents(int fd)
{
	std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');

	EXPECT_EQ(pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
	return text;
}

// What an emitter makes of these calls.
std::string emitted(enum emitter_format format, const std::function<void(struct emitter *)> &calls)
{
	int fd = memfd_create("emitted", MFD_CLOEXEC);
	struct emitter e;

	emitter_start(&e, fd, format, "The title");
	calls(&e);
	EXPECT_EQ(emitter_finish(&e), 0);
	std::string text = contents(fd);
	close(fd);
	return text;
}

// What goes to descriptor 2 meanwhile.
std::string said(const std::function<void()> &action)
{
	int fd = memfd_create("said", MFD_CLOEXEC);
	int old = dup(STDERR_FILENO);

	dup2(fd, STDERR_FILENO);
	action();
	dup2(old, STDERR_FILENO);
	std::string text = contents(fd);
	close(old);
	close(fd);
	return text;
}

bool contains(const std::string &text, const std::string &part)
{
	return text.find(part) != std::string::npos;
}

// A strict reader of the JSON that we write: objects, arrays, strings, unsigned numbers with an
// optional fraction, and null.  It keeps each value under its path ("ranges.0.name").
class Json
{
      public:
	explicit Json(const std::string &text) : at_(text.c_str()), end_(at_ + text.size())
	{
		value("");
		blanks();
		valid_ = valid_ && at_ == end_;
	}
	bool valid() const
	{
		return valid_;
	}
	bool has(const std::string &path) const
	{
		return values_.count(path) != 0;
	}
	std::string text(const std::string &path) const
	{
		auto found = values_.find(path);

		return found == values_.end() ? "(missing)" : found->second;
	}
	uint64_t number(const std::string &path) const
	{
		EXPECT_TRUE(has(path)) << path;
		return strtoull(text(path).c_str(), nullptr, 10);
	}

      private:
	void blanks()
	{
		while (*at_ == ' ' || *at_ == '\n')
			at_++;
	}
	bool take(char c)
	{
		blanks();
		if (*at_ != c)
			return false;
		at_++;
		return true;
	}
	void want(char c)
	{
		valid_ = take(c) && valid_;
	}

	void value(const std::string &path)
	{
		blanks();
		if (*at_ == '{')
			members(path, '{', '}');
		else if (*at_ == '[')
			members(path, '[', ']');
		else
			values_[path] = *at_ == '"' ? string() : word();
	}
	void members(const std::string &path, char open, char close)
	{
		unsigned index = 0;

		want(open);
		if (take(close))
			return;
		do {
			std::string key = open == '{' ? string() : std::to_string(index++);
			std::string inner = path.empty() ? key : path + "." + key;

			if (open == '{')
				want(':');
			valid_ = valid_ && !has(inner);
			value(inner);
		} while (valid_ && take(','));
		want(close);
	}
	std::string string()
	{
		std::string text;

		want('"');
		for (; *at_ && *at_ != '"'; at_++) {
			if (*at_ == '\\')
				text += *at_++;
			valid_ = valid_ && *at_ >= ' ' && *at_ < 0x7f;
			text += *at_;
		}
		want('"');
		return text;
	}
	std::string word()
	{
		const char *start = at_;

		while (isalnum(static_cast<unsigned char>(*at_)) || *at_ == '.')
			at_++;
		std::string text(start, at_);
		size_t digits = text.find_first_not_of("0123456789.");
		bool number = !text.empty() && digits == std::string::npos && text[0] != '.' &&
		              text.back() != '.' && text.find('.') == text.rfind('.');
		valid_ = valid_ && (number || text == "null");
		return text;
	}

	const char *at_, *end_;
	bool valid_ = true;
	std::map<std::string, std::string> values_;
};

// A directory of its own for each test's files.
class Report : public testing::Test
{
      protected:
	void SetUp() override
	{
		char name[] = "/tmp/unsplit-report-XXXXXX";

		ASSERT_NE(mkdtemp(name), nullptr);
		dir_ = name;
	}
	void TearDown() override
	{
		for (const char *file : {"/r.txt", "/r.json"})
			unlink((dir_ + file).c_str());
		EXPECT_EQ(rmdir(dir_.c_str()), 0);
	}
	std::string written(const std::string &file, const struct report_range *ranges,
	                    size_t count)
	{
		std::string path = dir_ + file;

		EXPECT_EQ(report_write(path.c_str(), ranges, count), 0);
		int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
		EXPECT_GE(fd, 0);
		std::string text = contents(fd);
		close(fd);
		return text;
	}
	std::string dir_;
};

void sample(struct emitter *e)
{
	emitter_number(e, "version", 1, "", "of this format");
	emitter_string(e, "command", "python3", "");
	emitter_open_table(e, "ranges", "Ranges");
	for (const char *name : {"small", "large"}) {
		emitter_open_row(e);
		emitter_string(e, "name", name, "");
		emitter_number(e, "huge", name[0] == 's' ? 1642824466 : 0, "bytes", "");
		emitter_percent(e, "coverage", 1, name[0] == 's' ? 3 : 0, "");
		emitter_close_row(e);
	}
	emitter_close_table(e);
	emitter_open_object(e, "stats", "Counted");
	emitter_number(e, "returned_units", 17, "units", "given back whole");
	emitter_number(e, "retained", 1536, "bytes", "kept");
	emitter_unknown(e, "peak", "");
	emitter_close_object(e);
	emitter_open_object(e, "nothing", "Nothing");
	emitter_close_object(e);
}

} // namespace

TEST(Emitter, Text)
{
	EXPECT_EQ(emitted(EMITTER_TEXT, sample),
	          "The title\n"
	          "  version                      1 of this format\n"
	          "  command                python3\n"
	          "\n"
	          "Ranges\n"
	          "  name                huge    coverage\n"
	          "  small           1.52 GiB      33.3 %\n"
	          "  large            0 bytes           -\n"
	          "\n"
	          "Counted\n"
	          "  returned_units              17 units given back whole\n"
	          "  retained                  1.50 KiB kept\n"
	          "  peak                         -\n"
	          "\n"
	          "Nothing\n");
}

TEST(Emitter, Json)
{
	std::string text = emitted(EMITTER_JSON, sample);

	EXPECT_EQ(text, R"({
  "version": 1,
  "command": "python3",
  "ranges": [
    {
      "name": "small",
      "huge": 1642824466,
      "coverage": 33.3
    },
    {
      "name": "large",
      "huge": 0,
      "coverage": null
    }
  ],
  "stats": {
    "returned_units": 17,
    "retained": 1536,
    "peak": null
  },
  "nothing": {}
}
)");
	EXPECT_TRUE(Json(text).valid());
}

// The reader above must be able to say no, or the tests that use it prove nothing.
TEST(Emitter, TheReaderOfTheseTestsRefusesWrongJson)
{
	for (const char *wrong :
	     {"", "{", "{\"a\": 1,}", "{\"a\" 1}", "{\"a\": 1} x", "[1 2]", "{\"a\": 1, \"a\": 2}",
	      "{\"a\": nil}", "{\"a\": 1.}", "{\"a\": \"\n\"}"})
		EXPECT_FALSE(Json(wrong).valid()) << wrong;
}

TEST(Emitter, EmptyJson)
{
	EXPECT_EQ(emitted(EMITTER_JSON, [](struct emitter *) {}), "{}\n");
}

TEST(Emitter, StringsAreHarmless)
{
	auto calls = [](struct emitter *e) { emitter_string(e, "s", "a\"\\\n\x1b\xc3", ""); };

	EXPECT_EQ(emitted(EMITTER_JSON, calls),
	          "{\n  \"s\": \"a\\\"\\\\\\u000a\\u001b\\u00c3\"\n}\n");
	EXPECT_EQ(emitted(EMITTER_TEXT, calls),
	          "The title\n  s                       a\"\\??\xc3\n");
}

TEST(Emitter, SizesForPeople)
{
	const std::map<uint64_t, std::string> sizes = {
		{0, "0 bytes"},
		{1023, "1023 bytes"},
		{1024, "1.00 KiB"},
		{(1 << 20) - 1, "1023.99 KiB"},
		{1 << 20, "1.00 MiB"},
		{(1 << 20) + (1 << 19), "1.50 MiB"},
		{uint64_t{3} << 40, "3.00 TiB"},
		{UINT64_MAX, "15.99 EiB"},
	};

	for (const auto &[bytes, shown] : sizes) {
		std::string text = emitted(EMITTER_TEXT, [bytes = bytes](struct emitter *e) {
			emitter_number(e, "k", bytes, "bytes", "");
		});
		EXPECT_TRUE(contains(text, " " + shown + "\n")) << text;
	}
}

TEST(Emitter, PercentIsCutOffAndNeverMoreThanTrue)
{
	std::string text = emitted(EMITTER_JSON, [](struct emitter *e) {
		emitter_percent(e, "none", 0, 9, "");
		emitter_percent(e, "nearly", 99999, 100000, "");
		emitter_percent(e, "all", UINT64_MAX, UINT64_MAX, "");
		emitter_percent(e, "more", 3, 2, "");
		emitter_percent(e, "unknown", 0, 0, "");
	});

	EXPECT_EQ(text, "{\n  \"none\": 0.0,\n  \"nearly\": 99.9,\n  \"all\": 100.0,\n"
	                "  \"more\": 150.0,\n  \"unknown\": null\n}\n");
}

// Much more than the emitter's buffer and its row hold.
TEST(Emitter, LongOutputIsComplete)
{
	std::string keys;
	for (int i = 0; i < 1000; i++)
		keys += "  \"k\": " + std::to_string(i) + (i < 999 ? ",\n" : "\n");

	EXPECT_EQ(emitted(EMITTER_JSON,
	                  [](struct emitter *e) {
				  for (uint64_t i = 0; i < 1000; i++)
					  emitter_number(e, "k", i, "", "");
			  }),
	          "{\n" + keys + "}\n");

	std::string row = emitted(EMITTER_TEXT, [](struct emitter *e) {
		emitter_open_table(e, "t", "T");
		emitter_open_row(e);
		for (int i = 0; i < 100; i++)
			emitter_string(e, "k", std::string(200, 'x').c_str(), "");
		emitter_close_row(e);
		emitter_close_table(e);
	});
	EXPECT_EQ(row.size() - row.rfind('\n', row.size() - 2) - 2, sizeof(emitter::row) - 1);
}

TEST(Emitter, TellsOfAFailedWrite)
{
	struct emitter e;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	emitter_start(&e, full, EMITTER_JSON, "");
	sample(&e);
	EXPECT_EQ(emitter_finish(&e), ENOSPC);
	close(full);
	emitter_start(&e, -1, EMITTER_TEXT, "");
	EXPECT_EQ(emitter_finish(&e), EBADF);
}

TEST(ReportPath, ReplacesThePid)
{
	std::string pid = std::to_string(getpid());
	const std::map<std::string, std::string> paths = {
		{"", ""},
		{"/tmp/x.json", "/tmp/x.json"},
		{"%p", pid},
		{"%", "%"},
		{"%q%%p", "%q%" + pid},
		{"a-%p-%p.json", "a-" + pid + "-" + pid + ".json"},
	};
	char buf[64];

	for (const auto &[where, path] : paths) {
		EXPECT_EQ(report_path(where.c_str(), buf, sizeof(buf)), 0);
		EXPECT_EQ(buf, path);
	}
}

TEST(ReportPath, RefusesWhatDoesNotFit)
{
	size_t digits = std::to_string(getpid()).size();
	char buf[64] = "";

	EXPECT_EQ(report_path("abc", buf, 4), 0);
	EXPECT_EQ(report_path("abc", buf, 3), ENAMETOOLONG);
	EXPECT_EQ(report_path("a%p", buf, digits + 2), 0);
	EXPECT_EQ(report_path("a%p", buf, digits + 1), ENAMETOOLONG);
	EXPECT_EQ(report_path("", buf, 0), ENAMETOOLONG);
}

TEST_F(Report, JsonHasEverything)
{
	size_t page = page_size();
	Area area(4 * page, PROT_READ | PROT_WRITE);
	struct report_range ranges[] = {{"small", area.addr(), area.bytes()},
	                                {"large", nullptr, 0}};
	char command[16] = "";

	prctl(PR_GET_NAME, command);
	area.advise(MADV_NOHUGEPAGE);
	area.touch(4);
	uint64_t asked = stat_get(huge_asked), units = stat_get(returned_units);
	stat_set(huge_asked, 4 * page);
	stat_set(returned_units, 17);
	Json json(written("/r.json", ranges, 2));
	stat_set(huge_asked, asked);
	stat_set(returned_units, units);

	EXPECT_TRUE(json.valid());
	EXPECT_EQ(json.number("version"), 1u);
	EXPECT_EQ(json.text("unsplit"), UNSPLIT_VERSION);
	EXPECT_EQ(json.number("pid"), static_cast<uint64_t>(getpid()));
	EXPECT_EQ(json.text("command"), command);
	EXPECT_EQ(json.text("ranges.0.name"), "small");
	EXPECT_EQ(json.number("ranges.0.in_range"), 4 * page);
	EXPECT_EQ(json.text("ranges.1.name"), "large");
	EXPECT_EQ(json.number("ranges.1.in_range"), 0u);
	EXPECT_FALSE(json.has("ranges.2.name"));
	EXPECT_EQ(json.number("heap.in_range"), 4 * page);
	EXPECT_EQ(json.number("heap.huge_asked"), 4 * page);
	if (json.text("heap.source") == "PAGEMAP_SCAN") {
		EXPECT_EQ(json.number("ranges.0.resident"), page);
		EXPECT_EQ(json.text("ranges.0.coverage"), "0.0");
		EXPECT_EQ(json.text("ranges.1.coverage"), "null");
		EXPECT_EQ(json.number("heap.resident"), page);
		EXPECT_EQ(json.text("heap.got_of_asked"), "0.0");
	} else {
		EXPECT_EQ(json.text("heap.source"), "smaps_rollup");
		EXPECT_EQ(json.text("ranges.0.resident"), "null");
		EXPECT_GE(json.number("heap.resident"), page);
	}
	EXPECT_GT(json.number("process.minor_faults"), 0u);
	EXPECT_TRUE(json.has("process.major_faults"));
	EXPECT_GT(json.number("process.anonymous"), 0u);
	EXPECT_GE(json.number("process.peak_rss"), json.number("process.anonymous"));
	EXPECT_LE(json.number("process.anon_huge_pages"), json.number("process.anonymous"));
	EXPECT_EQ(json.number("stats.returned_units"), 17u);
#define STAT(name, unit, help) EXPECT_TRUE(json.has("stats." #name)) << #name;
#include "report/stats.def"
}

TEST_F(Report, RulesAreListedWithWhatTheyDecided)
{
	static char text[] = "[site a \"1\"]\n\n[site b]\n";

	EXPECT_FALSE(Json(written("/r.json", nullptr, 0)).has("rules.0.title"));
	ASSERT_EQ(rules_parse(&site_rules, text, strlen(text), "", [](const char *) {}), 0u);
	rules_count(&site_rules.rule[1], 100);
	rules_count(&site_rules.rule[1], 28);
	Json json(written("/r.json", nullptr, 0));
	std::string table = written("/r.txt", nullptr, 0);
	site_rules.count = 0;

	EXPECT_TRUE(json.valid());
	EXPECT_EQ(json.text("rules.0.title"), R"(a \"1\")") << "the reader keeps escapes";
	EXPECT_EQ(json.number("rules.0.line"), 1u);
	EXPECT_EQ(json.number("rules.0.count"), 0u);
	EXPECT_EQ(json.number("rules.0.bytes"), 0u);
	EXPECT_EQ(json.text("rules.1.title"), "b");
	EXPECT_EQ(json.number("rules.1.line"), 3u);
	EXPECT_EQ(json.number("rules.1.count"), 2u);
	EXPECT_EQ(json.number("rules.1.bytes"), 128u);
	EXPECT_FALSE(json.has("rules.2.title"));
	EXPECT_TRUE(contains(table, "\nRequests that rules decided\n"));
	EXPECT_TRUE(contains(table, "\n  b                      3           2   128 bytes\n"));
}

TEST_F(Report, TextStaysWithinEightyColumns)
{
	struct report_range range = {"small", nullptr, 0};

	report_start();
	std::istringstream lines(written("/r.txt", &range, 1));
	std::string line;
	unsigned count = 0;

	while (std::getline(lines, line)) {
		EXPECT_LT(line.size(), 80u) << line;
		EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
		count++;
	}
	EXPECT_GT(count, 30u);
}

TEST_F(Report, ARangeTheKernelRefusesIsUnknownAndNotZero)
{
	struct report_range range = {"odd", reinterpret_cast<void *>(1), 1};
	Json json(written("/r.json", &range, 1));

	EXPECT_TRUE(json.valid());
	EXPECT_EQ(json.text("ranges.0.resident"), "null");
	EXPECT_EQ(json.text("ranges.0.huge"), "null");
	if (json.text("heap.source") == "null")
		EXPECT_EQ(json.text("heap.huge_got"), "null");
	else
		EXPECT_EQ(json.text("heap.source"), "smaps_rollup");
}

// Other processes split pages as well, so there are only bounds.
TEST_F(Report, SystemCountersAreThoseSinceTheStart)
{
	Area area(unit_size(), PROT_READ | PROT_WRITE);
	uint64_t before = 0, after = 0;

	ASSERT_TRUE(sysfs_field("/proc/vmstat", "thp_split_pmd", &before));
	report_start();
	area.advise(MADV_HUGEPAGE);
	area.touch(1);
	madvise(area.addr(), page_size(), MADV_COLD); // splits (K1)
	Json json(written("/r.json", nullptr, 0));
	ASSERT_TRUE(sysfs_field("/proc/vmstat", "thp_split_pmd", &after));

	EXPECT_TRUE(json.valid());
	EXPECT_GE(json.number("system_since_start.split_pmd"), huge_when_advised() ? 1u : 0u);
	EXPECT_LE(json.number("system_since_start.split_pmd"), after - before);
	EXPECT_TRUE(json.has("system_since_start.split_page"));
	EXPECT_TRUE(json.has("system_since_start.deferred_split_page"));
}

TEST_F(Report, GoesToStderr)
{
	std::string text = said([] { EXPECT_EQ(report_write("stderr", nullptr, 0), 0); });

	EXPECT_EQ(text.substr(0, text.find(':')), "unsplit");
	EXPECT_TRUE(contains(text, "\nWhat unsplit did\n"));
}

TEST_F(Report, AnOldFileIsReplaced)
{
	std::string path = dir_ + "/r.json";
	int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	EXPECT_EQ(ftruncate(fd, 100000), 0);
	close(fd);
	EXPECT_TRUE(Json(written("/r.json", nullptr, 0)).valid());
}

TEST_F(Report, NamesThePathThatCannotBeWritten)
{
	const std::map<std::string, int> paths = {
		{"/nonexistent-%p/r.json", ENOENT},
		{dir_, EISDIR},
		{"/dev/full", ENOSPC},
		{std::string(2000, 'x'), ENAMETOOLONG},
	};

	for (const auto &[path, error] : paths) {
		std::string line = said([&, path = path, error = error] {
			errno = EXDEV;
			EXPECT_EQ(report_write(path.c_str(), nullptr, 0), error);
			EXPECT_EQ(errno, EXDEV);
		});
		std::string expected = "unsplit: the report cannot be written to " + path + ": " +
		                       strerrordesc_np(error) + "\n";
		// say() cuts off what is longer than a line should be.
		if (path.size() < 1000)
			EXPECT_EQ(line, expected);
		else
			EXPECT_EQ(line.substr(0, 500), expected.substr(0, 500));
	}
}

// A new process, because the counters once remembered stay so.
TEST(ReportDeathTest, WithoutAStartThereAreNoSystemCounters)
{
	auto left_out = [] {
		std::string text = said([] { report_write("stderr", nullptr, 0); });

		return contains(text, "What unsplit did") && !contains(text, "since start");
	};

	GTEST_FLAG_SET(death_test_style, "threadsafe");
	EXPECT_EXIT(_exit(left_out() ? 0 : 1), testing::ExitedWithCode(0), "");
}

// What belongs to the whole process is not shown as if it were the range's.
TEST(ReportDeathTest, WithoutPagemapScanTheRangesAreUnknown)
{
	auto unknown = [] {
		struct report_range range = {"small", nullptr, 4096};
		bool set = forbid_pagemap_scan();
		std::string text = said([&] { report_write("stderr", &range, 1); });

		return set && contains(text, "smaps_rollup of the whole process") &&
		       contains(text,
		                "  small           4.00 KiB           -           -           -\n");
	};

	EXPECT_EXIT(_exit(unknown() ? 0 : 1), testing::ExitedWithCode(0), "");
}
