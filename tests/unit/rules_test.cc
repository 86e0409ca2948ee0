// The rule file: what is understood, what is refused and where, and which rule holds.
#include "random.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" {
#include "options.h"
#include "site/rules.h"
#include "site/rules_keys.h"
}

namespace
{

std::vector<std::string> complaints;

void remember(const char *line)
{
	complaints.push_back(line);
}

// Rules and the text that they point into.
class Parsed
{
      public:
	explicit Parsed(const std::string &file) : text(file.begin(), file.end())
	{
		complaints.clear();
		text.push_back('#'); // the end is no NUL
		mistakes = rules_parse(&rules, text.data(), file.size(), "f", remember);
		EXPECT_EQ(mistakes, complaints.size()) << file;
		if (mistakes) {
			EXPECT_EQ(rules.count, 0u) << file;
			EXPECT_EQ(rules.needs, 0u) << file;
		}
	}
	const rule *operator->() const
	{
		EXPECT_GT(rules.count, 0u) << (complaints.empty() ? "" : complaints[0]);
		return &rules.rule[0];
	}

	std::vector<char> text;
	unsigned mistakes;
	struct rules rules = {};
};

// The only rule of a file that has just these keys.
std::unique_ptr<Parsed> keys(const std::string &lines)
{
	auto parsed = std::make_unique<Parsed>("[site s]\n" + lines);

	EXPECT_EQ(parsed->mistakes, 0u) << (complaints.empty() ? "" : complaints[0]);
	EXPECT_EQ(parsed->rules.count, 1u);
	return parsed;
}

// What is said of a file that holds exactly one mistake.
std::string mistake(const std::string &file)
{
	Parsed parsed(file);

	EXPECT_EQ(parsed.mistakes, 1u) << file;
	return complaints.empty() ? "" : complaints[0];
}

// What is said of the second line, below a section's heading.
std::string key_mistake(const std::string &line)
{
	return mistake("[site s]\n" + line + "\n");
}

// That text starts like this.
void expect_start(const std::string &text, const std::string &start)
{
	EXPECT_EQ(text.substr(0, start.size()), start) << text;
}

std::string shown(const rule &r, const char *name)
{
	char buf[300];

	for (const rule_key &key : rule_keys) {
		if (strcmp(key.name, name) != 0)
			continue;
		rule_key_show(&key, &r, buf, sizeof(buf));
		return buf;
	}
	return "(no such key)";
}

} // namespace

TEST(RulesParse, AnEmptyFileHasNoRules)
{
	for (const char *file : {"", "\n", "# only\n  ; comments", "\r\n\t \r\n", "\xef\xbb\xbf"}) {
		Parsed parsed(file);

		EXPECT_EQ(parsed.mistakes, 0u) << file;
		EXPECT_EQ(parsed.rules.count, 0u) << file;
	}
}

TEST(RulesParse, EveryKey)
{
	auto r = keys("function = *grow*\nmodule=libfoo.so*\ncaller\t=\tmain\nsize = 1M..4M\n"
	              "kind = malloc, shared\nthread = worker?\nsite = 0123456789abcDEF\n"
	              "pages = huge\npopulate = on\nrelease = tight\nheal = off\n"
	              "node = preferred 3\nname = hot table\nthp = advised\n");
	const rule &only = r->rules.rule[0];

	EXPECT_STREQ(only.title, "s");
	EXPECT_EQ(only.line, 1u);
	EXPECT_STREQ(only.function, "*grow*");
	EXPECT_STREQ(only.module, "libfoo.so*");
	EXPECT_STREQ(only.caller, "main");
	EXPECT_EQ(only.least, 1u << 20);
	EXPECT_EQ(only.most, 4u << 20);
	EXPECT_EQ(only.kinds, unsigned(SITE_MALLOC | SITE_SHARED));
	EXPECT_STREQ(only.thread, "worker?");
	EXPECT_TRUE(only.has_site);
	EXPECT_EQ(only.site, 0x0123456789abcdefu);
	EXPECT_EQ(only.plan.pages, PAGES_HUGE);
	EXPECT_EQ(only.plan.populate, SWITCH_ON);
	EXPECT_EQ(only.plan.release, RELEASE_AS_TIGHT);
	EXPECT_EQ(only.plan.heal, SWITCH_OFF);
	EXPECT_EQ(only.plan.node_mode, NODE_PREFERRED);
	EXPECT_EQ(only.plan.node, 3u);
	EXPECT_STREQ(only.plan.name, "hot table");
	EXPECT_EQ(only.plan.thp, THP_ADVISED);
	EXPECT_EQ(only.given, (1u << RULE_KEYS) - 1);
}

TEST(RulesParse, WhatIsNotSaidIsLeftOpen)
{
	Parsed r("[site s]");

	EXPECT_EQ(r->given, 0u);
	EXPECT_EQ(r->function, nullptr);
	EXPECT_EQ(r->module, nullptr);
	EXPECT_EQ(r->caller, nullptr);
	EXPECT_EQ(r->thread, nullptr);
	EXPECT_EQ(r->least, 0u);
	EXPECT_EQ(r->most, UINT64_MAX);
	EXPECT_EQ(r->kinds, unsigned(SITE_MALLOC | SITE_MMAP | SITE_SHARED));
	EXPECT_FALSE(r->has_site);
	for (const char *byte = reinterpret_cast<const char *>(&r->plan);
	     byte < reinterpret_cast<const char *>(&r->plan + 1); byte++)
		EXPECT_EQ(*byte, 0);
}

