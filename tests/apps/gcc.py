"""gcc: compile a big generated file, in C and in C++; the object files must be identical."""

from harness import compare

FUNCTION = """
struct s{i} {{ int a, b; double x[{j}]; char name[{k}]; }};
static int helper{i}(struct s{i} *s, int n)
{{
	int sum = n;
	for (int i = 0; i < {j}; i++) {{
		s->x[i] = s->a * i + s->b / (double)(n + {i} + 1);
		switch (n % 7) {{
		case 0: sum += i * {i}; break;
		case 1: sum ^= (int)s->x[i]; break;
		case 2: s->name[i % {k}] = (char)sum; break;
		default: sum -= s->a;
		}}
	}}
	return sum;
}}
int function{i}(int n)
{{
	struct s{i} s = {{ n, n + {i}, {{ 0 }}, "{i}" }};
	return helper{i}(&s, n) + {previous};
}}
"""

CPLUSPLUS = """
#include <algorithm>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>
template <int N> struct Table {
	std::map<std::string, std::vector<int>> byName;
	std::unordered_map<int, std::string> byId;
	void add(const std::string &s) { byName[s].push_back(N); byId[N] = s; }
	bool match(const std::string &s) { return std::regex_match(s, std::regex("a+b*" + s)); }
	void sort() { for (auto &p : byName) std::sort(p.second.begin(), p.second.end()); }
};
"""


def c_source(count):
    return "".join(
        FUNCTION.format(i=i, j=i % 29 + 3, k=i % 31 + 8,
                        previous=f"function{i - 1}(n - 1)" if i else "n")
        for i in range(count))


def work(session):
    c = session.write("big.c", c_source(700))
    cc = session.write("big.cc", CPLUSPLUS + "".join(f"template struct Table<{i}>;\n"
                                                     for i in range(20)))
    session.run("/usr/bin/gcc", "-O2", "-g", "-c", c, "-o", "c.o")
    session.run("/usr/bin/g++", "-O1", "-c", cc, "-o", "cc.o")
    return b"".join(open(session.path(name), "rb").read() for name in ("c.o", "cc.o"))


compare(work)
