// Any text as UNSPLIT_CONF.
#include "fuzz.h"

#include <cstring>
#include <string>

extern "C" {
#include "options.h"
}

namespace
{

unsigned complaints;

void complain(const char *line)
{
	REQUIRE(*line && strlen(line) < 1024);
	complaints++;
}

unsigned parse(struct options *o, const std::string &conf)
{
	complaints = 0;
	memset(o, 0, sizeof(*o));
	options_default(o);
	unsigned mistakes = options_parse(o, conf.c_str(), complain);
	REQUIRE(mistakes == complaints);
	return mistakes;
}

// Every option as it is shown, in one text.
std::string written(const struct options *o)
{
	std::string conf;

	for (size_t i = 0; i < option_count; i++) {
		char value[300];

		option_show(&option_rows[i], o, value, sizeof(value));
		conf += std::string(conf.empty() ? "" : ",") + option_rows[i].name + ":" + value;
	}
	return conf;
}

} // namespace

// What was understood is what is shown, and is understood again.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options first, second;
	std::string conf(reinterpret_cast<const char *>(data), size);

	parse(&first, conf);
	REQUIRE(parse(&second, written(&first)) == 0);
	REQUIRE(written(&second) == written(&first));
	return 0;
}