TEST(RulesParse, EveryWordOfEverySetting)
{
	EXPECT_EQ((*keys("pages = base"))->plan.pages, PAGES_BASE);
	EXPECT_EQ((*keys("pages = default"))->plan.pages, PAGES_DEFAULT);
	EXPECT_EQ((*keys("populate = off"))->plan.populate, SWITCH_OFF);
	EXPECT_EQ((*keys("heal = on"))->plan.heal, SWITCH_ON);
	EXPECT_EQ((*keys("release = keep"))->plan.release, RELEASE_AS_KEEP);
	EXPECT_EQ((*keys("release = balanced"))->plan.release, RELEASE_AS_BALANCED);
	EXPECT_EQ((*keys("thp = system"))->plan.thp, THP_SYSTEM);
	EXPECT_EQ((*keys("thp = off"))->plan.thp, THP_OFF);
	EXPECT_EQ((*keys("node = local"))->plan.node_mode, NODE_LOCAL);
	EXPECT_EQ((*keys("node = interleave"))->plan.node_mode, NODE_INTERLEAVE);
	EXPECT_EQ((*keys("node = 0"))->plan.node_mode, NODE_BIND);
	EXPECT_EQ((*keys("node = 1023"))->plan.node, 1023u);
	EXPECT_EQ((*keys("node = preferred\t 7"))->plan.node, 7u);
	EXPECT_EQ((*keys("kind = mmap"))->kinds, unsigned(SITE_MMAP));
	EXPECT_EQ((*keys("kind = malloc,mmap ,\tshared"))->kinds, 7u);
}

TEST(RulesParse, Sizes)
{
	struct {
		const char *text;
		uint64_t least, most;
		const char *shown;
	} const sizes[] = {
		{">=1M", 1 << 20, UINT64_MAX, ">=1M"},
		{">1M", (1 << 20) + 1, UINT64_MAX, ">1M"},
		{"<64K", 0, 65535, "<64K"},
		{"<= 64K", 0, 65536, "<=64K"},
		{"1M..4M", 1 << 20, 4 << 20, "1M..4M"},
		{"1000 .. 2000", 1000, 2000, "1000..2000"},
		{"64K", 65536, 65536, "64K"},
		{"0", 0, 0, "0"},
		{">=0", 0, UINT64_MAX, ">=0"},
		{"<1", 0, 0, "0"},
		{"3G..18446744073709551615", uint64_t{3} << 30, UINT64_MAX, ">=3G"},
		{">18446744073709551614", UINT64_MAX, UINT64_MAX, "18446744073709551615"},
	};

	for (const auto &size : sizes) {
		auto r = keys(std::string("size = ") + size.text);

		EXPECT_EQ((*r)->least, size.least) << size.text;
		EXPECT_EQ((*r)->most, size.most) << size.text;
		EXPECT_EQ(shown(r->rules.rule[0], "size"), size.shown);
	}
	for (const char *wrong : {"1X",
	                          "1KB",
	                          "M",
	                          ">",
	                          ">=",
	                          "=1M",
	                          "=>1M",
	                          "<0",
	                          "-1",
	                          "1 M",
	                          "1..",
	                          "..1",
	                          "2..1",
	                          "1...2",
	                          "1-2",
	                          ">18446744073709551615",
	                          "18446744073709551616",
	                          "17179869184G",
	                          "1M,2M",
	                          "0x10"})
		EXPECT_EQ(key_mistake(std::string("size = ") + wrong),
		          std::string("f:2:8: wrong value of size (\"") + wrong +
		                  "\"); accepted: a size such as >=1M, <64K, 1M..4M or 64K (with "
		                  "K, M or G)");
}

TEST(RulesParse, CommentsStandAloneOrBehindABlank)
{
	auto r = keys("# one\n  ; two\nfunction = a#b;c # three\nname = x ; four\ncaller =y\t#\n");

	EXPECT_STREQ((*r)->function, "a#b;c");
	EXPECT_STREQ((*r)->plan.name, "x");
	EXPECT_STREQ((*r)->caller, "y");
	EXPECT_STREQ(Parsed("[site s]# five")->title, "s");
	EXPECT_STREQ(Parsed("[site s] ; six")->title, "s");
	EXPECT_STREQ(Parsed("[site a;b]")->title, "a;b");
}

TEST(RulesParse, LinesOfOtherSystems)
{
	Parsed r("\xef\xbb\xbf[site s]\r\npages = huge\r\nname = n\r\n");

	EXPECT_EQ(r->plan.pages, PAGES_HUGE);
	EXPECT_STREQ(r->plan.name, "n");
}

TEST(RulesParse, BlanksAroundWordsDoNotCount)
{
	Parsed r("  [ site\t a  b ]  \n\tpages=base\n populate  =  on  ");

	EXPECT_STREQ(r->title, "a  b");
	EXPECT_EQ(r->plan.pages, PAGES_BASE);
	EXPECT_EQ(r->plan.populate, SWITCH_ON);
}

