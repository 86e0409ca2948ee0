/* The main() of the tests that run under LD_PRELOAD: first of all the shim must be there, or the
 * tests would only prove that glibc works. */
#include "support.h"

#include <gtest/gtest.h>

namespace
{

class ShimIsLoaded : public testing::Environment
{
	void SetUp() override
	{
		ASSERT_TRUE(support::plain() || support::shim_loaded())
			<< "LD_PRELOAD did not bring the shim";
	}
};

} // namespace

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);
	testing::AddGlobalTestEnvironment(new ShimIsLoaded);
	return RUN_ALL_TESTS();
}
