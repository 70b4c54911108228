// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "devices/virtio/balloon/page_list.hpp"
#include "devices/virtio/balloon/statistics.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio::balloon {
namespace {

/// Bytes in segments of the sizes given; the last takes the rest.
class Segments {
  public:
    Segments(std::vector<std::byte> bytes, const std::vector<std::size_t>& sizes)
        : bytes_(std::move(bytes)) {
        std::size_t at = 0;
        for (const std::size_t size : sizes) {
            segments_.push_back({bytes_.data() + at, size});
            at += size;
        }
        segments_.push_back({bytes_.data() + at, bytes_.size() - at});
        left = segments_;
    }

    std::span<iovec> left;

  private:
    std::vector<std::byte> bytes_;
    std::vector<iovec> segments_;
};

template <typename T>
void append(std::vector<std::byte>& bytes, T value) {
    const auto more = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), more.begin(), more.end());
}

std::vector<std::byte> numbers(const std::vector<std::uint32_t>& list) {
    std::vector<std::byte> bytes;
    for (const std::uint32_t number : list) {
        append(bytes, number);
    }
    return bytes;
}

class PageBatchTest : public testing::Test {
  protected:
    [[nodiscard]] std::span<std::byte> pages(std::uint64_t first, std::uint64_t count) const {
        return memory_.span(Gpa(first * kPageSize), count * kPageSize).value();
    }
    void expect_runs(const std::vector<std::span<std::byte>>& expected) const {
        ASSERT_EQ(batch_.runs().size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            EXPECT_EQ(batch_.runs()[i].data(), expected[i].data()) << i;
            EXPECT_EQ(batch_.runs()[i].size(), expected[i].size()) << i;
        }
    }

    GuestMemory memory_{cxlvm::test::two_blocks()};
    PageBatch batch_;
};

TEST_F(PageBatchTest, NeighboursAreOneRunInWhateverOrder) {
    Segments list(numbers({9, 7, 3, 8, 4, 3}), {1, 5, 7});
    batch_.take(list.left, memory_);
    expect_runs({pages(3, 2), pages(7, 3)});
    EXPECT_TRUE(list.left.empty());
    EXPECT_EQ(batch_.outside(), 0U);
}

TEST_F(PageBatchTest, WhatIsNotRamIsCountedAndLeftOut) {
    constexpr std::uint32_t kHole = cxlvm::test::kHoleBase / kPageSize;
    Segments list(numbers({kHole, kHole - 1, 0xffff'ffff, 0x8000'0000}), {});
    batch_.take(list.left, memory_);
    expect_runs({pages(kHole - 1, 1)});
    EXPECT_EQ(batch_.outside(), 3U);
}

TEST_F(PageBatchTest, ALongListIsTakenInBatches) {
    Segments list(numbers(std::vector<std::uint32_t>(PageBatch::kMaxPages + 2, 5)), {});
    batch_.take(list.left, memory_);
    expect_runs({pages(5, 1)});
    ASSERT_EQ(list.left.size(), 1U);
    EXPECT_EQ(list.left[0].iov_len, 8U);
    batch_.take(list.left, memory_);
    expect_runs({pages(5, 1)});
    batch_.take(list.left, memory_);
    expect_runs({});
}

TEST_F(PageBatchTest, ANumberThatIsCutOffIsNone) {
    std::vector<std::byte> bytes = numbers({6, 7});
    bytes.pop_back();
    Segments list(bytes, {});
    batch_.take(list.left, memory_);
    expect_runs({pages(6, 1)});
    EXPECT_TRUE(list.left.empty());
}

TEST(StatisticsTest, KnownTagsCountAndTheRestIsLeftOut) {
    std::vector<std::byte> bytes;
    for (const auto& [tag, value] : std::vector<std::pair<std::uint16_t, std::uint64_t>>{
             {4, 100}, {10, 7}, {0xffff, 8}, {9, ~std::uint64_t{0}}, {4, 200}, {0, 0}}) {
        append(bytes, tag);
        append(bytes, value);
    }
    append(bytes, std::uint16_t{5});  // without a value
    Segments list(bytes, {1, 30});
    const Statistics statistics = parse_statistics(list.left);
    EXPECT_EQ(statistics.get(Statistic::FreeMemory), 200U);
    EXPECT_EQ(statistics.get(Statistic::HugePageFailures), ~std::uint64_t{0});
    EXPECT_EQ(statistics.get(Statistic::SwapIn), 0U);
    EXPECT_FALSE(statistics.get(Statistic::TotalMemory).has_value());
}

TEST(StatisticsTest, AListWithoutEndIsCutOff) {
    std::vector<std::byte> bytes;
    for (std::uint64_t i = 0; i < 2 * kMaxListed; ++i) {
        append(bytes, std::uint16_t{4});
        append(bytes, i);
    }
    Segments list(bytes, {});
    EXPECT_EQ(parse_statistics(list.left).get(Statistic::FreeMemory), kMaxListed - 1);
}

}  // namespace
}  // namespace cxlvm::virtio::balloon