TEST(RulesParse, AValueMayHoldAnEqualsSign)
{
	EXPECT_STREQ((*keys("function = T::operator=="))->function, "T::operator==");
}

TEST(RulesParse, TheOrderOfTheFileIsKept)
{
	Parsed r("[site a]\n\n[site b]\n[site c]\npages = huge\n");

	ASSERT_EQ(r.rules.count, 3u);
	EXPECT_STREQ(r.rules.rule[0].title, "a");
	EXPECT_STREQ(r.rules.rule[1].title, "b");
	EXPECT_EQ(r.rules.rule[1].line, 3u);
	EXPECT_STREQ(r.rules.rule[2].title, "c");
	EXPECT_EQ(r.rules.rule[1].plan.pages, PAGES_DEFAULT);
	EXPECT_EQ(r.rules.rule[2].plan.pages, PAGES_HUGE);
}

TEST(RulesMistakes, Sections)
{
	EXPECT_EQ(mistake("[site s"),
	          "f:1:8: \"]\" is missing; accepted: [site NAME] or [plan NAME]");
	EXPECT_EQ(mistake("[site s # ]\n"),
	          "f:1:8: \"]\" is missing; accepted: [site NAME] or [plan NAME]");
	EXPECT_EQ(mistake("\n[site]\n"),
	          "f:2:6: the section has no name; accepted: [site NAME] or [plan NAME]");
	EXPECT_EQ(mistake("[site  ]"),
	          "f:1:8: the section has no name; accepted: [site NAME] or [plan NAME]");
	EXPECT_EQ(mistake("[]"),
	          "f:1:2: not a section (\"\"); accepted: [site NAME] or [plan NAME]");
	EXPECT_EQ(mistake("[ sit s]"),
	          "f:1:3: not a section (\"sit\"); accepted: [site NAME] or [plan NAME]; "
	          "did you mean \"site\"?");
	EXPECT_EQ(mistake("[sites]"),
	          "f:1:2: not a section (\"sites\"); accepted: [site NAME] or [plan NAME]; did "
	          "you mean \"site\"?");
	EXPECT_EQ(mistake("[process]"), "f:1:2: not a section (\"process\"); accepted: [site "
	                                "NAME] or [plan NAME]");
	EXPECT_EQ(mistake("[site s] x = 1"), "f:1:10: text behind \"]\" (\"x = 1\"); accepted: a "
	                                     "comment, which starts with #");
	EXPECT_EQ(
		mistake("[site s]\n[site t]\n [site s]\n"),
		"f:3:8: the name stands in line 1 already (\"s\"); accepted: a name that no other "
		"rule has");
}

TEST(RulesMistakes, MatchesOfAPlan)
{
	EXPECT_EQ(mistake("[plan p]\npages = base\nsize = 1M\n"),
	          "f:3:1: a plan has no matches (\"size\"); accepted: settings only; [site NAME] "
	          "has matches");
	EXPECT_EQ(mistake("[site s]\n[plan s]\n"),
	          "f:2:7: the name stands in line 1 already (\"s\"); "
	          "accepted: a name that no other rule has");
	EXPECT_EQ(mistake("[plan]"),
	          "f:1:6: the section has no name; accepted: [site NAME] or [plan NAME]");
}

TEST(RulesMistakes, NamesThatAreTooLong)
{
	std::string name(47, 'n');

	EXPECT_STREQ(Parsed("[site " + name + "]")->title, name.c_str());
	EXPECT_STREQ((*keys("name = " + name))->plan.name, name.c_str());
	EXPECT_EQ(mistake("[site n" + name + "]"), "f:1:7: the name is too long (\"n" + name +
	                                                   "\"); accepted: a name of 1 to 47 "
	                                                   "bytes");
	expect_start(key_mistake("name = n" + name), "f:2:8: wrong value of name (\"n");
}

TEST(RulesMistakes, Keys)
{
	EXPECT_EQ(mistake("pages = huge\nheal = on\n[site s]\n"),
	          "f:1:1: a key before the first section; accepted: [site NAME] or [plan NAME] "
	          "first");
	EXPECT_EQ(key_mistake("  pagse = huge"),
	          "f:2:3: unknown key (\"pagse\"); accepted: function, module, caller, size, kind, "
	          "thread, site, pages, populate, release, heal, node, name or thp; did you mean "
	          "\"pages\"?");
	EXPECT_EQ(key_mistake("frobnicate = 1"),
	          "f:2:1: unknown key (\"frobnicate\"); accepted: function, module, caller, size, "
	          "kind, thread, site, pages, populate, release, heal, node, name or thp");
	expect_start(key_mistake("= huge"), "f:2:1: unknown key (\"\"); a");
	expect_start(key_mistake("Pages = huge"), "f:2:1: unknown key (\"Pages\")");
	EXPECT_EQ(key_mistake("heal = on\npages = huge\n heal = off"),
	          "f:4:2: second key of this name in the section (\"heal\"); accepted: one");
	EXPECT_EQ(key_mistake("pages: huge"), "f:2:12: \"=\" is missing; accepted: KEY = VALUE");
	EXPECT_EQ(key_mistake("pages  # = huge"), "f:2:6: \"=\" is missing; accepted: KEY = VALUE");
	EXPECT_EQ(key_mistake("pages ="),
	          "f:2:8: pages has no value; accepted: huge, base or default");
	expect_start(key_mistake("kind = # all"), "f:2:7: kind has no value");
}

