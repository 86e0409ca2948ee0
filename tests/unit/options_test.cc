// The option table: every type, every mistake, and what the user is told.
#include <gtest/gtest.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include <unistd.h>

extern "C" {
#include "options.h"
}

namespace
{

std::vector<std::string> complaints;

void remember(const char *line)
{
	complaints.push_back(line);
}

const option_row &row_of(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (!strcmp(option_rows[i].name, name))
			return option_rows[i];
	ADD_FAILURE() << "no option " << name;
	return option_rows[0];
}

// The parser serves types, also those that no option of the table has.
option_row percent_row()
{
	option_row row = row_of("delay"); // its member has the right type

	row.type = OPTION_PERCENT;
	row.min = 5;
	row.max = 100;
	return row;
}

class Options : public testing::Test
{
      protected:
	void SetUp() override
	{
		complaints.clear();
		memset(&o, 0xff, sizeof(o));
		options_default(&o);
	}
	unsigned parse(const char *conf)
	{
		return options_parse(&o, conf, remember);
	}
	// Parse something that holds exactly one mistake, and return what is said of it.
	std::string complaint(const std::string &conf)
	{
		complaints.clear();
		EXPECT_EQ(parse(conf.c_str()), 1u) << conf;
		EXPECT_EQ(complaints.size(), 1u) << conf;
		return complaints.empty() ? "" : complaints[0];
	}
	std::string shown(const option_row &row)
	{
		char buf[300];

		option_show(&row, &o, buf, sizeof(buf));
		return buf;
	}
	std::string shown(const char *name)
	{
		return shown(row_of(name));
	}

