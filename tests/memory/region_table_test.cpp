// SPDX-License-Identifier: Apache-2.0
#include "memory/region_table.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "tests/memory/fake_memory.hpp"

namespace cxlvm {
namespace {

using test::kTop;

// The table does not look into regions: any distinct objects serve.
class RegionTableTest : public ::testing::Test {
  protected:
    test::FakeHandler handler_;
    Region a_{"a", 1, handler_};
    Region b_{"b", 1, handler_};
};

TEST_F(RegionTableTest, AnEmptyTableFindsNothing) {
    const RegionTable table(4);
    EXPECT_EQ(table.find(0, 1).region, nullptr);
    EXPECT_EQ(table.find(kTop, 1).region, nullptr);
}

TEST_F(RegionTableTest, ATableOfCapacityZeroIsFullAndFindsNothing) {
    const RegionTable table(0);
    EXPECT_TRUE(table.full());
    EXPECT_EQ(table.find(0, 1).region, nullptr);
}

TEST_F(RegionTableTest, FindsTheRegionThatHoldsTheWholeAccessAndItsOffset) {
    RegionTable table(4);
    table.insert({0x1000, 0x1fff, &a_});
    table.insert({0x2000, 0x2fff, &b_});
    EXPECT_EQ(table.find(0x1000, 1).region, &a_);
    EXPECT_EQ(table.find(0x1ffc, 4).region, &a_);
    EXPECT_EQ(table.find(0x1ffc, 4).offset, 0xffcU);
    EXPECT_EQ(table.find(0x1ffd, 4).region, nullptr) << "crosses into the neighbour";
    EXPECT_EQ(table.find(0xfff, 1).region, nullptr);
    EXPECT_EQ(table.find(0xfff, 2).region, nullptr);
    EXPECT_EQ(table.find(0x2fff, 1).region, &b_);
    EXPECT_EQ(table.find(0x3000, 1).region, nullptr);
    EXPECT_EQ(table.find(0x1000, 0).region, nullptr);
}

TEST_F(RegionTableTest, FindsAccessesUpToTheLastByteOfTheSpace) {
    RegionTable table(2);
    table.insert({kTop - 7, kTop, &a_});
    EXPECT_EQ(table.find(kTop, 1).region, &a_);
    EXPECT_EQ(table.find(kTop - 7, 8).region, &a_);
    EXPECT_EQ(table.find(kTop - 7, 9).region, nullptr);
    EXPECT_EQ(table.find(kTop, 2).region, nullptr);
    EXPECT_EQ(table.find(kTop - 7, kTop).region, nullptr);
}

TEST_F(RegionTableTest, AgreesWithAnOrderedMapThroughRandomChanges) {
    constexpr std::uint64_t kSpace = 256;
    constexpr std::size_t kCapacity = 16;
    RegionTable table(kCapacity);
    std::map<std::uint64_t, RegionTable::Entry> model;
    std::mt19937_64 random(1);
    for (int step = 0; step < 2000; ++step) {
        const std::uint64_t base = random() % kSpace;
        const std::uint64_t last = std::min(kSpace - 1, base + random() % 24);
        bool overlap = false;
        for (const auto& [key, entry] : model) {
            overlap = overlap || (base <= entry.last && entry.base <= last);
        }
        ASSERT_EQ(table.overlaps(base, last), overlap);
        if (!overlap && !table.full()) {
            const RegionTable::Entry entry{base, last, random() % 2 == 0 ? &a_ : &b_};
            table.insert(entry);
            model[base] = entry;
        } else if (!model.empty()) {
            auto victim = model.begin();
            std::advance(victim, static_cast<std::ptrdiff_t>(random() % model.size()));
            table.erase(victim->first);
            model.erase(victim);
        }
        ASSERT_EQ(table.size(), model.size());
        ASSERT_EQ(table.full(), model.size() == kCapacity);
        for (std::uint64_t address = 0; address < kSpace; ++address) {
            Region* expected = nullptr;
            for (const auto& [key, entry] : model) {
                if (entry.base <= address && address + 1 <= entry.last) {
                    expected = entry.region;
                }
            }
            ASSERT_EQ(table.find(address, 2).region, expected);
        }
    }
}

}  // namespace
}  // namespace cxlvm