TEST(RulesMistakes, Values)
{
	EXPECT_EQ(key_mistake("pages = hug"), "f:2:9: wrong value of pages (\"hug\"); accepted: "
	                                      "huge, base or default; did you mean \"huge\"?");
	EXPECT_EQ(key_mistake("pages = never"),
	          "f:2:9: wrong value of pages (\"never\"); accepted: "
	          "huge, base or default");
	EXPECT_EQ(key_mistake("populate=yes"),
	          "f:2:10: wrong value of populate (\"yes\"); accepted: on or off");
	EXPECT_EQ(key_mistake("release = thigt"),
	          "f:2:11: wrong value of release (\"thigt\"); accepted: keep, balanced or tight; "
	          "did you mean \"tight\"?");
	EXPECT_EQ(key_mistake("heal = 1"),
	          "f:2:8: wrong value of heal (\"1\"); accepted: on or off");
	EXPECT_EQ(key_mistake("thp = advise"),
	          "f:2:7: wrong value of thp (\"advise\"); accepted: system, advised or off; did "
	          "you mean \"advised\"?");
	EXPECT_EQ(key_mistake("kind = malloc, map,shared"),
	          "f:2:16: wrong value of kind (\"map\"); accepted: malloc, mmap or shared, or "
	          "several with commas between; did you mean \"mmap\"?");
	expect_start(key_mistake("kind = malloc,"), "f:2:15: wrong value of kind (\"\");");
	EXPECT_EQ(key_mistake("site = 123"),
	          "f:2:8: wrong value of site (\"123\"); accepted: the 16 "
	          "hex digits that reports show");
	for (const char *wrong : {"0123456789abcdeg", "0123456789abcdef0", "0x23456789abcdef"})
		key_mistake(std::string("site = ") + wrong);
	for (const char *wrong : {"1024", "-1", "99999999999999999999", "preferred", "preferred x",
	                          "local 1", "prefered 1", "1 2", "interleave 0,1"})
		expect_start(key_mistake(std::string("node = ") + wrong),
		             "f:2:8: wrong value of node (\"");
	for (const char *wrong : {"a[b", "a]", "a$", "a`", "a\\b", "caf\xc3\xa9", "\"quoted\""})
		expect_start(key_mistake(std::string("name = ") + wrong),
		             "f:2:8: wrong value of name (\"");
	EXPECT_EQ(key_mistake("function = 'main'"),
	          "f:2:12: wrong value of function (\"'main'\"); accepted: a pattern of 1 to 255 "
	          "bytes, without quotes around it");
}

TEST(RulesMistakes, LongValuesAreCutBetweenCharacters)
{
	std::string long_value = "x";

	EXPECT_STREQ((*keys("caller = " + std::string(255, 'x')))->caller,
	             std::string(255, 'x').c_str());
	for (int i = 0; i < 200; i++)
		long_value += "\xc3\xa9";
	std::string said = key_mistake("caller = " + long_value);
	EXPECT_EQ(said.substr(0, said.find(';')),
	          "f:2:10: wrong value of caller (\"" + long_value.substr(0, 47) + "...\")");
}

TEST(RulesMistakes, ColumnsCountCharacters)
{
	expect_start(mistake("[site \xc3\xa9t\xc3\xa9] x"), "f:1:12:");
	expect_start(mistake("\xef\xbb\xbf[sit s]"), "f:1:2:");
	expect_start(mistake("[site \xf0\x9f\x90\xa7] x"), "f:1:10:");
	expect_start(key_mistake("\tpages\t=\tx"), "f:2:10:");
}

