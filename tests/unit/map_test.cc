// The program's own mappings: the notes, and what happens when the kernel refuses a call.
//
// The calls go to the running kernel, through hooks that can make any of them fail.  No huge page
// is needed.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <sys/mman.h>
#include <vector>

#include "failing_calls.h"

extern "C" {
#include "kernel/kernel.h"
#include "map/map.h"
#include "map/notes.h"
#include "map/packing.h"
#include "map/place.h"
#include "options.h"
}

namespace
{

using namespace failing;

constexpr int access_all = PROT_READ | PROT_WRITE;
constexpr int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

class Map : public testing::Test
{
      protected:
	void SetUp() override
	{
		machine_init();
		kernel = &kernel_linux;
		kernel_map = &hooks;
		options_default(&options);
		options.huge_after = 0;
		ASSERT_TRUE(notes_init());
		map_active = true;
		fail_at = calls = 0;
	}

	void TearDown() override
	{
		fail_at = 0;
		notes_reset();
		packing_reset();
		map_active = false;
		kernel_map = &kernel_map_linux;
	}

	static char *map(size_t bytes)
	{
		const long p = map_mmap(nullptr, bytes, access_all, anonymous, -1, 0, nullptr);

		return p < 0 ? nullptr : reinterpret_cast<char *>(p);
	}
};

uintptr_t address(const void *p)
{
	return reinterpret_cast<uintptr_t>(p);
}

// ---- notes: no memory is touched ----

constexpr uintptr_t somewhere = uintptr_t{5} << 40;

TEST_F(Map, NotesKnowWhatWasPlaced)
{
	const uintptr_t end = somewhere + 3 * machine.unit;

	EXPECT_EQ(note_get(somewhere), 0);
	ASSERT_TRUE(notes_place(somewhere, end, 0));
	EXPECT_TRUE(note_get(somewhere) & NOTE_PLACED);
	EXPECT_TRUE(note_get(end - 1) & NOTE_PLACED);
	EXPECT_EQ(note_get(end), 0);
	EXPECT_EQ(notes_mappings(), 1u);
	notes_forget(somewhere, end);
	EXPECT_EQ(note_get(somewhere), 0);
	EXPECT_EQ(notes_mappings(), 0u);
}

TEST_F(Map, NotesKnowAPad)
{
	const uintptr_t end = somewhere + 3 * machine.unit, pad = end - 5 * machine.grain;

	ASSERT_TRUE(notes_place(somewhere, end, pad));
	EXPECT_EQ(note_pad(end - 1), pad);
	EXPECT_EQ(note_pad(somewhere), 0u);
	note_forget_pad(pad);
	EXPECT_EQ(note_pad(end - 1), 0u);
	EXPECT_TRUE(note_get(end - 1) & NOTE_PLACED);
}

TEST_F(Map, NotesMoveAPad)
{
	const uintptr_t end = somewhere + 3 * machine.unit, pad = end - 5 * machine.grain;

	ASSERT_TRUE(notes_place(somewhere, end, pad));
	note_move_pad(pad, pad + 3 * machine.grain);
	EXPECT_EQ(note_pad(end - 1), pad + 3 * machine.grain);
	note_move_pad(pad + 3 * machine.grain, 0);
	EXPECT_EQ(note_pad(end - 1), 0u);
	EXPECT_TRUE(note_get(end - 1) & NOTE_PLACED);
	EXPECT_EQ(notes_mappings(), 1u);
}

TEST_F(Map, NotesKnowATail)
{
	const uintptr_t end = somewhere + machine.unit + 7 * machine.grain;

	ASSERT_TRUE(notes_place(somewhere, end, 0));
	EXPECT_TRUE(note_advised(end - 1));
	EXPECT_FALSE(note_advised(end));
	EXPECT_FALSE(note_get(end - 1) & NOTE_PLACED);
	EXPECT_EQ(note_pad(end - 1), 0u);
	notes_forget(end - 3 * machine.grain, end);
	EXPECT_TRUE(note_advised(end - 4 * machine.grain));
	EXPECT_FALSE(note_advised(end - 3 * machine.grain));
	notes_forget(somewhere, end - 3 * machine.grain);
	EXPECT_EQ(note_get(end), 0);
}

TEST_F(Map, NotesKnowWhatTheProgramAdvisedAndWhatIsNoLongerOurs)
{
	const uintptr_t end = somewhere + 3 * machine.unit;

	ASSERT_TRUE(notes_place(somewhere, end, 0));
	EXPECT_TRUE(note_set_base(somewhere));
	EXPECT_FALSE(note_set_base(somewhere));
	notes_own(somewhere + machine.unit, somewhere + machine.unit + 1);
	EXPECT_TRUE(note_advised(somewhere));
	EXPECT_FALSE(note_advised(somewhere + machine.unit));
	notes_disown(somewhere + machine.grain, somewhere + 2 * machine.grain);
	EXPECT_FALSE(note_advised(somewhere));
	EXPECT_FALSE(note_clear_base(somewhere));
	EXPECT_TRUE(note_advised(end - 1));
}

TEST_F(Map, NotesCrossLeaves)
{
	const uintptr_t leaf = uintptr_t{NOTES_LEAF} << machine.unit_shift;
	const uintptr_t start = somewhere + leaf - machine.unit, end = start + 2 * leaf;

	ASSERT_TRUE(notes_place(start, end, 0));
	EXPECT_TRUE(note_get(end - 1) & NOTE_PLACED);
	notes_forget(0, end);
	EXPECT_EQ(note_get(end - 1), 0);
	EXPECT_EQ(notes_mappings(), 0u);
}

// ---- packing ----

TEST_F(Map, PackedPiecesFillAUnit)
{
	const size_t piece = machine.unit / 8;
	std::vector<char *> pieces;

	for (int i = 0; i < 8; i++) {
		pieces.push_back(map(piece));
		ASSERT_NE(pieces.back(), nullptr);
		EXPECT_EQ(pieces.back(), pieces.front() + i * piece);
		EXPECT_EQ(pieces.back()[piece - 1], 0);
		memset(pieces.back(), 1, piece);
	}
	EXPECT_EQ(address(pieces.front()) & (machine.unit - 1), 0u);
	// What is given back is not handed out again.
	EXPECT_EQ(map_munmap(pieces[3], piece), 0);
	char *more = map(piece);
	EXPECT_EQ(more[0], 0);
	EXPECT_EQ(pieces[4][0], 1);
	EXPECT_EQ(map_munmap(pieces.front(), machine.unit), 0);
	EXPECT_EQ(map_munmap(more, piece), 0);
}

TEST_F(Map, AUnitThatSomebodyElseIsInIsNotPackedFurther)
{
	const size_t piece = machine.unit / 8;
	char *first = map(piece), *second = map(piece);

	ASSERT_EQ(second, first + piece);
	EXPECT_EQ(map_munmap(first, piece), 0);
	EXPECT_EQ(not_placed(reinterpret_cast<long>(first), machine.page),
	          reinterpret_cast<long>(first));
	char *third = map(piece);
	EXPECT_NE(address(third) & -machine.unit, address(second) & -machine.unit);
	EXPECT_EQ(second[0], 0);
	EXPECT_EQ(map_munmap(second, piece), 0);
	EXPECT_EQ(map_munmap(third, piece), 0);
}

TEST_F(Map, PiecesOfManySizesDoNotOverlap)
{
	const size_t slice = machine.unit / 32;
	std::vector<std::pair<char *, size_t>> pieces;
	unsigned state = 1;

	for (unsigned i = 0; i < 200; i++) {
		state = state * 1103515245 + 12345;
		const size_t bytes = (2 + state / 65536 % 30) * slice;
		char *p = map(bytes);
		ASSERT_NE(p, nullptr);
		for (size_t at = 0; at < bytes; at += slice) {
			ASSERT_EQ(p[at], 0) << "handed out twice, number " << i;
			p[at] = 1;
		}
		pieces.emplace_back(p, bytes);
	}
	for (auto &[p, bytes] : pieces)
		EXPECT_EQ(map_munmap(p, bytes), 0);
}

TEST_F(Map, OtherSizesAreNotPacked)
{
	const size_t slice = machine.unit / 32;

	EXPECT_FALSE(packing_wants(slice));
	EXPECT_FALSE(packing_wants(3 * slice + machine.page));
	EXPECT_FALSE(packing_wants(machine.unit));
	EXPECT_TRUE(packing_wants(3 * slice));
	options.pack = false;
	EXPECT_FALSE(packing_wants(3 * slice));
}

TEST_F(Map, TheFirstOnesAreNotPacked)
{
	const size_t slice = machine.unit / 32;

	options.huge_after = 4 * slice;
	EXPECT_FALSE(packing_wants(8 * slice));
	EXPECT_TRUE(packing_wants(8 * slice));
}

// ---- each call failing in turn ----

// Run `work` with each of its calls failing once, until one run makes fewer calls than that.
void each_failure(const std::function<void()> &work)
{
	for (int error : {ENOMEM, EINVAL, EAGAIN}) {
		bool failed = true;

		for (int n = 1; failed && n < 100; n++) {
			SCOPED_TRACE(testing::Message() << "call " << n << " fails with " << error);
			calls = 0;
			fail_at = n;
			fail_with = error;
			work();
			failed = calls >= n;
			fail_at = 0;
			notes_reset();
			packing_reset();
			if (testing::Test::HasFailure())
				return;
		}
	}
}

TEST_F(Map, MappingSurvivesEachFailure)
{
	for (size_t bytes : {machine.unit * 3, machine.unit * 3 + 5 * machine.page,
	                     machine.unit * 3 - 5 * machine.page, machine.unit / 4})
		each_failure([&] {
			char *p = map(bytes);

			// A failure before the last resort is not the program's.
			if (!p) {
				EXPECT_EQ(calls, fail_at) << "gave up, though the kernel would not";
				return;
			}
			memset(p, 1, bytes);
			fail_at = 0;
			EXPECT_EQ(map_munmap(p, bytes), 0);
		});
}

TEST_F(Map, CallsOnPartsSurviveEachFailure)
{
	const size_t bytes = machine.unit * 3 - 5 * machine.page, half = machine.unit / 2;

	each_failure([&] {
		const int n = fail_at;

		fail_at = 0;
		char *p = map(bytes);
		memset(p, 1, bytes);
		calls = 0;
		fail_at = n;
		const long advised = map_madvise(p + half, half, MADV_DONTNEED);
		EXPECT_EQ(p[half], advised ? 1 : 0);
		const long unmapped = map_munmap(p + bytes - half, half);
		if (unmapped) {
			EXPECT_EQ(p[bytes - 1], 1);
		}
		const long over = map_mmap(p + machine.unit + half, half, access_all,
		                           anonymous | MAP_FIXED, -1, 0, nullptr);
		EXPECT_EQ(p[machine.unit + half], over < 0 ? 1 : 0);
		EXPECT_EQ(p[0], 1);
		EXPECT_EQ(p[machine.unit], 1);
		fail_at = 0;
		EXPECT_EQ(map_munmap(p, bytes), 0);
	});
}

// As PHP's blocks do: page by page, in place.  Nothing is given back, split or collapsed for it.
TEST_F(Map, GrowsIntoItsPad)
{
	const size_t pad = 5 * machine.page, bytes = machine.unit * 3 - pad;
	char *p = map(bytes);

	memset(p, 1, bytes);
	ASSERT_EQ(note_pad(address(p) + bytes), address(p) + bytes);
	const int before = calls;
	for (size_t more = machine.page; more <= pad; more += machine.page) {
		ASSERT_EQ(map_mremap(p, bytes + more - machine.page, bytes + more, 0, nullptr),
		          static_cast<long>(address(p)));
		EXPECT_EQ(p[bytes + more - 1], 0) << "new memory is zero";
		p[bytes + more - 1] = 2;
	}
	EXPECT_EQ(calls - before, 5) << "one each";
	EXPECT_EQ(note_pad(address(p) + bytes), 0u) << "used up";
	EXPECT_EQ(p[bytes - 1], 1);
	EXPECT_EQ(map_munmap(p, machine.unit * 3), 0);
}

// Protected in part it is no one mapping, which cannot grow.
TEST_F(Map, GrowsIntoNoPadOfTwoMappings)
{
	const size_t bytes = machine.unit * 3 - 5 * machine.page;
	char *p = map(bytes);

	ASSERT_EQ(map_mprotect(p, machine.unit, PROT_READ), 0);
	EXPECT_EQ(map_mremap(p, bytes, bytes + machine.page, 0, nullptr), -EFAULT);
	EXPECT_EQ(map_munmap(p, bytes), 0);
}

TEST_F(Map, GrowthSurvivesEachFailure)
{
	const size_t bytes = machine.unit * 3 - 5 * machine.page, more = machine.unit * 5 + 12345;

	each_failure([&] {
		const int n = fail_at;

		fail_at = 0;
		char *p = map(bytes);
		memset(p, 1, bytes);
		calls = 0;
		fail_at = n;
		const long grown = map_mremap(p, bytes, more, MREMAP_MAYMOVE, nullptr);
		char *now = grown < 0 ? p : reinterpret_cast<char *>(grown);
		EXPECT_EQ(now[0], 1);
		EXPECT_EQ(now[bytes - 1], 1);
		if (grown >= 0) {
			EXPECT_EQ(now[bytes], 0);
		}
		fail_at = 0;
		EXPECT_EQ(map_munmap(now, grown < 0 ? bytes : more), 0);
	});
}

} // namespace
