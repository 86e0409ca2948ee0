/* Random sequences of mmap-family calls, and everything a program can see of their effect.
 *
 *     map_diff_run FIRST COUNT LENGTH [KEEP]
 *
 * runs the sequences of seeds FIRST to FIRST+COUNT-1, of LENGTH calls each, and prints one line for
 * each call: its result, contents and protection of some pages (by reading and writing them under a
 * fault handler), and what /proc/self/maps says of every page.  map_diff.cc runs it with and
 * without the shim and compares.  KEEP is a string of 0 and 1: which calls to make (all by
 * default).  What a call does depends on the seed and its number only, so a failing sequence can be
 * made shorter.
 *
 * Addresses differ between runs, so a sequence deals with slots: ranges that the program took, with
 * or without holes.  Nothing but the sequence may map into a hole: nothing here allocates, and
 * before a call that lets the kernel choose a place all holes are plugged behind the shim's back.
 */
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

namespace
{

constexpr size_t page = 4096;
constexpr size_t unit_pages = 512;
constexpr size_t most_pages = 6 * unit_pages;
constexpr size_t file_pages = 2 * unit_pages;
constexpr int slots = 4;

// ---- output, without allocation ----

char output[1 << 16];
size_t output_used;

void flush_output()
{
	size_t done = 0;

	while (done < output_used) {
		ssize_t n = write(1, output + done, output_used - done);
		if (n <= 0)
			_exit(3);
		done += static_cast<size_t>(n);
	}
	output_used = 0;
}

__attribute__((format(printf, 1, 2))) void print(const char *format, ...)
{
	va_list args;

	if (output_used > sizeof(output) - 4096)
		flush_output();
	va_start(args, format);
	output_used += static_cast<size_t>(vsnprintf(output + output_used, 4096, format, args));
	va_end(args);
}

// ---- a seeded generator ----

uint64_t state;

void seed_with(uint64_t seed, uint64_t index)
{
	state = (seed * 0x9E3779B97F4A7C15u) ^ (index + 1) * 0xBF58476D1CE4E5B9u;
	for (int i = 0; i < 4; i++) {
		state ^= state >> 31;
		state = state * 0x94D049BB133111EBu + 1;
	}
}

uint64_t below(uint64_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % limit;
}

template <size_t N> int one_of(const int (&choices)[N])
{
	return choices[below(N)];
}

// ---- slots ----

struct Slot {
	char *base;
	size_t pages;
	bool hole[most_pages];
	// Whether the kernel makes one mapping of this and of what is mapped over a part of it, and
	// so what mremap says to both together, depends on the mapping next to the part, if it
	// is at an end of the slot, and, once this has grown, on whether it had to be moved for it.
	// Likewise if memory was moved into a part of it.  A program cannot know any of that, so
	// it is not compared.
	bool grown, unsure;
	bool file; // a part of it is
};

Slot slot[slots];
int memory_file;

struct Part {
	size_t first, pages;
};

// A part of a slot: often one that ends or begins with it, or with a unit.
Part part_of(const Slot &s)
{
	Part p{below(s.pages), 0};

	if (below(3) == 0)
		p.first = 0;
	if (below(4) == 0)
		p.first = p.first / unit_pages * unit_pages;
	p.pages = 1 + below(s.pages - p.first);
	if (below(3) == 0)
		p.pages = s.pages - p.first;
	if (below(4) == 0 && p.first + (p.pages + unit_pages) / unit_pages * unit_pages < s.pages)
		p.pages = (p.pages + unit_pages) / unit_pages * unit_pages;
	if (below(4) == 0)
		p.pages = 1 + below(p.pages < 16 ? p.pages : 16);
	return p;
}

size_t some_length()
{
	switch (below(6)) {
	case 0:
		return 1 + below(80);
	case 5: // of an allocator
		return 16 * (2 + below(20));
	case 1:
		return unit_pages * (1 + below(4));
	case 2: // a tail that is padded
		return unit_pages * (1 + below(4)) + unit_pages - 1 - below(64);
	default:
		return 1 + below(4 * unit_pages);
	}
}

char *at(const Slot &s, size_t first)
{
	return s.base + first * page;
}

void set_holes(Slot &s, Part p, bool hole)
{
	for (size_t i = p.first; i < p.first + p.pages; i++)
		s.hole[i] = hole;
}

template <typename Do> void for_each_hole(Do &&what)
{
	for (Slot &s : slot)
		for (size_t i = 0; s.base && i < s.pages; i++)
			if (s.hole[i]) {
				size_t from = i;
				while (i < s.pages && s.hole[i])
					i++;
				what(at(s, from), (i - from) * page);
			}
}

// Behind the shim's back, so that no mapping is placed into a hole; of another kind than what lies
// beside it, so that they do not become one.
void plug()
{
	for_each_hole([](char *from, size_t bytes) {
		syscall(SYS_mmap, from, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		        memory_file, 0L);
	});
}

void unplug()
{
	for_each_hole([](char *from, size_t bytes) { syscall(SYS_munmap, from, bytes); });
}

// ---- what a program can see ----

sigjmp_buf after_fault;
volatile sig_atomic_t fault_expected;

// Only a probe may fault.  Anything else is an error of the shim, or of this program: the default
// action then ends it.
void on_fault(int signal)
{
	if (fault_expected)
		siglongjmp(after_fault, 1);
	std::signal(signal, SIG_DFL);
}

// Whether `touch` faults.  Not inlined: a jump back must find its caller's registers as they were.
template <typename Touch> __attribute__((noinline)) bool faults(Touch &&touch)
{
	fault_expected = 1;
	const bool faulted = sigsetjmp(after_fault, 0);
	if (!faulted)
		touch();
	fault_expected = 0;
	return faulted;
}

// 'x': a fault; else how it may be used, and what it holds.
void probe(const Slot &s, size_t index)
{
	volatile uint64_t *word = reinterpret_cast<volatile uint64_t *>(at(s, index));
	volatile uint64_t first = 0, last = 0;

	if (faults([&] { first = word[0], last = word[page / 8 - 1]; })) {
		print(" %zu:x", index);
		return;
	}
	const bool read_only = faults([&] { word[0] = first; });
	print(" %zu:%c%lx,%lx", index, read_only ? 'r' : 'w', first, last);
}

void probe_near(const Slot &s, Part p)
{
	const size_t end = p.first + p.pages;
	const size_t points[] = {0,   p.first - 1, p.first,        p.first + p.pages / 2, end - 1,
	                         end, s.pages - 1, below(s.pages), below(s.pages)};

	print(" |");
	for (size_t i : points)
		if (i < s.pages && !(s.hole[i] && (i < p.first || i >= end)))
			probe(s, i);
}

char maps[1 << 18];

void read_maps()
{
	int file = open("/proc/self/maps", O_RDONLY);
	size_t used = 0;
	ssize_t n;

	while ((n = read(file, maps + used, sizeof(maps) - 1 - used)) > 0)
		used += static_cast<size_t>(n);
	maps[used] = 0;
	close(file);
}

// What one line of maps says: permissions, and whether a file is behind it.
struct Line {
	uintptr_t from, to;
	char kind[6];
};

Line parse(const char *text)
{
	Line line{};
	char *rest;

	line.from = strtoul(text, &rest, 16);
	line.to = strtoul(rest + 1, &rest, 16);
	memcpy(line.kind, rest + 1, 4);
	strtoul(rest + 6, &rest, 16);              // offset
	const char *inode = strchr(rest + 1, ' '); // device
	line.kind[4] = strtoul(inode, nullptr, 10) ? 'f' : 'a';
	return line;
}

// Runs of pages that maps says the same of.
void print_maps(const Slot &s)
{
	const uintptr_t base = reinterpret_cast<uintptr_t>(s.base), end = base + s.pages * page;
	char last[6] = "";
	uintptr_t reached = base;
	auto say = [&](uintptr_t from, const char *kind) {
		if (strcmp(kind, last))
			print(" %zu:%s", (from - base) / page, kind);
		strcpy(last, kind);
	};

	print(" {");
	for (const char *text = maps; *text; text = strchr(text, '\n') + 1) {
		const Line line = parse(text);

		if (line.to <= base || line.from >= end)
			continue;
		if (line.from > reached)
			say(reached, "-");
		say(line.from > base ? line.from : base, line.kind);
		reached = line.to;
	}
	if (reached < end)
		say(reached, "-");
	print(" }");
}

// ---- the calls ----

int error_of(bool failed)
{
	return failed ? errno : 0;
}

Slot *used_slot()
{
	Slot *s = &slot[below(slots)];

	return s->base ? s : nullptr;
}

Slot *free_slot()
{
	for (Slot &s : slot)
		if (!s.base)
			return &s;
	return nullptr;
}

void clear(Slot &s)
{
	if (s.base)
		print("clear %d", error_of(munmap(s.base, s.pages * page) != 0));
	s.base = nullptr;
}

void show(const Slot &s, Part p)
{
	probe_near(s, p);
	read_maps();
	print_maps(s);
}

constexpr int accesses[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
                            PROT_READ | PROT_WRITE | PROT_EXEC};
constexpr int private_memory = MAP_PRIVATE | MAP_ANONYMOUS;

void *map_either(void *addr, size_t bytes, int access, int flags, int fd)
{
	return below(2) ? mmap(addr, bytes, access, flags, fd, 0)
	                : mmap64(addr, bytes, access, flags, fd, 0);
}

void do_map()
{
	constexpr int kinds[] = {private_memory,
	                         private_memory,
	                         private_memory,
	                         private_memory | MAP_NORESERVE,
	                         private_memory | MAP_POPULATE,
	                         private_memory | MAP_STACK,
	                         MAP_SHARED | MAP_ANONYMOUS};
	Slot &s = slot[below(slots)];
	const size_t pages = some_length(), less = below(2) * below(page);
	const int access = below(2) ? PROT_READ | PROT_WRITE : one_of(accesses);
	const int kind = one_of(kinds);

	clear(s);
	plug();
	void *const hint = below(4) ? nullptr : reinterpret_cast<void *>((below(64) + 1) << 32);
	void *p = map_either(hint, pages * page - less, access, kind, -1);
	const int error = errno;
	unplug();
	print(" map %zu-%zu %d %x ->", pages, less, access, kind);
	if (p == MAP_FAILED) {
		print(" %d", error);
		return;
	}
	s.base = static_cast<char *>(p);
	s.pages = pages;
	s.grown = s.unsure = s.file = false;
	set_holes(s, {0, pages}, false);
	show(s, {0, pages});
}

// As V8 takes its chunks: reserved at a random hint with what alignment may cost, trimmed, opened.
// What was trimmed is no part of the slot: once it is gone, anybody may map there.  Seldom it is
// not what it looks like.
void do_map_aligned()
{
	constexpr size_t kept = 64, surplus = kept - 1;
	Slot &s = slot[below(slots)];

	clear(s);
	plug();
	void *p = mmap(reinterpret_cast<void *>((1ul << 44) + (below(1ul << 24) << 20)),
	               (kept + surplus) * page, PROT_NONE, private_memory | MAP_NORESERVE, -1, 0);
	unplug();
	print(" map aligned ->");
	if (p == MAP_FAILED || reinterpret_cast<uintptr_t>(p) % (kept * page))
		return print(" not aligned");
	s.base = static_cast<char *>(p);
	s.pages = kept + surplus;
	s.grown = s.unsure = s.file = false;
	set_holes(s, {0, s.pages}, false);
	show(s, {0, s.pages});
	if (!below(64))
		return print(" as it is");
	print(" trim %d", error_of(munmap(at(s, kept), surplus * page) != 0));
	set_holes(s, {kept, surplus}, true);
	show(s, {kept, surplus});
	s.pages = kept;
	if (!below(64))
		return print(" closed");
	print(" open %d", error_of(mprotect(s.base, kept * page, PROT_READ | PROT_WRITE) != 0));
	show(s, {0, s.pages});
}

bool write_page(char *where, uint64_t stamp)
{
	volatile uint64_t *word = reinterpret_cast<volatile uint64_t *>(where);

	return !faults([=] {
		word[0] = stamp;
		word[page / 8 - 1] = ~stamp;
	});
}

// Written pages hold what they were written with at both ends.
void do_touch(Slot &s, uint64_t stamp)
{
	const Part p = part_of(s);
	const size_t step = 1 + p.pages / (1 + below(16));
	size_t faults = 0;

	for (size_t i = p.first; i < p.first + p.pages; i += step)
		if (!s.hole[i])
			faults += !write_page(at(s, i), stamp + i);
	print("touch %zu+%zu/%zu -> %zu", p.first, p.pages, step, faults);
	show(s, p);
}

void do_unmap(Slot &s)
{
	const Part p = part_of(s);
	const size_t less = below(4) ? 0 : below(page);
	const int result = munmap(at(s, p.first), p.pages * page - less);

	print("munmap %zu+%zu -> %d", p.first, p.pages, error_of(result != 0));
	if (!result)
		set_holes(s, p, true);
	show(s, p);
}

void do_protect(Slot &s)
{
	const Part p = part_of(s);
	const int access = one_of(accesses);
	const int result = mprotect(at(s, p.first), p.pages * page, access);

	print("mprotect %zu+%zu %d -> %d", p.first, p.pages, access, error_of(result != 0));
	show(s, p);
}

void do_advise(Slot &s)
{
	constexpr int advices[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED,      MADV_COLD,
		MADV_WILLNEED, MADV_RANDOM,   MADV_NORMAL,        MADV_DONTFORK,
		MADV_DOFORK,   MADV_DONTDUMP, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE,
		MADV_REMOVE,   9999,          MADV_POPULATE_WRITE};
	const Part p = part_of(s);
	const int advice = one_of(advices);
	const int result = madvise(at(s, p.first), p.pages * page, advice);

	print("madvise %zu+%zu %d -> %d", p.first, p.pages, advice, error_of(result != 0));
	show(s, p);
}

// Only of all of a slot: advice that we have given already makes no new border between mappings,
// and what a border means to mremap is compared here.
void do_advise_size(Slot &s)
{
	const int advice = below(2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
	const int result = madvise(s.base, s.pages * page, advice);

	print("madvise all %d -> %d", advice, error_of(result != 0));
	show(s, {0, s.pages});
}

void do_posix_advise(Slot &s)
{
	constexpr int advices[] = {POSIX_MADV_DONTNEED, POSIX_MADV_WILLNEED, POSIX_MADV_NORMAL, 77};
	const Part p = part_of(s);
	const int advice = one_of(advices);

	errno = 0;
	const int result = posix_madvise(at(s, p.first), p.pages * page, advice);
	print("posix_madvise %zu+%zu %d -> %d errno %d", p.first, p.pages, advice, result, errno);
	show(s, p);
}

void do_map_over(Slot &s)
{
	constexpr int kinds[] = {private_memory,
	                         private_memory,
	                         private_memory | MAP_NORESERVE,
	                         private_memory | MAP_POPULATE,
	                         MAP_SHARED | MAP_ANONYMOUS,
	                         MAP_PRIVATE,
	                         MAP_SHARED};
	Part p = part_of(s);
	const int access = one_of(accesses), kind = one_of(kinds);
	const int fixed = below(4) ? MAP_FIXED : MAP_FIXED_NOREPLACE;

	s.unsure = s.unsure || s.grown || !p.first || p.first + p.pages == s.pages;
	s.file = s.file || !(kind & MAP_ANONYMOUS);

	if (!(kind & MAP_ANONYMOUS) && p.pages > file_pages)
		p.pages = file_pages;
	void *result = map_either(at(s, p.first), p.pages * page, access, kind | fixed,
	                          kind & MAP_ANONYMOUS ? -1 : memory_file);
	print("map over %zu+%zu %d %x -> %d", p.first, p.pages, access, kind | fixed,
	      error_of(result == MAP_FAILED));
	if (result != MAP_FAILED)
		set_holes(s, p, false);
	show(s, p);
}

void do_shrink(Slot &s)
{
	const size_t first = below(3) ? 0 : below(s.pages), pages = s.pages - first;
	const size_t keep = 1 + below(pages);
	void *result = mremap(at(s, first), pages * page, keep * page, below(2) * MREMAP_MAYMOVE);

	print("shrink %zu+%zu to %zu -> %d", first, pages, keep, error_of(result == MAP_FAILED));
	if (result != MAP_FAILED) {
		print(" at %ld", static_cast<char *>(result) - s.base);
		set_holes(s, {first + keep, pages - keep}, true);
	}
	show(s, {first + keep - 1, 1});
}

// Whether mremap of all of it has one outcome.  (Holes are plugged meanwhile, so that the plugs
// would move.)
bool is_sure(const Slot &s)
{
	for (size_t i = 0; i < s.pages; i++)
		if (s.hole[i])
			return false;
	return !s.unsure;
}

void do_grow(Slot &s)
{
	const size_t limit = most_pages - s.pages;
	const size_t pages = s.pages + (limit ? below(below(2) ? limit : limit % 100 + 1) : 0);

	if (!is_sure(s))
		return;
	plug();
	void *result = mremap(s.base, s.pages * page, pages * page, MREMAP_MAYMOVE);
	const int error = error_of(result == MAP_FAILED);
	unplug();
	print("grow %zu to %zu -> %d", s.pages, pages, error);
	if (!error) {
		const Part added{s.pages, pages - s.pages};
		s.base = static_cast<char *>(result);
		s.pages = pages;
		s.grown = true;
		set_holes(s, {0, pages}, false);
		show(s, added.pages ? added : Part{0, pages});
		return;
	}
	show(s, {0, s.pages});
}

// As far as it can be read.
bool reads_zero(const volatile char *from, size_t bytes)
{
	volatile bool zero = true;

	faults([&] {
		for (size_t i = 0; i < bytes && zero; i += page / 2)
			zero = !from[i];
	});
	return zero;
}

// Whether there is room behind a mapping is not the program's to know: if so, what was added must
// read zero, and goes again.
void do_grow_in_place(Slot &s)
{
	const size_t more = 1 + below(600);
	void *result = mremap(s.base, s.pages * page, (s.pages + more) * page, 0);

	print("grow in place");
	if (result != MAP_FAILED) {
		const bool zero = reads_zero(at(s, s.pages), more * page);
		const void *back = mremap(s.base, (s.pages + more) * page, s.pages * page, 0);
		if ((!zero && !s.file) || result != s.base || back != s.base)
			print(" is wrong");
	}
	show(s, {s.pages - 1, 1});
}

void do_move(Slot &from, Slot &to)
{
	Part p = part_of(from), target = part_of(to);
	const size_t align = below(2) ? 1 : unit_pages;

	p.first = p.first / align * align;
	target.first = target.first / align * align;
	if (p.pages > from.pages - p.first)
		p.pages = from.pages - p.first;
	if (target.pages > to.pages - target.first || below(2))
		target.pages = p.pages;
	if (target.pages > to.pages - target.first)
		target.pages = to.pages - target.first;
	void *result = mremap(at(from, p.first), p.pages * page, target.pages * page,
	                      MREMAP_MAYMOVE | MREMAP_FIXED, at(to, target.first));
	const int error = error_of(result == MAP_FAILED);
	print("move %zu+%zu of %td to %zu+%zu of %td -> %d", p.first, p.pages, &from - slot,
	      target.first, target.pages, &to - slot, error);
	read_maps();
	print_maps(from);
	print_maps(to);
	if (error) { // how far the kernel came is its own affair
		clear(from);
		clear(to);
		return;
	}
	to.file = to.file || from.file;
	to.unsure = true;
	set_holes(from, p, true);
	set_holes(to, target, false);
	show(from, p);
	show(to, target);
}

void do_move_and_keep(Slot &s)
{
	Slot *to = free_slot();

	if (!to || !is_sure(s))
		return;
	plug();
	void *result = mremap(s.base, s.pages * page, s.pages * page,
	                      MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
	const int error = error_of(result == MAP_FAILED);
	unplug();
	print("move and keep -> %d", error);
	if (error)
		return;
	to->base = static_cast<char *>(result);
	to->pages = s.pages;
	to->grown = true;
	to->unsure = false;
	to->file = s.file;
	set_holes(*to, {0, s.pages}, false);
	show(s, {0, s.pages});
	show(*to, {0, s.pages});
}

// Calls that fail.
void do_wrong(Slot &s)
{
	char *const odd = at(s, below(s.pages)) + 1 + below(page - 1);
	const int access = PROT_READ;
	void *const none = MAP_FAILED;

	print("wrong %d", error_of(mmap(nullptr, 0, access, private_memory, -1, 0) == none));
	print(" %d", error_of(mmap(nullptr, 4 << 20, access, MAP_ANONYMOUS, -1, 0) == none));
	print(" %d", error_of(mmap(nullptr, 4 << 20, access, private_memory, -1, 1) == none));
	print(" %d", error_of(mmap(nullptr, SIZE_MAX, access, private_memory, -1, 0) == none));
	print(" %d", error_of(mmap(nullptr, 1ul << 50, access, private_memory, -1, 0) == none));
	print(" %d", error_of(mmap(nullptr, 4 << 20, access, MAP_PRIVATE, -1, 0) == none));
	print(" %d", error_of(mmap(odd, page, access, private_memory | MAP_FIXED, -1, 0) == none));
	print(" %d", error_of(munmap(odd, page) != 0));
	print(" %d", error_of(munmap(s.base, 0) != 0));
	print(" %d", error_of(munmap(s.base, SIZE_MAX - page) != 0));
	print(" %d", error_of(mprotect(odd, page, access) != 0));
	print(" %d", error_of(mprotect(s.base, 0, access) != 0));
	print(" %d", error_of(mprotect(s.base, page, 0x7000) != 0));
	print(" %d", error_of(madvise(odd, page, MADV_DONTNEED) != 0));
	print(" %d", error_of(madvise(s.base, 0, MADV_DONTNEED) != 0));
	print(" %d", error_of(mremap(odd, page, page, 0) == none));
	print(" %d", error_of(mremap(s.base, page, 0, 0) == none));
	print(" %d", error_of(mremap(s.base, page, page, 64) == none));
	print(" %d", error_of(mremap(s.base, page, page, MREMAP_FIXED, s.base) == none));
	print(" %d", error_of(mremap(s.base, page, 2 * page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
	                             nullptr) == none));
	print(" %d", posix_madvise(odd, page, POSIX_MADV_WILLNEED));
	show(s, {0, s.pages});
}

// A child sees what we see; what it changes is its own.
void do_fork(Slot &s)
{
	const Part p = part_of(s);

	flush_output();
	const pid_t child = fork();
	if (!child) {
		print("  in the child");
		show(s, p);
		print(" munmap %d\n", error_of(munmap(at(s, p.first), p.pages * page) != 0));
		flush_output();
		_exit(0);
	}
	int status = -1;
	waitpid(child, &status, 0);
	print("fork -> %d", status);
	show(s, p);
}

void call(uint64_t stamp)
{
	Slot *s = used_slot();
	const uint64_t what = below(100);

	if (!s || what < 14)
		return below(4) ? do_map() : do_map_aligned();
	print("%td: ", s - slot);
	if (what < 32)
		return do_touch(*s, stamp);
	if (what < 42)
		return do_unmap(*s);
	if (what < 50)
		return do_protect(*s);
	if (what < 60)
		return do_advise(*s);
	if (what < 63)
		return do_advise_size(*s);
	if (what < 65)
		return do_posix_advise(*s);
	if (what < 76)
		return do_map_over(*s);
	if (what < 81)
		return do_shrink(*s);
	if (what < 89)
		return do_grow(*s);
	if (what < 91)
		return do_grow_in_place(*s);
	if (what < 95) {
		Slot *to = used_slot();
		return to && to != s ? do_move(*s, *to) : do_touch(*s, stamp);
	}
	if (what < 97)
		return do_move_and_keep(*s);
	if (what < 99)
		return do_wrong(*s);
	do_fork(*s);
}

void sequence(uint64_t seed, size_t length, const char *keep)
{
	print("seed %lu\n", seed);
	for (size_t i = 0; i < length; i++) {
		if (keep && keep[i] != '1')
			continue;
		seed_with(seed, i);
		print("%zu ", i);
		call((seed << 24) + (i << 16));
		print("\n");
	}
	for (Slot &s : slot)
		clear(s);
	print("\n");
}

void prepare()
{
	struct sigaction action = {};

	action.sa_handler = on_fault;
	action.sa_flags = SA_NODEFER;
	sigaction(SIGSEGV, &action, nullptr);
	sigaction(SIGBUS, &action, nullptr);
	memory_file = memfd_create("map_diff", 0);
	if (memory_file < 0 || ftruncate(memory_file, file_pages * page))
		_exit(3);
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	prepare();
	const uint64_t first = strtoull(argv[1], nullptr, 10),
		       count = strtoull(argv[2], nullptr, 10);
	for (uint64_t seed = first; seed < first + count; seed++)
		sequence(seed, strtoul(argv[3], nullptr, 10), argc > 4 ? argv[4] : nullptr);
	flush_output();
	return 0;
}