TEST(RulesMistakes, BytesThatNoTextHas)
{
	EXPECT_EQ(key_mistake(std::string("pages = \0huge", 13)),
	          "f:2:9: not a text (\"0x00\"); accepted: UTF-8 without control characters");
	for (const char *wrong :
	     {"\x1b[31m", "\x7f", "\x80", "\xff", "\xc3", "\xc3(", "\xc0\x80", "\xe0\x80\x80",
	      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc2\x9b", "\r"})
		expect_start(key_mistake(std::string("caller = ") + wrong + "x"),
		             "f:2:10: not a text (");
	for (const char *right : {"\xc2\xa0", "\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf",
	                          "\xee\x80\x80", "\xf0\x9f\x90\xa7", "\xf4\x8f\xbf\xbf"})
		EXPECT_STREQ((*keys(std::string("caller = ") + right))->caller, right);
	// What stands in a comment is not read.
	EXPECT_EQ((*keys("pages = huge # \xff"))->plan.pages, PAGES_HUGE);
}

// The keys of a wrong section are not blamed on the one before it.
TEST(RulesMistakes, AllAreTold)
{
	Parsed parsed("[site a]\npages = x\nheal = on\n[sit b]\npages = huge\nheal = y\n[site c\n"
	              "heal = z\n");

	ASSERT_EQ(complaints.size(), 5u);
	expect_start(complaints[0], "f:2:9:");
	expect_start(complaints[1], "f:4:2:");
	expect_start(complaints[2], "f:6:8:");
	expect_start(complaints[3], "f:7:8:");
	expect_start(complaints[4], "f:8:8:");
}

TEST(RulesMistakes, MoreThan128Rules)
{
	std::string file;

	for (int i = 1; i <= 128; i++)
		file += "[site " + std::to_string(i) + "]\n";
	EXPECT_EQ(Parsed(file).rules.count, 128u);
	EXPECT_EQ(mistake(file + "pages = huge\n  [site x]\npages = huge\n[site y]\n"),
	          "f:130:1: too many rules; accepted: at most 128 rules");
}

// A file of mistakes takes no longer than a right one.
TEST(RulesMistakes, TakeLinearTime)
{
	std::string file;

	while (file.size() < RULES_TEXT_MAX)
		file += "x\n";
	EXPECT_EQ(Parsed("[site s]\n" + file).mistakes, file.size() / 2);
	EXPECT_EQ(Parsed("[site s]\n" + std::string(RULES_TEXT_MAX, 'x')).mistakes, 1u);
}

TEST(RulesNeeds, WhatTheMatchesAskFor)
{
	auto needs = [](const char *line) { return rules_needs(&keys(line)->rules); };

	EXPECT_EQ(needs("pages = huge\nname = n\nthp = off\nnode = 1"), 0u);
	EXPECT_EQ(needs("size = 1"), unsigned(RULES_NEED_SIZE));
	EXPECT_EQ(needs("thread = x"), unsigned(RULES_NEED_THREAD));
	EXPECT_EQ(needs("caller = x"), unsigned(RULES_NEED_CALLER));
	EXPECT_EQ(needs("module = x"), unsigned(RULES_NEED_CALLER));
	EXPECT_EQ(needs("function = x"), unsigned(RULES_NEED_DEEP));
	EXPECT_EQ(needs("site = 0123456789abcdef"), unsigned(RULES_NEED_DEEP));
	EXPECT_EQ(needs("kind = mmap"), unsigned(RULES_NEED_KIND));
	Parsed two("[site a]\nsize = 1\n[site b]\nthread = x\n"), none("");
	EXPECT_EQ(rules_needs(&two.rules), unsigned(RULES_NEED_SIZE | RULES_NEED_THREAD));
	EXPECT_EQ(rules_needs(&none.rules), 0u);
}

namespace
{

// A request, to be changed by each test.
class RulesMatch : public testing::Test
{
      protected:
	// The title of the rule that decides; "" if none does.
	std::string chosen(const std::string &file)
	{
		Parsed parsed(file);

		EXPECT_EQ(parsed.mistakes, 0u) << (complaints.empty() ? "" : complaints[0]);
		query.frames = frames.data();
		query.frame_count = frames.size();
		rules_match_stack(&parsed.rules, &query, bits);
		const rule *r = rules_choose(&parsed.rules, bits, &query);
		return r ? r->title : "";
	}
	// Whether a rule with just these keys holds.
	bool holds(const std::string &lines)
	{
		return chosen("[site s]\n" + lines) == "s";
	}

	std::vector<rule_frame> frames = {
		{"operator new(unsigned long)", "libunsplit.so.0", 0},
		{"std::vector<int, std::allocator<int> >::reserve(unsigned long)", "libtable.so.1",
	         0},
		{"Table::grow(int, char*) const", "libtable.so.1", 0},
		{"void load<Row>(Row*)", "program", 0},
		{"main", "program", 0},
		{"", "libc.so.6", 0},
	};
	rule_query query = {SITE_MALLOC, 1 << 20, 0xfeed, "worker1", nullptr, 0};
	uint64_t bits[2] = {~0ull, ~0ull};
};

} // namespace

TEST_F(RulesMatch, NothingHoldsWithoutRules)
{
	EXPECT_EQ(chosen(""), "");
	EXPECT_EQ(bits[0], 0u);
	EXPECT_EQ(bits[1], 0u);
}

TEST_F(RulesMatch, WithoutAMatchARuleHoldsAlways)
{
	EXPECT_TRUE(holds("pages = huge"));
	frames.clear();
	query.thread = nullptr;
	EXPECT_TRUE(holds("pages = huge"));
}

TEST_F(RulesMatch, TheFirstOneDecides)
{
	EXPECT_EQ(chosen("[site a]\nsize = >1M\n[site b]\nfunction = main\n[site c]\nsize = 1M\n"
	                 "[site d]\n"),
	          "b");
	EXPECT_EQ(bits[0], 0xfu) << "the size is not asked for the stack's sake";
	EXPECT_EQ(
		chosen("[site a]\nfunction = x\n[site c]\nsize = 1M\n[site b]\nfunction = main\n"),
		"c");
}

TEST_F(RulesMatch, AllMatchesOfARuleMustHold)
{
	std::string all =
		"function = main\ncaller = Table::grow\nmodule = libtable.so.*\nsize = 1M\n"
		"kind = malloc\nthread = worker*\nsite = 000000000000feed\n";

	EXPECT_TRUE(holds(all));
	for (const char *line :
	     {"function = main", "caller = Table::grow", "module = libtable.so.*", "size = 1M",
	      "kind = malloc", "thread = worker*", "site = 000000000000feed"}) {
		std::string wrong = all, key(line, strchr(line, ' '));
		const char *value = key == "size"   ? "2M"
		                    : key == "kind" ? "mmap"
		                    : key == "site" ? "000000000000feee"
		                                    : "x";

		wrong.replace(wrong.find(line), strlen(line), key + " = " + value);
		EXPECT_FALSE(holds(wrong)) << wrong;
	}
}

TEST_F(RulesMatch, TheLastOf128)
{
	std::string file;

	for (int i = 0; i < 127; i++)
		file += "[site " + std::to_string(i) + "]\nfunction = no" + std::to_string(i) +
		        "\n";
	EXPECT_EQ(chosen(file + "[site last]\nfunction = load*\n"), "last");
	EXPECT_EQ(bits[0], 0u);
	EXPECT_EQ(bits[1], uint64_t{1} << 63);
	EXPECT_EQ(chosen(file + "[site last]\nfunction = none*\n"), "");
}

TEST_F(RulesMatch, SizesHoldTheirBounds)
{
	for (uint64_t bytes : {1023u, 1024u, 2048u, 2049u}) {
		query.bytes = bytes;
		EXPECT_EQ(holds("size = 1K..2K"), bytes >= 1024 && bytes <= 2048) << bytes;
		EXPECT_EQ(holds("size = <1K"), bytes < 1024) << bytes;
		EXPECT_EQ(holds("size = <=1K"), bytes <= 1024) << bytes;
		EXPECT_EQ(holds("size = >2K"), bytes > 2048) << bytes;
		EXPECT_EQ(holds("size = >=2K"), bytes >= 2048) << bytes;
	}
}

TEST_F(RulesMatch, APlanHoldsForNothing)
{
	EXPECT_EQ(chosen("[plan p]\npages = base\n"), "");
	EXPECT_EQ(bits[0] | bits[1], 0u);
	EXPECT_EQ(chosen("[plan p]\npages = base\n[site s]\n"), "s");
	Parsed plan("[plan p]\npages = base\n");
	EXPECT_TRUE(rule_is_plan(plan.operator->()));
	EXPECT_EQ(rules_least(&plan.rules), UINT64_MAX);
}

TEST_F(RulesMatch, Kinds)
{
	query.kind = SITE_SHARED;
	EXPECT_TRUE(holds("kind = shared"));
	EXPECT_TRUE(holds("kind = malloc,shared"));
	EXPECT_FALSE(holds("kind = malloc,mmap"));
}

TEST_F(RulesMatch, AThreadWithoutAName)
{
	query.thread = nullptr;
	EXPECT_FALSE(holds("thread = *"));
	query.thread = "";
	EXPECT_TRUE(holds("thread = *"));
	EXPECT_FALSE(holds("thread = ?*"));
}

TEST_F(RulesMatch, FunctionsInAnyFrame)
{
	for (const char *name : {"main", "Table::grow(int, char*) const", "Table::grow(*", "*grow*",
	                         "load<Row>", "void load*", "operator new", "*"})
		EXPECT_TRUE(holds(std::string("function = ") + name)) << name;
	for (const char *name :
	     {"mai", "grow", "Table::grow(int)", "Table::grow()", "load", "Main"})
		EXPECT_FALSE(holds(std::string("function = ") + name)) << name;
}

TEST_F(RulesMatch, FunctionsWithoutTheirTypes)
{
	struct {
		const char *function, *bare;
	} const names[] = {
		{"f", "f"},
		{"f(int)", "f"},
		{"ns::f(void (*)(int))", "ns::f"},
		{"std::string g<int (*)(int)>(int)", "g<int ?*??int)>"},
		{"std::map<int, int> T::h(int) const", "T::h"},
		{"(anonymous namespace)::f(int)", "?anonymous namespace)::f"},
		{"operator new[](unsigned long)", "operator new[]"},
		{"bool ns::operator< <int>(T<int> const&)", "ns::operator< <int>"},
		{"T::operator unsigned int() const", "T::operator unsigned int"},
		{"T::operator()(int)", "T::operator??"},
		{"main::{lambda(int)#1}::operator()(int) const",
	         "main::{lambda?int)#1}::operator??"},
		{"f(int) [clone .part.0]", "f"},
		{"my_operator x(int)", "x"},
	};

	for (const auto &name : names) {
		frames = {{name.function, "program", 0}};
		EXPECT_TRUE(holds(std::string("function = ") + name.bare)) << name.function;
		EXPECT_TRUE(holds("function = *")) << name.function;
	}
	for (const char *odd :
	     {")", "(", "()", "(()", "())", "a)", "a(", ") (", "operator", "<", ">"}) {
		frames = {{odd, "program", 0}};
		EXPECT_TRUE(holds("function = *")) << odd;
		EXPECT_FALSE(holds("function = x*")) << odd;
	}
}

TEST_F(RulesMatch, TheCallerIsTheInnermostFrameOutsideTheRuntime)
{
	EXPECT_TRUE(holds("caller = Table::grow"));
	EXPECT_TRUE(holds("module = libtable.so.1"));
	for (const char *other : {"caller = main", "caller = std::*", "caller = operator new*",
	                          "module = program", "module = libunsplit*", "module = libc.so.6"})
		EXPECT_FALSE(holds(other)) << other;
	frames.erase(frames.begin(), frames.begin() + 3);
	EXPECT_TRUE(holds("caller = load<Row>\nmodule = program"));
}

TEST_F(RulesMatch, WhatIsRuntime)
{
	auto is_caller = [](const char *function, const char *module) {
		rule_frame frame = {function, module, 0};

		return rules_caller(&frame, 1) == &frame;
	};

	for (const char *module :
	     {"libc.so.6", "libc-2.31.so", "libstdc++.so.6", "libstdc++.so.6.0.30", "libc++.so.1",
	      "libc++abi.so.1", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "libunsplit.so.0",
	      "libpthread.so.0", "libmimalloc.so.2.0", "linux-vdso.so.1"})
		EXPECT_FALSE(is_caller("f", module)) << module;
	for (const char *module :
	     {"libcairo.so.2", "libc", "libcrypto.so", "program", "", "libc.py"})
		EXPECT_TRUE(is_caller("f", module)) << module;
	for (const char *function :
	     {"std::vector<int>::reserve(unsigned long)", "operator new(unsigned long)",
	      "operator new[](unsigned long)", "void std::vector<int>::push<int>(int&&)",
	      "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)"})
		EXPECT_FALSE(is_caller(function, "program")) << function;
	for (const char *function :
	     {"f(std::string)", "std_alloc", "mine::std::f()", "T::operator new(unsigned long)",
	      "std::string to_text(int)", ""})
		EXPECT_TRUE(is_caller(function, "program")) << function;
}

TEST_F(RulesMatch, WithoutACallerNothingIsKnownOfIt)
{
	frames = {{"start_thread", "libc.so.6", 0}};
	EXPECT_FALSE(holds("caller = *"));
	EXPECT_FALSE(holds("module = *"));
	EXPECT_TRUE(holds("function = *"));
	frames.clear();
	EXPECT_FALSE(holds("caller = *"));
	EXPECT_FALSE(holds("function = *"));
	EXPECT_TRUE(holds("size = 1M"));
}

// The same by the plainest means: each rule asked by itself, the first that holds taken.
TEST_F(RulesMatch, ChoosesAsOneWouldByHand)
{
	test::Random random(2);
	TRACE_SEED();
	static const char *const lines[] = {
		"function = main", "function = T*",      "caller = Table::*", "caller = main",
		"module = p*",     "module = lib*",      "size = >=64K",      "size = <64K",
		"kind = malloc",   "kind = mmap,shared", "thread = w*",       "thread = x*"};
	size_t matched = 0, rounds = test::effort(20000);

	for (size_t round = 0; round < rounds; round++) {
		std::string file, expected;

		query.bytes = random.one_in(2) ? 1 << 20 : 100;
		query.kind = site_kind(1 << random.below(3));
		for (size_t i = 0, n = random.below(100); i < n; i++) {
			std::string section = "[site " + std::to_string(i) + "]\n";

			for (size_t pair = 0; pair < 6; pair++)
				if (random.one_in(3))
					section += lines[pair * 2 + random.below(2)] +
					           std::string("\n");
			if (expected.empty())
				expected = chosen(section);
			file += section;
		}
		ASSERT_EQ(chosen(file), expected) << file;
		matched += !expected.empty();
	}
	EXPECT_GT(matched, rounds / 4);
}

TEST(RulesKeys, AreTakenBackAsTheyAreShown)
{
	for (const char *lines :
	     {"function = *grow*\nmodule = l?b\ncaller = [a-z]*\nthread = w",
	      "size = >=1M\nkind = mmap,malloc\nsite = 00000000000000ff", "size = <1\nnode = local",
	      "size = 5..6\nnode = preferred 1023", "pages = default\npopulate = on\nnode = 0",
	      "release = keep\nheal = off\nname = a b\nthp = system\nnode = interleave"}) {
		auto before = keys(lines);
		std::string again;

		for (size_t i = 0; i < RULE_KEYS; i++)
			if ((*before)->given & 1u << i)
				again += std::string(rule_keys[i].name) + " = " +
				         shown(before->rules.rule[0], rule_keys[i].name) + "\n";
		auto after = keys(again);
		EXPECT_EQ((*after)->given, (*before)->given) << again;
		EXPECT_EQ(memcmp(&(*after)->plan, &(*before)->plan, sizeof(plan)), 0) << again;
		for (const rule_key &key : rule_keys)
			if ((*before)->given & 1u << (&key - rule_keys)) {
				EXPECT_EQ(shown(after->rules.rule[0], key.name),
				          shown(before->rules.rule[0], key.name));
			}
	}
}

TEST(RulesKeys, AreShownCutIfTheBufferIsSmall)
{
	auto r = keys(
		"function = *grow*\nmodule = m\ncaller = c\nsize = 1M..2M\nkind = malloc,mmap\n"
		"thread = t\nsite = 0123456789abcdef\npages = huge\npopulate = on\n"
		"release = keep\nheal = on\nnode = preferred 1\nname = n\nthp = off");

	for (const rule_key &key : rule_keys) {
		for (size_t size = 1; size < 30; size++) {
			std::string buf(size + 1, '#');

			rule_key_show(&key, &r->rules.rule[0], &buf[0], size);
			EXPECT_LT(buf.find('\0'), size) << key.name;
			EXPECT_EQ(buf[size], '#') << "wrote behind the buffer";
		}
	}
}

namespace
{

// Files, and options.rules.
class RulesLoad : public testing::Test
{
      protected:
	void SetUp() override
	{
		char name[] = "/tmp/unsplit-rules-XXXXXX";
		int fd = mkstemp(name);

		ASSERT_GE(fd, 0);
		close(fd);
		path = name;
		complaints.clear();
	}
	void TearDown() override
	{
		unlink(path.c_str());
		options_load();
		site_rules.count = 0;
	}
	void write(const std::string &text)
	{
		FILE *file = fopen(path.c_str(), "w");

		ASSERT_NE(file, nullptr);
		EXPECT_EQ(fwrite(text.data(), 1, text.size(), file), text.size());
		fclose(file);
	}
	// What rules_load() writes to stderr.
	std::string load(const std::string &option)
	{
		snprintf(options.rules, sizeof(options.rules), "%s", option.c_str());
		testing::internal::CaptureStderr();
		errno = EXDEV;
		rules_load();
		EXPECT_EQ(errno, EXDEV);
		return testing::internal::GetCapturedStderr();
	}
	unsigned read(const std::string &from)
	{
		text.resize(RULES_TEXT_MAX + 2);
		return rules_read(&rules, from.c_str(), text.data(), remember);
	}

	std::string path;
	std::vector<char> text;
	struct rules rules = {};
};

using RulesLoadDeathTest = RulesLoad;

} // namespace

TEST_F(RulesLoad, OffMeansNone)
{
	options_load();
	EXPECT_STREQ(options.rules, "off");
	EXPECT_EQ(load("off"), "");
	EXPECT_EQ(site_rules.count, 0u);
}

TEST_F(RulesLoad, TakesTheFile)
{
	write("[site a]\npages = huge");
	EXPECT_EQ(load(path), "");
	ASSERT_EQ(site_rules.count, 1u);
	EXPECT_STREQ(site_rules.rule[0].title, "a");
	EXPECT_EQ(site_rules.rule[0].plan.pages, PAGES_HUGE);
}

TEST_F(RulesLoad, AWrongFileIsToldAndNotUsed)
{
	write("[site a]\npages = huge\n[site b]\npages = hug\n");
	EXPECT_EQ(load(path), "unsplit: " + path +
	                              ":4:9: wrong value of pages (\"hug\"); accepted: huge, base "
	                              "or default; did you mean \"huge\"?\nunsplit: " +
	                              path + ": the program runs on without rules\n");
	EXPECT_EQ(site_rules.count, 0u);
}

TEST_F(RulesLoad, AFileThatIsNotThere)
{
	EXPECT_EQ(load("/no/rules"), "unsplit: /no/rules: cannot be read: No such file or "
	                             "directory\nunsplit: /no/rules: the program runs on without "
	                             "rules\n");
	EXPECT_EQ(read("/tmp"), 1u);
	EXPECT_EQ(complaints[0], "/tmp: cannot be read: Is a directory");
}

TEST_F(RulesLoad, AFileOfAnySizeThatIsAccepted)
{
	std::string file = "[site s]\n";

	write(file + std::string(RULES_TEXT_MAX - file.size(), '\n'));
	EXPECT_EQ(read(path), 0u);
	EXPECT_EQ(rules.count, 1u);
	write(file + std::string(RULES_TEXT_MAX - file.size() + 1, '\n'));
	EXPECT_EQ(read(path), 1u);
	EXPECT_EQ(complaints[0], path + ": too big; accepted: at most 256 KiB");
	EXPECT_EQ(rules.count, 0u);
}

TEST_F(RulesLoadDeathTest, AFileOfNonsenseIsNotToldInFull)
{
	write(std::string(1000, '\n') + "[site a]\n" + [] {
		std::string lines;

		for (int i = 0; i < 1000; i++)
			lines += "x\n";
		return lines;
	}());
	snprintf(options.rules, sizeof(options.rules), "%s", path.c_str());
	EXPECT_EXIT(
		{
			rules_load();
			_exit(3);
		},
		testing::ExitedWithCode(3),
		"^(unsplit: .*:10[0-9][0-9]:2: .*\n){10}unsplit: \\.\\.\\. and so on; \"unsplit "
		"check\" tells all\nunsplit: .* runs on without rules\n$");
}

TEST_F(RulesLoadDeathTest, StrictEndsTheProgram)
{
	write("pages = huge\n");
	options.strict = true;
	EXPECT_EXIT(
		{
			snprintf(options.rules, sizeof(options.rules), "%s", path.c_str());
			rules_load();
		},
		testing::ExitedWithCode(2),
		"^unsplit: .*:1:1: a key before the first section; accepted: .* first\n$");
}

TEST_F(RulesLoad, CountsWhatRulesDecide)
{
	uint64_t count, bytes;

	write("[site a]\n[site b]\n");
	load(path);
	for (int i = 0; i < 1000; i++)
		rules_count(&site_rules.rule[1], 4096);
	rules_counted(&site_rules.rule[1], &count, &bytes);
	EXPECT_EQ(count, 1000u);
	EXPECT_EQ(bytes, 4096000u);
	rules_counted(&site_rules.rule[0], &count, &bytes);
	EXPECT_EQ(count, 0u);
	rules_forget_counts();
	rules_counted(&site_rules.rule[1], &count, &bytes);
	EXPECT_EQ(count, 0u);
	EXPECT_EQ(bytes, 0u);
}
