// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/boot.hpp"

#include "tests/vmm/boot/image_builder.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using Type = MemoryMapEntry::Type;

std::vector<MemoryMapEntry> map_of(std::uint64_t size) {
    const GuestMemory memory(memory_of(size));
    return memory_map(memory);
}

constexpr std::uint64_t kEcamLast = layout::kEcam.value() + layout::kEcamSize - 1;

void expect_entry(const MemoryMapEntry& entry, std::uint64_t base, std::uint64_t last, Type type) {
    EXPECT_EQ(entry.range, *GpaRange::between(Gpa(base), Gpa(last)));
    EXPECT_EQ(entry.type, type);
}

TEST(MemoryMap, OfASmallGuestHasTheLegacyHoleAndTheEcamWindow) {
    const auto map = map_of(256ULL << 20);
    ASSERT_EQ(map.size(), 6U);
    expect_entry(map[0], 0, 0x9fbff, Type::Ram);
    expect_entry(map[1], 0x9fc00, 0xdffff, Type::Reserved);
    expect_entry(map[2], 0xe0000, 0xfefff, Type::AcpiReclaimable);
    expect_entry(map[3], 0xff000, 0xfffff, Type::Reserved);
    expect_entry(map[4], 0x10'0000, 0xfff'ffff, Type::Ram);
    expect_entry(map[5], 0xe000'0000, kEcamLast, Type::Reserved);
}

TEST(MemoryMap, OfALargeGuestGoesOnAboveTheHole) {
    const auto map = map_of(5ULL << 30);
    ASSERT_EQ(map.size(), 7U);
    expect_entry(map[4], 0x10'0000, 0xbfff'ffff, Type::Ram);
    expect_entry(map[5], 0xe000'0000, kEcamLast, Type::Reserved);
    expect_entry(map[6], 0x1'0000'0000, 0x1'7fff'ffff, Type::Ram);
}

TEST(MemoryMap, OfLessThanAMebibyteStaysWithinTheMemory) {
    const auto map = map_of(0xf0000);
    ASSERT_EQ(map.size(), 4U);
    expect_entry(map[2], 0xe0000, 0xeffff, Type::AcpiReclaimable);
}

}  // namespace
}  // namespace cxlvm::boot