	struct options o;
};

std::string accepts(const option_row &row)
{
	char buf[128];

	option_accepts(&row, buf, sizeof(buf));
	return buf;
}

TEST_F(Options, HaveTheDefaultsOfTheTable)
{
	EXPECT_TRUE(o.huge);
	EXPECT_FALSE(o.strict);
	EXPECT_EQ(o.huge_after, 1u << 20);
	EXPECT_EQ(o.delay, 1000u);
	EXPECT_EQ(o.release, unsigned(RELEASE_BALANCED));
	EXPECT_STREQ(o.report, "off");
}

// Every row, also those that are added later: its default is a value that it accepts, and what it
// shows is parsed back into the same.
TEST_F(Options, EveryDefaultIsAcceptedAndShownInTheFormThatIsParsed)
{
	ASSERT_GT(option_count, 5u);
	for (size_t i = 0; i < option_count; i++) {
		const option_row &row = option_rows[i];
		std::string value = shown(row);
		struct options parsed = o;

		EXPECT_TRUE(option_parse(&row, value.c_str(), &parsed)) << row.name << ":" << value;
		EXPECT_EQ(memcmp(&parsed, &o, sizeof(o)), 0) << row.name << ":" << value;
		EXPECT_LT(strlen(row.name), 64u) << "too long for the parser";
		EXPECT_GT(strlen(row.help), 10u) << row.name;
		EXPECT_FALSE(accepts(row).empty()) << row.name;
	}
}

TEST_F(Options, BoolIsOnOrOff)
{
	EXPECT_EQ(parse("huge:off,strict:on"), 0u);
	EXPECT_FALSE(o.huge);
	EXPECT_TRUE(o.strict);
	EXPECT_EQ(shown("huge"), "off");
	EXPECT_EQ(shown("strict"), "on");
	for (const char *bad : {"", "1", "On", "onn", "o", "off|on", "|"})
		EXPECT_EQ(complaint(std::string("huge:") + bad),
		          std::string("option huge: \"") + bad + "\" is not on or off; using off");
}

TEST_F(Options, NumberHasNoUnit)
{
	EXPECT_EQ(parse("site_frames:32"), 0u);
	EXPECT_EQ(o.site_frames, 32u);
	EXPECT_EQ(shown("site_frames"), "32");
	for (const char *bad : {"", "0", "33", "4K", "4%", "-1", "four"})
		EXPECT_EQ(complaint(std::string("site_frames:") + bad),
		          std::string("option site_frames: \"") + bad +
		                  "\" is not a number from 1 to 32; using 32");
}

TEST_F(Options, SizeHasAnOptionalUnit)
{
	const struct {
		const char *text;
		size_t bytes;
		const char *shown;
	} good[] = {
		{"0", 0, "0"},
		{"0K", 0, "0"},
		{"1000", 1000, "1000"},
		{"64K", 65536, "64K"},
		{"1024K", 1 << 20, "1M"},
		{"3M", 3 << 20, "3M"},
		{"1025K", 1025 << 10, "1025K"},
		{"2G", size_t(2) << 30, "2G"},
		{"1024G", size_t(1) << 40, "1024G"},
	};

	for (const auto &g : good) {
		EXPECT_EQ(parse((std::string("huge_after:") + g.text).c_str()), 0u) << g.text;
		EXPECT_EQ(o.huge_after, g.bytes) << g.text;
		EXPECT_EQ(shown("huge_after"), g.shown);
	}
}

TEST_F(Options, SizeRefusesEverythingElse)
{
	for (const char *bad : {"", "K", "12Q", "1.5M", "-1", "+1", "1 M", "0x10", "1MM", "1m",
	                        "1025G", "99999999999999999999", "18446744073709551615G"})
		EXPECT_EQ(complaint(std::string("huge_after:") + bad),
		          std::string("option huge_after: \"") + bad +
		                  "\" is not a size from 0 to 1024G, such as 64K or 1M; using 1M");
	EXPECT_EQ(complaint("small_max:1023"),
	          "option small_max: \"1023\" is not a size from 1K to "
	          "64K, such as 16K; using 16K");
	EXPECT_EQ(o.huge_after, 1u << 20);
	EXPECT_EQ(o.small_max, 16u << 10);
}

TEST_F(Options, MillisecondsHaveAnOptionalUnit)
{
	EXPECT_EQ(parse("delay:250"), 0u);
	EXPECT_EQ(o.delay, 250u);
	EXPECT_EQ(shown("delay"), "250ms");
	EXPECT_EQ(parse("delay:7ms"), 0u);
	EXPECT_EQ(o.delay, 7u);
	EXPECT_EQ(parse("delay:2s"), 0u);
	EXPECT_EQ(o.delay, 2000u);
	EXPECT_EQ(shown("delay"), "2s");
	EXPECT_EQ(parse("delay:0"), 0u);
	EXPECT_EQ(o.delay, 0u);
	EXPECT_EQ(shown("delay"), "0");
	for (const char *bad : {"", "s", "1m", "1h", "1sec", "3601s", "3600001ms", "-5"})
		EXPECT_EQ(complaint(std::string("delay:") + bad),
		          std::string("option delay: \"") + bad +
		                  "\" is not a time from 0 to 3600s, such as 100ms or 2s; using 0");
}

TEST_F(Options, PercentHasAnOptionalSign)
{
	option_row row = percent_row();

	EXPECT_TRUE(option_parse(&row, "50", &o));
	EXPECT_EQ(o.delay, 50u);
	EXPECT_TRUE(option_parse(&row, "5%", &o));
	EXPECT_EQ(o.delay, 5u);
	EXPECT_EQ(shown(row), "5%");
	EXPECT_EQ(accepts(row), "a percentage from 5% to 100%");
	for (const char *bad : {"", "%", "4%", "101", "50%%", "50 %", "0.5"})
		EXPECT_FALSE(option_parse(&row, bad, &o)) << bad;
	EXPECT_EQ(o.delay, 5u);
}

TEST_F(Options, EnumIsOneOfItsWords)
{
	EXPECT_EQ(parse("release:keep"), 0u);
	EXPECT_EQ(o.release, unsigned(RELEASE_KEEP));
	EXPECT_EQ(parse("release:tight"), 0u);
	EXPECT_EQ(o.release, unsigned(RELEASE_TIGHT));
	EXPECT_EQ(shown("release"), "tight");
	for (const char *bad : {"", "tigh", "tighter", "keep|balanced", "Keep"})
		EXPECT_EQ(complaint(std::string("release:") + bad),
		          std::string("option release: \"") + bad +
		                  "\" is not keep, balanced or tight; using tight");
}

TEST_F(Options, TextIsKeptAsItIs)
{
	EXPECT_EQ(parse("report:/tmp/a b:c.%p.json,huge:off"), 0u);
	EXPECT_STREQ(o.report, "/tmp/a b:c.%p.json");
	EXPECT_EQ(shown("report"), "/tmp/a b:c.%p.json");
	EXPECT_FALSE(o.huge);
	EXPECT_FALSE(option_parse(&row_of("report"), "with,comma", &o));
	EXPECT_EQ(complaint("report:"),
	          "option report: \"\" is not a text of 1 to 255 bytes without a "
	          "comma; using /tmp/a b:c.%p.json");
}

TEST_F(Options, TextIsTakenWholeOrNotAtAll)
{
	std::string longest(255, 'x');

	EXPECT_EQ(parse(("report:" + longest).c_str()), 0u);
	EXPECT_EQ(o.report, longest);
	EXPECT_EQ(parse("report:off"), 0u);
	for (size_t length : {256, 259, 260, 5000}) {
		std::string said = complaint("report:" + std::string(length, 'y'));

		EXPECT_NE(said.find("is not a text of 1 to 255 bytes"), std::string::npos) << said;
		EXPECT_EQ(said.substr(said.size() - 11), "; using off");
		EXPECT_STREQ(o.report, "off");
	}
}

TEST_F(Options, UnknownNamesGetTheNearestOne)
{
	EXPECT_EQ(complaint("huge_aftr:1M"), "option \"huge_aftr\" is not known; did you mean "
	                                     "\"huge_after\"? It is ignored.");
	EXPECT_EQ(complaint("relaese:keep"),
	          "option \"relaese\" is not known; did you mean \"release\"? It is ignored.");
	EXPECT_EQ(complaint("HUGE"), "option \"HUGE\" is not known; \"unsplit options\" lists all. "
	                             "It is ignored.");
	EXPECT_EQ(complaint(":on"),
	          "option \"\" is not known; \"unsplit options\" lists all. It is ignored.");
	EXPECT_EQ(complaint(std::string(300, 'z') + ":on"),
	          "option \"" + std::string(60, 'z') +
	                  "...\" is not known; \"unsplit options\" lists all. It is ignored.");
}

TEST_F(Options, AMissingValueIsAMistake)
{
	EXPECT_EQ(complaint("huge"),
	          "option huge has no value, which would be on or off; using on");
	EXPECT_EQ(complaint("delay"), "option delay has no value, which would be a time from 0 to "
	                              "3600s, such as 100ms or 2s; using 1s");
}

TEST_F(Options, TheOthersStillTakeEffectAfterAMistake)
{
	EXPECT_EQ(parse("huge:off,nonsense:1,delay:12Q,strict:on,delay:5,huge_after:64K"), 2u);
	EXPECT_EQ(complaints.size(), 2u);
	EXPECT_FALSE(o.huge);
	EXPECT_TRUE(o.strict);
	EXPECT_EQ(o.delay, 5u);
	EXPECT_EQ(o.huge_after, 65536u);
}

TEST_F(Options, TheLaterValueWins)
{
	EXPECT_EQ(parse("delay:1,delay:2,delay:3"), 0u);
	EXPECT_EQ(o.delay, 3u);
}

TEST_F(Options, BlanksAndEmptyEntriesAreSkipped)
{
	EXPECT_EQ(parse(""), 0u);
	EXPECT_EQ(parse(",, ,\t,"), 0u);
	EXPECT_EQ(parse(" huge : off ,\n\tdelay:3\t,"), 0u);
	EXPECT_FALSE(o.huge);
	EXPECT_EQ(o.delay, 3u);
}

// Sanitizers watch this one: nothing a user can write may be read or written past.
TEST_F(Options, AnyTextIsSurvived)
{
	unsigned seed = 1;
	const char letters[] = "huge_after:release,;%|1KMG \t\x01\xff";

	for (int round = 0; round < 20000; round++) {
		std::string conf;

		for (int n = rand_r(&seed) % 80; n > 0; n--)
			conf += letters[rand_r(&seed) % (sizeof(letters) - 1)];
		complaints.clear();
		unsigned mistakes = parse(conf.c_str());
		ASSERT_EQ(mistakes, complaints.size()) << conf;
	}
}

TEST_F(Options, AreShownCutIfTheBufferIsSmall)
{
	for (size_t i = 0; i < option_count; i++) {
		for (size_t size = 1; size < 40; size++) {
			std::string buf(size + 1, '#');

			option_show(&option_rows[i], &o, &buf[0], size);
			EXPECT_LT(buf.find('\0'), size);
			EXPECT_EQ(buf[size], '#') << "wrote behind the buffer";
			option_accepts(&option_rows[i], &buf[0], size);
			EXPECT_LT(buf.find('\0'), size);
			EXPECT_EQ(buf[size], '#') << "wrote behind the buffer";
		}
	}
}

TEST(OptionsSet, SaysWhatIsWrongWithoutWhatIsDoneAboutIt)
{
	struct options o;
	char mistake[512];

	options_default(&o);
	EXPECT_TRUE(options_set(&o, "delay", "2s", mistake, sizeof(mistake)));
	EXPECT_EQ(o.delay, 2000u);
	EXPECT_FALSE(options_set(&o, "dealy", "2s", mistake, sizeof(mistake)));
	EXPECT_STREQ(mistake, "option \"dealy\" is not known; did you mean \"delay\"?");
	EXPECT_FALSE(options_set(&o, "huge", "maybe", mistake, sizeof(mistake)));
	EXPECT_STREQ(mistake, "option huge: \"maybe\" is not on or off");
	EXPECT_FALSE(options_set(&o, "huge", nullptr, mistake, sizeof(mistake)));
	EXPECT_STREQ(mistake, "option huge has no value, which would be on or off");
}

TEST(TypingDistance, CountsMistakes)
{
	EXPECT_EQ(typing_distance("delay", "delay"), 0u);
	EXPECT_EQ(typing_distance("dealy", "delay"), 1u) << "swapped";
	EXPECT_EQ(typing_distance("delax", "delay"), 1u) << "changed";
	EXPECT_EQ(typing_distance("dellay", "delay"), 1u) << "added";
	EXPECT_EQ(typing_distance("dlay", "delay"), 1u) << "dropped";
	EXPECT_EQ(typing_distance("yaled", "delay"), UINT_MAX);
	EXPECT_EQ(typing_distance("", "delay"), UINT_MAX);
	EXPECT_EQ(typing_distance("", ""), 0u);
	EXPECT_EQ(typing_distance(std::string(64, 'x').c_str(), std::string(64, 'x').c_str()),
	          UINT_MAX);
}

class OptionsLoad : public testing::Test
{
      protected:
	void TearDown() override
	{
		unsetenv("UNSPLIT_CONF");
		options_load();
	}
};

TEST_F(OptionsLoad, TakesTheEnvironment)
{
	setenv("UNSPLIT_CONF", "delay:42", 1);
	options_load();
	EXPECT_EQ(options.delay, 42u);
	unsetenv("UNSPLIT_CONF");
	options_load();
	EXPECT_EQ(options.delay, 1000u);
}

TEST_F(OptionsLoad, SaysWhatIsWrongAndGoesOn)
{
	setenv("UNSPLIT_CONF", "huge_aftr:1M,delay:42", 1);
	testing::internal::CaptureStderr();
	errno = EXDEV;
	options_load();
	EXPECT_EQ(errno, EXDEV);
	EXPECT_EQ(testing::internal::GetCapturedStderr(),
	          "unsplit: option \"huge_aftr\" is not known; did you mean \"huge_after\"? It is "
	          "ignored.\n");
	EXPECT_EQ(options.delay, 42u);
}

using OptionsLoadDeathTest = OptionsLoad;

// Before libc's constructor `environ` is NULL, but the kernel has what the process started with.
// That takes a process of its own: this program again, with only the next test in it.
TEST_F(OptionsLoadDeathTest, ReadsTheFirstEnvironmentWhereLibcHasNone)
{
	const char *args[] = {"", "--gtest_also_run_disabled_tests",
	                      "--gtest_filter=OptionsLoad.DISABLED_WithoutEnviron", nullptr};
	const char *env[] = {"A=1", "UNSPLIT_CONF=delay:42", "Z=1", nullptr};

	EXPECT_EXIT(execve("/proc/self/exe", const_cast<char **>(args), const_cast<char **>(env)),
	            testing::ExitedWithCode(42), "");
}

TEST_F(OptionsLoad, DISABLED_WithoutEnviron)
{
	setenv("UNSPLIT_CONF", "delay:43", 1); // not what the process started with
	environ = nullptr;
	options_load();
	_exit(int(options.delay));
}

TEST_F(OptionsLoadDeathTest, StrictMakesAMistakeFatal)
{
	setenv("UNSPLIT_CONF", "delay:soon,strict:on", 1);
	EXPECT_EXIT(options_load(), testing::ExitedWithCode(2),
	            "^unsplit: option delay: \"soon\" is not a time .*; using 1s\n$");
}

} // namespace
