// Any bytes as a rule file.
#include "fuzz.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

extern "C" {
#include "site/rules.h"
#include "site/rules_keys.h"
}

namespace
{

// The file that is parsed, for complain().
const std::string *file;
unsigned complaints;

// The length in characters of a line, its newline not counted; the lines count from 1.
size_t length_of_line(unsigned long line)
{
	size_t start = 0;

	while (--line) {
		start = file->find('\n', start);
		REQUIRE(start != std::string::npos);
		start++;
	}
	return std::min(file->find('\n', start), file->size()) - start;
}

// A complaint is a line that a terminal can bear, and names a place that there is.
void complain(const char *text)
{
	char *end;

	complaints++;
	REQUIRE(strncmp(text, "f:", 2) == 0);
	for (const char *c = text; *c; c++)
		REQUIRE(static_cast<unsigned char>(*c) >= ' ' || *c == '\t');
	unsigned long line = strtoul(text + 2, &end, 10);
	REQUIRE(line >= 1 && *end == ':');
	unsigned long column = strtoul(end + 1, &end, 10);
	REQUIRE(column >= 1 && strncmp(end, ": ", 2) == 0);
	// The place may be the end of the line.  Looking for it takes time: not in every line.
	if (complaints < 100)
		REQUIRE(column <= length_of_line(line) + 1);
	REQUIRE(strstr(text, "; accepted: ") != nullptr);
}

// Rules, and the text that they point to: just as much as there is, so that one byte more would be
// noticed.
struct Parsed {
	explicit Parsed(const std::string &content) : text(content.begin(), content.end())
	{
		text.push_back('x');
		file = &content;
		complaints = 0;
		mistakes = rules_parse(&rules, text.data(), content.size(), "f", complain);
		REQUIRE(mistakes == complaints);
		REQUIRE(rules.count <= RULES_MAX);
		REQUIRE(!mistakes || rules.count == 0);
	}
	std::vector<char> text;
	unsigned mistakes;
	struct rules rules = {};
};

// The rules as a file.
std::string written(const struct rules &rules)
{
	std::string content;
	char value[320];

	for (const rule *r = rules.rule; r < rules.rule + rules.count; r++) {
		content += std::string("[site ") + r->title + "]\n";
		for (size_t i = 0; i < RULE_KEYS; i++) {
			if (!(r->given >> i & 1))
				continue;
			rule_key_show(&rule_keys[i], r, value, sizeof(value));
			content += std::string(rule_keys[i].name) + "=" + value + "\n";
		}
	}
	return content;
}

const rule_frame stack[] = {
	{"operator new(unsigned long)", "libunsplit.so.0", 1},
	{"void std::vector<int>::grow<int>(int&&)", "libtable.so.1", 2},
	{"(anonymous namespace)::Table::grow(int (*)(char)) const", "libtable.so.1", 3},
	{"main", "program", 4},
	{"", "", 5},
};

// What is chosen is the first rule that holds by itself.
void match(const struct rules &rules)
{
	rule_query query = {SITE_MALLOC, 1 << 20, 0xfeed, "worker", stack, 5};
	uint64_t bits[2];
	const rule *chosen;

	rules_match_stack(&rules, &query, bits);
	chosen = rules_choose(&rules, bits, &query);
	for (size_t i = 0; i < RULES_MAX; i++) {
		uint64_t one[2] = {i < 64 ? uint64_t{1} << i : 0,
		                   i < 64 ? 0 : uint64_t{1} << (i - 64)};
		bool set = (bits[0] & one[0]) || (bits[1] & one[1]);

		REQUIRE(i < rules.count || !set);
		if (!set || !rules_choose(&rules, one, &query))
			continue;
		REQUIRE(chosen == &rules.rule[i]);
		return;
	}
	REQUIRE(chosen == nullptr);
}

// Any text as the name of a function, too.
void match_name(const std::string &name)
{
	rule_frame frame = {name.c_str(), "program", 0};
	rule_query query = {SITE_MMAP, 0, 0, nullptr, &frame, 1};
	static const std::string all = "[site s]\nfunction = *\n[site t]\ncaller = ?a*(b[c-]\n";
	Parsed rules(all);
	uint64_t bits[2];

	rules_match_stack(&rules.rules, &query, bits);
	REQUIRE(bits[0] & 1);
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	std::string content(reinterpret_cast<const char *>(data), size);
	Parsed parsed(content);

	match_name(content);
	match(parsed.rules);
	if (parsed.mistakes)
		return 0;
	// What was understood is what is shown, and is understood again.
	std::string shown = written(parsed.rules);
	Parsed again(shown);
	REQUIRE(again.mistakes == 0);
	REQUIRE(again.rules.count == parsed.rules.count);
	REQUIRE(again.rules.needs == parsed.rules.needs);
	REQUIRE(written(again.rules) == shown);
	return 0;
}
