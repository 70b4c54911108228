// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/initrd.hpp"

#include <unistd.h>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using test::Bytes;
using test::input_error;
using test::pattern;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20;

GpaRange range(std::uint64_t base, std::uint64_t last) {
    return *GpaRange::between(Gpa(base), Gpa(last));
}

GuestMemory::Block block(std::uint64_t base, std::uint64_t size) {
    return {.range = *GpaRange::of(Gpa(base), size), .host = {}, .fd = -1, .fd_offset = 0};
}

class PlaceInitrd : public testing::Test {
  protected:
    std::optional<Gpa> place(std::uint64_t size) const { return place_initrd(ram_, limits_, size); }

    std::vector<GuestMemory::Block> ram_{block(0, 64 * kMiB)};
    InitrdLimits limits_{
        .kernel = range(16 * kMiB, 32 * kMiB - 1), .last = Gpa(0x7fff'ffff), .above_4g = false};
};

TEST_F(PlaceInitrd, TakesTheHighestPagesOfTheMemory) {
    EXPECT_EQ(place(1), Gpa(64 * kMiB - 4096));
    EXPECT_EQ(place(4096), Gpa(64 * kMiB - 4096));
    EXPECT_EQ(place(4097), Gpa(64 * kMiB - 8192));
    EXPECT_EQ(place(32 * kMiB), Gpa(32 * kMiB));
}

TEST_F(PlaceInitrd, KeepsToTheKernelsLimit) {
    limits_.last = Gpa(40 * kMiB - 1);
    EXPECT_EQ(place(kMiB), Gpa(39 * kMiB));
    limits_.last = Gpa(40 * kMiB);  // one byte more does not make a page
    EXPECT_EQ(place(kMiB), Gpa(39 * kMiB));
}

TEST_F(PlaceInitrd, GoesBelowTheKernelWhenThereIsNoRoomAbove) {
    limits_.kernel = range(16 * kMiB, 64 * kMiB - 1);
    EXPECT_EQ(place(kMiB), Gpa(15 * kMiB));
    EXPECT_EQ(place(15 * kMiB), Gpa(kMiB));
    EXPECT_EQ(place(15 * kMiB + 1), std::nullopt);
}

TEST_F(PlaceInitrd, NeverSharesAPageWithTheEndOfTheKernel) {
    limits_.kernel = range(16 * kMiB, 63 * kMiB + 10);
    EXPECT_EQ(place(kMiB - 4096), Gpa(63 * kMiB + 4096));
    EXPECT_EQ(place(kMiB - 4095), Gpa(15 * kMiB));
}

TEST_F(PlaceInitrd, RefusesWhatDoesNotFit) {
    EXPECT_EQ(place(33 * kMiB), std::nullopt);
    EXPECT_EQ(place(~0ULL), std::nullopt);
    EXPECT_EQ(place(0), std::nullopt);
    limits_.last = Gpa(0x1000);
    EXPECT_EQ(place(1), std::nullopt);
}

TEST_F(PlaceInitrd, GoesAboveFourGibibytesOnlyIfTheKernelCan) {
    ram_ = {block(0, 3072 * kMiB), block(4096 * kMiB, 4096 * kMiB)};
    EXPECT_EQ(place(3000 * kMiB), std::nullopt);
    limits_.above_4g = true;
    EXPECT_EQ(place(3000 * kMiB), Gpa((8192 - 3000) * kMiB));
    EXPECT_EQ(place(kMiB), Gpa(2047 * kMiB));
}

class LoadInitrds : public testing::Test {
  protected:
    test::TemporaryFolder folder_;
    GuestMemory memory_{memory_of(8 * kMiB)};
    InitrdLimits limits_{.kernel = range(2 * kMiB, 3 * kMiB - 1), .last = Gpa(0x7fff'ffff)};
};

TEST_F(LoadInitrds, GivesNothingWithoutAny) {
    EXPECT_EQ(Initrds({}).size(), 0U);
    EXPECT_EQ(Initrds({}).load(memory_, limits_), std::nullopt);
}

TEST_F(LoadInitrds, ConcatenatesThemAtMultiplesOfFour) {
    const Bytes first = pattern(4097, 1);
    const Bytes second = pattern(3, 2);
    const Bytes third = pattern(5000, 3);
    const Initrds initrds(
        {folder_.write("1", first), folder_.write("2", second), folder_.write("3", third)});
    EXPECT_EQ(initrds.size(), 4100U + 4 + 5000);
    const auto place = initrds.load(memory_, limits_);
    ASSERT_TRUE(place);
    EXPECT_EQ(*place, *GpaRange::of(Gpa(8 * kMiB - 12'288), 9104));
    Bytes expected = first;
    expected.resize(4100);
    expected.insert(expected.end(), second.begin(), second.end());
    expected.resize(4104);
    expected.insert(expected.end(), third.begin(), third.end());
    Bytes loaded(expected.size());
    ASSERT_TRUE(memory_.read(place->base(), loaded));
    EXPECT_TRUE(loaded == expected);
}

TEST_F(LoadInitrds, NamesFileAndSizesOfWhatDoesNotFit) {
    const std::string path = folder_.path() + "/large";
    (void)folder_.write("large", pattern(1));
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(9 * kMiB)), 0);
    EXPECT_THAT(input_error([&] { (void)Initrds({path}).load(memory_, limits_); }),
                testing::AllOf(HasSubstr(path), HasSubstr("9 MiB of initrd"),
                               HasSubstr("8 MiB of memory"), HasSubstr("--memory")));
    EXPECT_THAT(input_error([&] {
                    (void)Initrds({path, path}).load(memory_, limits_);
                }),
                HasSubstr("and 1 more: 18 MiB"));
}

TEST_F(LoadInitrds, RefusesASparseFileOfTerabytesWithoutReadingIt) {
    const std::string path = folder_.path() + "/huge";
    (void)folder_.write("huge", pattern(1));
    if (::truncate(path.c_str(), std::int64_t{1} << 42) != 0) {
        GTEST_SKIP() << "the temporary folder takes no file of 4 TiB";
    }
    EXPECT_THAT(input_error([&] { (void)Initrds({path}).load(memory_, limits_); }),
                HasSubstr("do not fit"));
}

}  // namespace
}  // namespace cxlvm::boot
