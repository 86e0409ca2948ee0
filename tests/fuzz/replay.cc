// replay.cc: stands in for libFuzzer where the compiler has none.
//
// Takes libFuzzer's command line, as far as the tests use it: -runs=N, -seed=N, directories or
// files of inputs; other options are ignored.  Runs every input as it is, and then N mutations of
// them.  No coverage guides it, so it finds less in the same time; what libFuzzer finds belongs
// into the corpus, and then is replayed here, too.
#include "fuzz.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace
{

using Inputs = std::vector<std::string>;

void take_file(const fs::path &path, Inputs &inputs)
{
	std::ifstream file(path, std::ios::binary);

	inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// In the order of their names, so that a seed always means the same.
void take(const fs::path &path, Inputs &inputs)
{
	std::vector<fs::path> paths;

	if (!fs::is_directory(path)) {
		take_file(path, inputs);
		return;
	}
	for (const auto &entry : fs::directory_iterator(path))
		paths.push_back(entry.path());
	std::sort(paths.begin(), paths.end());
	for (const fs::path &file : paths)
		take_file(file, inputs);
}

class Mutator
{
      public:
	Mutator(const Inputs &inputs, unsigned seed) : inputs(inputs), engine(seed)
	{
	}
	std::string next()
	{
		std::string input = any();

		for (size_t n = 1 + below(4); n > 0; n--)
			mutate(input);
		return input;
	}

      private:
	size_t below(size_t n)
	{
		return n ? engine() % n : 0;
	}
	const std::string &any()
	{
		return inputs[below(inputs.size())];
	}
	// A piece of one, up to a line or so.
	std::string piece(const std::string &from)
	{
		return from.substr(below(from.size() + 1), below(40));
	}
	void mutate(std::string &input)
	{
		static const char telling[] =
			"\0\n\r\t =[]#;,.*?<>-KMG019\x1b\x7f\x80\xc3\xff(){}:";
		size_t at = below(input.size() + 1);

		switch (below(6)) {
		case 0:
			input.insert(at, 1, telling[below(sizeof(telling))]);
			break;
		case 1:
			input.insert(at, piece(any()));
			break;
		case 2:
			input.insert(at, piece(input));
			break;
		case 3:
			input.erase(at, below(8));
			break;
		case 4:
			if (at < input.size())
				input[at] = char(below(256));
			break;
		case 5:
			if (at < input.size())
				input[at] = char(input[at] ^ 1 << below(8));
			break;
		}
	}

	const Inputs &inputs;
	std::mt19937 engine;
};

void run(const std::string &input)
{
	// Memory of its own, so that the sanitizer sees the first byte behind it.
	std::vector<uint8_t> bytes(input.begin(), input.end());

	LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

// The input that an abort() is about.
const std::string *current;

void show_current(int)
{
	fprintf(stderr, "the input was:\n");
	for (unsigned char c : *current)
		fprintf(stderr, c < ' ' || c > '~' || c == '\\' ? "\\x%02x" : "%c", c);
	fprintf(stderr, "\n");
	_Exit(1);
}

} // namespace

int main(int argc, char **argv)
{
	unsigned long runs = 0, seed = 1;
	Inputs inputs = {""};
	std::string input;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0)
			runs = strtoul(argv[i] + 6, nullptr, 10);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			seed = strtoul(argv[i] + 6, nullptr, 10);
		else if (argv[i][0] != '-')
			take(argv[i], inputs);
	}
	current = &input;
	signal(SIGABRT, show_current);
	Mutator mutator(inputs, unsigned(seed));
	for (const std::string &known : inputs)
		run(input = known);
	for (unsigned long i = 0; i < runs; i++)
		run(input = mutator.next());
	printf("%zu inputs and %lu mutations of them\n", inputs.size(), runs);
	return inputs.size() > 1 ? 0 : 1; // without a corpus nothing is shown
}
