// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/config_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "devices/vfio/bar_cut.hpp"
#include "tests/devices/vfio/fake_kernel.hpp"

namespace cxlvm::vfio {
namespace {

using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

/// A configuration space that a test fills.
class Config {
  public:
    Config() {
        put<std::uint16_t>(0, 0x1234);
        put<std::uint16_t>(2, 0x5678);
    }
    template <typename T>
    void put(std::size_t at, T value) {
        std::memcpy(bytes_.data() + at, &value, sizeof(T));
    }
    void first(std::uint8_t at) {
        put<std::uint16_t>(6, 0x10);
        put<std::uint8_t>(0x34, at);
    }
    void capability(std::uint8_t at, std::uint8_t id, std::uint8_t next) {
        put<std::uint8_t>(at, id);
        put<std::uint8_t>(at + 1U, next);
    }
    void extended(std::uint16_t at, std::uint16_t id, std::uint16_t next) {
        put<std::uint32_t>(at, std::uint32_t{id} | 1U << 16 | std::uint32_t{next} << 20);
    }
    [[nodiscard]] ConfigPlan plan(std::size_t size = 4096) const {
        return plan_config(std::span(bytes_).first(size), "0000:41:00.0");
    }

  private:
    std::array<std::byte, 4096> bytes_{};
};

bool all(std::span<const std::uint8_t> mask, std::size_t at, std::size_t size, std::uint8_t bits) {
    return std::ranges::all_of(mask.subspan(at, size), [&](auto is) { return is == bits; });
}

TEST(ConfigPlan, TakesTheIdentity) {
    Config config;
    config.put<std::uint32_t>(8, 0x0108'0203);
    config.put<std::uint32_t>(0x2c, 0xaaaa'bbbb);
    config.put<std::uint8_t>(0x3d, 4);
    config.put<std::uint32_t>(0x10, 0xc);
    const ConfigPlan plan = config.plan();
    EXPECT_EQ(plan.identity.vendor_id, 0x1234);
    EXPECT_EQ(plan.identity.device_id, 0x5678);
    EXPECT_EQ(plan.identity.revision, 3);
    EXPECT_EQ(plan.identity.class_code, 0x010802U);
    EXPECT_EQ(plan.identity.subsystem_vendor_id, 0xbbbb);
    EXPECT_EQ(plan.identity.subsystem_id, 0xaaaa);
    EXPECT_EQ(plan.identity.interrupt_pin, 1) << "the only function has the first pin";
    EXPECT_EQ(plan.bars[0], 0xcU);
    EXPECT_EQ(plan.express, 0) << "conventional PCI";
}

TEST(ConfigPlan, KeepsTheHeaderToItselfButForErrors) {
    const ConfigPlan plan = Config().plan();
    EXPECT_TRUE(all(plan.read, 0, 6, 0));
    EXPECT_EQ(plan.read[6], 8) << "Interrupt Status";
    EXPECT_EQ(plan.written[6], 0);
    EXPECT_EQ(plan.read[7], 0xff);
    EXPECT_TRUE(all(plan.read, 8, 0x38, 0));
    EXPECT_TRUE(all(plan.written, 8, 0x38, 0));
    EXPECT_TRUE(all(plan.read, 0x40, 0xc0, 0xff)) << "the device's own registers";
    EXPECT_TRUE(all(plan.read, 0x100, 0xf00, 0));
}

TEST(ConfigPlan, RefusesADeviceThatDoesNotAnswerAndABridge) {
    Config gone;
    gone.put<std::uint16_t>(0, 0xffff);
    EXPECT_THAT(message_of([&] { static_cast<void>(gone.plan()); }), HasSubstr("does not answer"));
    Config bridge;
    bridge.put<std::uint8_t>(0x0e, 1);
    EXPECT_THAT(message_of([&] { static_cast<void>(bridge.plan()); }), HasSubstr("bridge"));
    EXPECT_THAT(message_of([&] { static_cast<void>(Config().plan(64)); }),
                HasSubstr("does not answer"));
}

TEST(ConfigPlan, PlansEachCapabilityByItsRule) {
    Config config;
    config.first(0x40);
    config.capability(0x40, 0x01, 0x50);  // power management
    config.capability(0x50, 0x11, 0x60);  // MSI-X
    config.put<std::uint16_t>(0x52, 15);
    config.put<std::uint32_t>(0x54, 0x2003);
    config.put<std::uint32_t>(0x58, 0x3003);
    config.capability(0x60, 0x10, 0xa0);  // PCI Express, version 2, endpoint
    config.put<std::uint16_t>(0x62, 2);
    config.capability(0xa0, 0x09, 0xb0);  // vendor-specific
    config.put<std::uint8_t>(0xa2, 12);
    config.capability(0xb0, 0x77, 0);  // unknown
    const ConfigPlan plan = config.plan();
    EXPECT_EQ(plan.power, 0x40);
    ASSERT_TRUE(plan.msix);
    EXPECT_EQ(plan.msix->vectors, 16);
    EXPECT_EQ(plan.msix->place.table_bar, 3);
    EXPECT_EQ(plan.msix->place.table_offset, 0x2000U);
    EXPECT_EQ(plan.msix->place.pba_offset, 0x3000U);
    EXPECT_TRUE(all(plan.read, 0x50, 12, 0)) << "MSI-X is ours";
    EXPECT_TRUE(all(plan.written, 0x50, 12, 0));
    EXPECT_EQ(plan.express, 0x60);
    EXPECT_EQ(plan.read[0x62], 0x0f) << "where it is is ours to say";
    EXPECT_EQ(plan.read[0x67], 0xef) << "whether there are function level resets is ours to say";
    EXPECT_TRUE(all(plan.read, 0x68, 0x34, 0xff));
    EXPECT_TRUE(all(plan.written, 0x68, 4, 0xff)) << "Device Control";
    EXPECT_TRUE(all(plan.written, 0x6c, 8, 0)) << "Link Control";
    EXPECT_TRUE(all(plan.written, 0x88, 4, 0xff)) << "Device Control 2";
    EXPECT_TRUE(all(plan.read, 0xa0, 2, 0)) << "the header is ours: it leads to the next";
    EXPECT_TRUE(all(plan.written, 0xa2, 10, 0xff));
    EXPECT_TRUE(all(plan.read, 0xb0, 0x50, 0)) << "unknown registers are hidden to the end";
}

TEST(ConfigPlan, RefusesAnMsixCapabilityThatIsCutShort) {
    Config next;
    next.first(0x40);
    next.capability(0x40, 0x11, 0x48);
    next.capability(0x48, 0x09, 0);
    EXPECT_THAT(message_of([&] { static_cast<void>(next.plan()); }),
                AllOf(HasSubstr("0000:41:00.0"), HasSubstr("MSI-X capability at 0x40 has 8")));
    Config end;
    end.first(0xf8);
    end.capability(0xf8, 0x11, 0);
    EXPECT_THAT(message_of([&] { static_cast<void>(end.plan()); }), HasSubstr("0xf8 has 8"));
}

TEST(ConfigPlan, EndsChainsThatLoopOrLeadNowhere) {
    Config loop;
    loop.first(0x40);
    loop.capability(0x40, 0x09, 0x50);
    loop.capability(0x50, 0x09, 0x40);
    EXPECT_EQ(loop.plan().capabilities.size(), 2U);
    Config header;
    header.first(0x10);
    EXPECT_TRUE(header.plan().capabilities.empty());
    Config ones;
    ones.first(0x40);
    ones.capability(0x40, 0xff, 0xff);
    EXPECT_TRUE(ones.plan().capabilities.empty());
    Config extended;
    extended.extended(0x100, 0x0b, 0x200);
    extended.extended(0x200, 0x0b, 0x100);
    EXPECT_EQ(extended.plan().capabilities.size(), 2U);
    Config low;
    low.extended(0x100, 0x0b, 0x40);
    EXPECT_EQ(low.plan().capabilities.size(), 1U);
}

TEST(ConfigPlan, HidesWhatAGuestCannotUseSafely) {
    Config config;
    config.extended(0x100, 0x0f, 0x140);  // ATS
    config.extended(0x140, 0x23, 0x180);  // DVSEC of CXL
    config.put<std::uint16_t>(0x144, 0x1e98);
    config.extended(0x180, 0x23, 0x1c0);  // DVSEC of somebody else
    config.put<std::uint16_t>(0x184, 0x8086);
    config.extended(0x1c0, 0x03, 0);  // serial number
    const ConfigPlan plan = config.plan();
    EXPECT_TRUE(all(plan.read, 0x100, 0x80, 0));
    EXPECT_TRUE(all(plan.written, 0x100, 0x80, 0));
    EXPECT_TRUE(all(plan.read, 0x184, 0x3c, 0xff));
    EXPECT_TRUE(all(plan.written, 0x184, 0x3c, 0xff));
    EXPECT_TRUE(all(plan.written, 0x1c0, 0x40, 0)) << "read-only";
    for (const int id : {0x0f, 0x10, 0x13, 0x15, 0x17, 0x1b, 0x1f, 0x2e, 0x30}) {
        EXPECT_EQ(extended_rule_of(static_cast<std::uint16_t>(id), 0).treatment, Treatment::Hidden)
            << id;
    }
}

TEST(ConfigPlan, FindsRoomForOurLargerMsi) {
    Config in_place;
    in_place.first(0x40);
    in_place.capability(0x40, 0x05, 0);
    in_place.put<std::uint16_t>(0x42, 0x80 | 5 << 1);
    ASSERT_TRUE(in_place.plan().msi);
    EXPECT_EQ(in_place.plan().msi->offset, 0x40);
    EXPECT_EQ(in_place.plan().msi->vectors, 32);
    EXPECT_TRUE(all(in_place.plan().read, 0x40, 0x18, 0));

    Config moved;
    moved.first(0xc8);
    moved.capability(0xc8, 0x01, 0xd0);
    moved.capability(0xd0, 0x05, 0xe0);
    moved.put<std::uint16_t>(0xd2, 0x80);
    moved.capability(0xe0, 0x10, 0);
    ASSERT_TRUE(moved.plan().msi);
    EXPECT_EQ(moved.plan().msi->offset, 0x40) << "no 24 bytes are free at 0xd0";
    EXPECT_TRUE(all(moved.plan().read, 0xd0, 14, 0)) << "the device's own is hidden";

    Config full;
    full.first(0x40);
    full.capability(0x40, 0x05, 0x50);
    full.capability(0x50, 0x09, 0);
    full.put<std::uint8_t>(0x52, 0xb0);
    EXPECT_FALSE(full.plan().msi);
}

TEST(CapabilityRules, AreInOrderAndHaveReasons) {
    for (const auto rules : {capability_rules(), extended_capability_rules()}) {
        EXPECT_TRUE(std::ranges::is_sorted(rules, std::less<>{}, &CapabilityRule::id));
        for (const CapabilityRule& rule : rules) {
            EXPECT_STRNE(rule.reason, "") << rule.id;
        }
    }
    EXPECT_EQ(rule_of(0xee).treatment, Treatment::Hidden);
    EXPECT_EQ(extended_rule_of(0xeee, 0).treatment, Treatment::Hidden);
}

constexpr std::uint64_t kPage = 4096;
using Kind = BarCut::Kind;

TEST(BarCut, MapsAllOfABarThatHoldsNothingElse) {
    EXPECT_EQ(cut_bar(4 * kPage, std::array{RegionArea{0, 4 * kPage}}, {}, {}),
              (std::vector<BarCut>{{Kind::Memory, {0, 4 * kPage}}}));
}

TEST(BarCut, TrapsThePagesOfTheMsixStructures) {
    EXPECT_EQ(cut_bar(8 * kPage, std::array{RegionArea{0, 8 * kPage}}, RegionArea{2 * kPage, 0x100},
                      RegionArea{3 * kPage + 0x800, 8}),
              (std::vector<BarCut>{{Kind::Memory, {0, 2 * kPage}},
                                   {Kind::Table, {2 * kPage, 0x100}},
                                   {Kind::Trapped, {2 * kPage + 0x100, 0x1700}},
                                   {Kind::Pending, {3 * kPage + 0x800, 8}},
                                   {Kind::Trapped, {3 * kPage + 0x808, 0x7f8}},
                                   {Kind::Memory, {4 * kPage, 4 * kPage}}}));
}

TEST(BarCut, TrapsWhatCannotBeMapped) {
    EXPECT_EQ(cut_bar(64, {}, {}, {}), (std::vector<BarCut>{{Kind::Trapped, {0, 64}}}));
    EXPECT_EQ(cut_bar(4 * kPage, std::array{RegionArea{kPage, kPage}}, {}, {}),
              (std::vector<BarCut>{{Kind::Trapped, {0, kPage}},
                                   {Kind::Memory, {kPage, kPage}},
                                   {Kind::Trapped, {2 * kPage, 2 * kPage}}}));
    EXPECT_EQ(cut_bar(2 * kPage, {}, RegionArea{0, 2 * kPage}, {}),
              (std::vector<BarCut>{{Kind::Table, {0, 2 * kPage}}}));
}

TEST(BarCut, RefusesStructuresThatOverlapOrLeaveTheBar) {
    EXPECT_FALSE(cut_bar(kPage, {}, RegionArea{0, 0x100}, RegionArea{0xf8, 8}));
    EXPECT_FALSE(cut_bar(kPage, {}, RegionArea{0xff8, 16}, {}));
    EXPECT_FALSE(cut_bar(kPage, {}, {}, RegionArea{0xffff'fff8, 8}));
}

}  // namespace
}  // namespace cxlvm::vfio
