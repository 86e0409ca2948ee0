/* The program's own mappings, seen from inside a preloaded program: big ones are huge pages, and
 * calls on parts of them give memory back at once and leave nothing partially mapped.  Reads
 * /proc/vmstat, so it runs alone (RUN_SERIAL). */
#include "support.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace support;

namespace
{

constexpr size_t unit = 2 * MiB;
constexpr size_t page = 4 * KiB;
constexpr int access_all = PROT_READ | PROT_WRITE;
constexpr int collapse = 25; /* MADV_COLLAPSE: older headers do not know it */

char *map(size_t bytes, int access = access_all, int flags = 0)
{
	void *p = mmap(nullptr, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	EXPECT_NE(p, MAP_FAILED);
	return static_cast<char *>(p);
}

/* Whether the mapping that this is in has the advice MADV_HUGEPAGE. */
bool advised(char *p)
{
	std::ifstream smaps("/proc/self/smaps");
	std::string line;
	bool found = false;

	while (std::getline(smaps, line)) {
		unsigned long start, end;

		if (sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2)
			found = start <= reinterpret_cast<uintptr_t>(p) &&
			        reinterpret_cast<uintptr_t>(p) < end;
		else if (found && line.compare(0, 8, "VmFlags:") == 0)
			return line.find(" hg") != std::string::npos;
	}
	ADD_FAILURE() << "not mapped";
	return false;
}

/* With enabled=always what nobody advised is huge, too. */
bool huge_without_advice()
{
	return first_line("/sys/kernel/mm/transparent_hugepage/enabled").find("[always]") !=
	       std::string::npos;
}

/* Our heap has its first zones from 8 TiB on, below 14 TiB. */
bool is_heap(unsigned long start)
{
	return start >= 8ul << 40 && start < 14ul << 40;
}

/* Bytes of a field such as "AnonHugePages" of all mappings but the heap's, which comes to lie on
 * huge pages some time. */
size_t beside_heap(const char *name)
{
	std::ifstream smaps("/proc/self/smaps");
	std::string line;
	size_t sum = 0, length = strlen(name);
	bool counts = false;

	while (std::getline(smaps, line)) {
		unsigned long start, end;

		if (sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2)
			counts = !is_heap(start);
		else if (counts && line.compare(0, length, name) == 0 && line[length] == ':')
			sum += strtoul(line.c_str() + length + 1, nullptr, 10) * KiB;
	}
	return sum;
}

class Map : public testing::Test
{
      protected:
	size_t anonymous_, huge_;
	int64_t partial_;

	void SetUp() override
	{
		partial_ = partial_splits();
		anonymous_ = beside_heap("Anonymous");
		huge_ = beside_heap("AnonHugePages");
	}

	void TearDown() override
	{
		EXPECT_EQ(partial_splits(), partial_) << "a huge page was left partially mapped";
	}

	size_t resident() const
	{
		return beside_heap("Anonymous") - anonymous_;
	}

	size_t huge() const
	{
		return beside_heap("AnonHugePages") - huge_;
	}
};

TEST_F(Map, AnyLengthIsAligned)
{
	for (size_t bytes :
	     {unit, unit + page, 3 * unit - page, 5 * unit + 12345, 37 * unit + page}) {
		char *p = map(bytes);

		EXPECT_TRUE(aligned(p, unit)) << bytes;
		memset(p, 1, bytes);
		EXPECT_EQ(munmap(p, bytes), 0);
		EXPECT_LT(resident(), unit / 2) << "the pad stayed";
	}
}

TEST_F(Map, TailThatWastesLittleIsHuge)
{
	const size_t bytes = 4 * unit - 10 * page;
	char *p = map(bytes);

	memset(p, 1, bytes);
	EXPECT_EQ(huge(), 4 * unit);
	munmap(p, bytes);
	EXPECT_EQ(huge(), 0u);
}

/* Whether anything is mapped there. */
bool mapped(char *p)
{
	unsigned char resident;

	return mincore(p, page, &resident) == 0;
}

TEST_F(Map, PadGoesWithTheLastPage)
{
	const size_t bytes = 2 * unit - 10 * page;

	for (int way = 0; way < 5; way++) {
		char *p = map(bytes), *last = p + bytes - page;

		memset(p, 1, bytes);
		ASSERT_TRUE(mapped(p + bytes)) << "no pad: nothing is tested";
		switch (way) {
		case 0: /* what comes first leaves it */
			munmap(p, unit + unit / 2);
			EXPECT_TRUE(mapped(p + bytes));
			munmap(p + unit + unit / 2, bytes - unit - unit / 2);
			break;
		case 1:
			munmap(last, page);
			break;
		case 2:
			mremap(p, bytes, unit / 2, 0);
			break;
		case 3:
			p = static_cast<char *>(mremap(p, bytes, 8 * unit, MREMAP_MAYMOVE));
			EXPECT_EQ(p[bytes - 1], 1);
			EXPECT_EQ(p[bytes], 0);
			EXPECT_EQ(munmap(p + unit, 7 * unit), 0);
			/* Behind its end may be another mapping. */
			last = p + 8 * unit - 2 * page;
			break;
		default: /* a place that looks free is free */
			EXPECT_EQ(mmap(last + page, page, access_all,
			               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
			          last + page);
			munmap(last + page, page);
		}
		EXPECT_FALSE(mapped(last + page)) << "way " << way;
		munmap(p, bytes);
	}
}

TEST_F(Map, GrowsInOddStepsAndStaysHuge)
{
	size_t bytes = 300 * MiB + 12 * KiB;
	char *p = map(bytes);

	memset(p, 1, bytes);
	while (bytes < GiB) {
		const size_t more = std::min(bytes + 37 * MiB + 5 * page, GiB);

		p = static_cast<char *>(mremap(p, bytes, more, MREMAP_MAYMOVE));
		ASSERT_NE(p, MAP_FAILED);
		memset(p + bytes, 1, more - bytes);
		bytes = more;
	}
	EXPECT_GE(huge(), GiB / 100 * 98);
	const size_t less = 900 * MiB + page, third = less / 3 & ~(page - 1);
	EXPECT_EQ(mremap(p, bytes, less, 0), p);
	EXPECT_LE(resident(), less + unit / 2);
	munmap(p, third);
	EXPECT_LE(resident(), less - third + unit / 2);
	munmap(p + 2 * third, less - 2 * third);
	EXPECT_LE(resident(), third + unit / 2);
	munmap(p + third, third);
	EXPECT_LE(resident(), unit / 2);
}

/* What the cgroup is charged cannot be seen from here; that nothing is queued for a deferred split
 * means the same (TearDown). */
TEST_F(Map, PartsOfUnitsComeBackAtOnce)
{
	const size_t units = 32;
	char *p = map(units * unit);

	memset(p, 1, units * unit);
	EXPECT_EQ(huge(), units * unit);
	for (size_t i = 0; i < units; i++) {
		char *half = p + i * unit + unit / 2;

		switch (i % 3) {
		case 0:
			EXPECT_EQ(munmap(half, unit / 2), 0);
			break;
		case 1:
			EXPECT_EQ(madvise(half, unit / 2, MADV_DONTNEED), 0);
			EXPECT_EQ(half[page], 0);
			break;
		default:
			EXPECT_EQ(mmap(half, unit / 2, access_all,
			               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			          half);
			EXPECT_EQ(half[page], 0);
		}
		EXPECT_EQ(p[i * unit], 1);
	}
	EXPECT_LE(resident(), units * unit / 2 + units * 2 * page + MiB);
	munmap(p, units * unit);
}

TEST_F(Map, UnitsGivenUpInPartAreHugeAgainOnceGivenUpWhole)
{
	char *p = map(8 * unit);

	memset(p, 1, 8 * unit);
	EXPECT_EQ(madvise(p + unit, unit / 2, MADV_DONTNEED), 0);
	EXPECT_LT(huge(), 8 * unit);
	EXPECT_EQ(madvise(p, 8 * unit, MADV_DONTNEED), 0);
	memset(p, 1, 8 * unit);
	/* What the unit then had must be whole and advised all the same. */
	if (!drops_page_tables()) {
		EXPECT_EQ(madvise(p + unit, unit, collapse), 0);
	}
	EXPECT_EQ(huge(), 8 * unit);
	munmap(p, 8 * unit);
}

TEST_F(Map, PopulatesHuge)
{
	char *p = map(16 * unit, access_all, MAP_POPULATE);

	EXPECT_EQ(huge(), 16 * unit);
	EXPECT_EQ(resident(), huge());
	munmap(p, 16 * unit);
}

TEST_F(Map, ReservationIsHugeWhereItIsCommitted)
{
	char *p = map(64 * unit, PROT_NONE, MAP_NORESERVE);

	EXPECT_EQ(mprotect(p + 4 * unit, 8 * unit, access_all), 0);
	memset(p + 4 * unit, 1, 8 * unit);
	EXPECT_EQ(mmap(p + 32 * unit, 8 * unit, access_all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	               -1, 0),
	          p + 32 * unit);
	memset(p + 32 * unit, 1, 8 * unit);
	EXPECT_EQ(huge(), 16 * unit);
	munmap(p, 64 * unit);
}

TEST_F(Map, ReservationAtANamedPlaceIsHuge)
{
	char *const place = reinterpret_cast<char *>(uintptr_t{3} << 32);
	void *p = mmap(place, 64 * unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	               0);

	ASSERT_EQ(p, place);
	EXPECT_EQ(mmap(place, 8 * unit, access_all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
	          place);
	memset(place, 1, 8 * unit);
	EXPECT_EQ(huge(), 8 * unit);
	munmap(place, 64 * unit);
}

TEST_F(Map, PiecesOfAnAllocatorArePackedAndHuge)
{
	std::vector<char *> pieces;

	for (int i = 0; i < 256; i++) {
		pieces.push_back(map(256 * KiB));
		memset(pieces.back(), i, 256 * KiB);
	}
	EXPECT_GE(huge(), 256 * 256 * KiB / 100 * 90);
	for (size_t i = 0; i < pieces.size(); i += 2)
		EXPECT_EQ(munmap(pieces[i], 256 * KiB), 0);
	EXPECT_LE(resident(), 128 * 256 * KiB + unit);
	for (size_t i = 1; i < pieces.size(); i += 2) {
		EXPECT_EQ(pieces[i][0], static_cast<char>(i));
		EXPECT_EQ(munmap(pieces[i], 256 * KiB), 0);
	}
	EXPECT_LE(resident(), unit);
}

/* 60,000 small ones cost nothing, and big ones do not use up the kernel's 65,530. */
TEST_F(Map, ManyMappingsArePossible)
{
	std::vector<char *> all;

	for (int i = 0; i < 20000; i++)
		all.push_back(map(unit + page + (i % 2) * unit, PROT_NONE));
	for (int i = 0; i < 60000; i++)
		all.push_back(map(page));
	for (size_t i = 0; i < all.size(); i++)
		EXPECT_EQ(munmap(all[i], i < 20000 ? unit + page + (i % 2) * unit : page), 0);
}

/* A child shares our pages until one of us writes. */
TEST_F(Map, ChildHasItsOwn)
{
	char *p = map(4 * unit);

	memset(p, 1, 4 * unit);
	const pid_t child = fork();
	if (!child) {
		char *own = map(3 * unit);
		memset(own, 2, 3 * unit);
		_exit(munmap(own, 3 * unit) || munmap(p, 4 * unit) || map(256 * KiB)[5]);
	}
	int status = -1;
	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(p[3 * unit], 1);
	munmap(p, 4 * unit);
}

volatile sig_atomic_t signals;

void on_signal(int)
{
	void *p = mmap(nullptr, 3 * unit, access_all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*static_cast<char *>(p) = 1;
	signals = signals + (p != MAP_FAILED && !munmap(p, 3 * unit));
}

TEST_F(Map, SignalHandlersMayMap)
{
	signal(SIGALRM, on_signal);
	struct itimerval often = {{0, 200}, {0, 200}};
	setitimer(ITIMER_REAL, &often, nullptr);
	while (signals < 500)
		munmap(map(2 * unit + page), 2 * unit + page);
	often = {};
	setitimer(ITIMER_REAL, &often, nullptr);
}

constexpr size_t chunk_bytes = 256 * KiB, chunk_surplus = chunk_bytes - page;

/* A chunk as V8 takes it: reserved at a random hint with what alignment may cost, trimmed, opened.
 */
char *chunk()
{
	static std::atomic<uintptr_t> next{uintptr_t{1} << 44};
	const uintptr_t hint = next.fetch_add(uintptr_t{5} << 30);
	void *p = mmap(reinterpret_cast<void *>(hint), chunk_bytes + chunk_surplus, PROT_NONE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	EXPECT_TRUE(aligned(p, chunk_bytes)) << "at its hint or where it is packed";
	char *start = static_cast<char *>(p);
	EXPECT_EQ(madvise(start, chunk_bytes + chunk_surplus, MADV_DONTFORK), 0);
	EXPECT_EQ(munmap(start + chunk_bytes, chunk_surplus), 0);
	EXPECT_EQ(mprotect(start, chunk_bytes, access_all), 0);
	return start;
}

TEST_F(Map, ChunksThatWereTrimmedAreHuge)
{
	std::vector<char *> chunks(400);

	for (char *&p : chunks)
		memset(p = chunk(), 1, chunk_bytes);
	EXPECT_GE(huge(), chunks.size() * chunk_bytes * 9 / 10);
	/* Two of three, as a collector leaves them: what is given up is free at once. */
	for (size_t i = 0; i < chunks.size(); i++) {
		if (i % 3 == 0)
			continue;
		EXPECT_EQ(munmap(chunks[i], chunk_bytes), 0);
		EXPECT_FALSE(mapped(chunks[i]));
	}
	EXPECT_LE(resident(), chunks.size() * chunk_bytes / 3 + 2 * unit);
	for (size_t i = 0; i < chunks.size(); i += 3) {
		EXPECT_EQ(chunks[i][chunk_bytes - 1], 1);
		EXPECT_EQ(munmap(chunks[i], chunk_bytes), 0);
	}
	EXPECT_LE(huge(), unit); /* of the vector */
}

/* A forked child has none of them (MADV_DONTFORK), and takes its own. */
TEST_F(Map, ChunksAreTakenInAForkedChild)
{
	std::vector<char *> chunks(100);

	for (char *&p : chunks)
		memset(p = chunk(), 1, chunk_bytes);
	const pid_t child = fork();
	if (!child) {
		for (int i = 0; i < 100; i++) {
			char *p = chunk();
			if (mapped(chunks[i]) && chunks[i] != p)
				_exit(2);
			if (p[0] || p[chunk_bytes - 1])
				_exit(3);
			memset(p, 2, chunk_bytes);
		}
		_exit(HasFailure());
	}
	int status = -1;
	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
	for (char *p : chunks) {
		EXPECT_EQ(p[chunk_bytes - 1], 1);
		munmap(p, chunk_bytes);
	}
}

/* V8 closes what it keeps for later, and then drops it. */
TEST_F(Map, ChunksMayBeClosedAndDropped)
{
	std::vector<char *> chunks(200);

	for (char *&p : chunks)
		memset(p = chunk(), 1, chunk_bytes);
	ASSERT_GE(huge(), chunks.size() * chunk_bytes / 2) << "nothing is tested";
	for (size_t i = 0; i < chunks.size(); i += 2) {
		EXPECT_EQ(mprotect(chunks[i], chunk_bytes, PROT_NONE), 0);
		EXPECT_EQ(madvise(chunks[i], chunk_bytes, MADV_DONTNEED), 0);
	}
	EXPECT_LE(resident(), chunks.size() * chunk_bytes / 2 + 2 * unit);
	for (size_t i = 0; i < chunks.size(); i++) {
		EXPECT_EQ(mprotect(chunks[i], chunk_bytes, access_all), 0);
		EXPECT_EQ(chunks[i][page], i % 2);
		munmap(chunks[i], chunk_bytes);
	}
}

/* A program that wants its hint, and says so by giving back what is elsewhere, gets it. */
TEST_F(Map, HintsAreFollowed)
{
	for (uintptr_t i = 1; i < 100; i++) {
		void *const hint = reinterpret_cast<void *>((uintptr_t{1} << 45) + (i << 32));
		void *p = mmap(hint, chunk_bytes + chunk_surplus, PROT_NONE,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		EXPECT_EQ(p, hint);
		munmap(p, chunk_bytes + chunk_surplus);
	}
}

/* The control: what is not ours to place is as the kernel made it. */
TEST_F(Map, OthersAreLeftAlone)
{
	char *p = map(4 * unit, access_all, MAP_STACK), *ours = map(4 * unit);

	memset(p, 1, 4 * unit);
	memset(ours, 1, 4 * unit);
	EXPECT_FALSE(advised(p));
	EXPECT_TRUE(advised(ours));
	if (!huge_without_advice()) {
		EXPECT_EQ(huge(), 4 * unit);
	}
	munmap(p, 4 * unit);
	munmap(ours, 4 * unit);
}

/* How many huge pages are mapped in part now; 0 if the kernel does not say (< 6.12). */
int64_t partially_mapped()
{
	std::ifstream file("/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/stats/"
	                   "nr_anon_partially_mapped");
	int64_t number = 0;

	file >> number;
	return number;
}

/* One may give up its chunk while another makes the unit huge: the kernel counts a deferred split,
 * but none may be left. */
TEST(MapThreads, TakeAndFreeChunksAtOnce)
{
	std::vector<std::thread> threads;
	std::vector<char *> chunks(4 * 150);
	const int64_t partial = partially_mapped();

	for (char t = 0; t < 4; t++)
		threads.emplace_back([&, t] {
			for (size_t i = t * 150; i < t * 150 + 150u; i++) {
				char *p = chunks[i] = chunk();

				EXPECT_EQ(p[0] | p[chunk_bytes - 1], 0);
				memset(p, t + 1, chunk_bytes);
				if (i % 5 == 0) {
					munmap(p, chunk_bytes);
					chunks[i] = nullptr;
				}
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(partially_mapped(), partial);
	for (size_t i = 0; i < chunks.size(); i++)
		if (chunks[i]) {
			EXPECT_EQ(chunks[i][0], static_cast<char>(i / 150 + 1));
			EXPECT_EQ(chunks[i][chunk_bytes - 1], static_cast<char>(i / 150 + 1));
			munmap(chunks[i], chunk_bytes);
		}
}

/* With shmem_enabled=advise. */
TEST(SharedMap, IsHuge)
{
	const size_t bytes = 16 * unit;
	const int file = memfd_create("map_test", 0);

	ASSERT_EQ(ftruncate(file, bytes), 0);
	for (int flags : {MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED}) {
		const size_t before = rollup("ShmemPmdMapped");
		void *p = mmap(nullptr, bytes, access_all, flags, flags & MAP_ANONYMOUS ? -1 : file,
		               0);

		ASSERT_NE(p, MAP_FAILED);
		memset(p, 1, bytes);
		EXPECT_EQ(rollup("ShmemPmdMapped") - before, bytes);
		munmap(p, bytes);
	}
	close(file);
}

/* With map:off: the control that the above is the shim's doing. */
TEST(PlainMap, IsNotHuge)
{
	const size_t before = rollup("AnonHugePages");
	char *p = map(16 * unit + page);

	memset(p, 1, 16 * unit + page);
	EXPECT_FALSE(advised(p));
	if (!huge_without_advice()) {
		EXPECT_EQ(rollup("AnonHugePages"), before);
	}
	munmap(p, 16 * unit + page);
}

} // namespace
