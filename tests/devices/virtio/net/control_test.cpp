// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/control_queue.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/devices/virtio/net/net_fixture.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::header_of;
using test::no_offloads;
using test::pattern;

constexpr std::uint64_t kRequest = 0x20'0000;
constexpr std::uint64_t kAnswer = 0x20'1000;
constexpr std::uint64_t kBuffers = 0x21'0000;
constexpr int kUnanswered = 0xee;

class ControlTest : public test::NetFixture {
  protected:
    /// Gives a command, and what the device says to it.
    int command(std::size_t queue, const std::string& bytes, std::uint32_t room = 1) {
        write(kRequest, bytes);
        drivers_[queue].store(kAnswer, std::uint8_t{kUnanswered});
        drivers_[queue].describe(
            0, {kRequest, static_cast<std::uint32_t>(bytes.size()), kDescriptorNext, 1});
        drivers_[queue].describe(1, {kAnswer, room, kDescriptorWrite, 0});
        drivers_[queue].make_available(0);
        kick(queue);
        const auto elements = used(queue);
        EXPECT_EQ(elements.size(), 1U);
        EXPECT_TRUE(elements.empty() || elements[0].length == (room == 0 ? 0U : 1U));
        return drivers_[queue].load<std::uint8_t>(kAnswer);
    }
    static std::string set_pairs(unsigned pairs) {
        return {4, 0, static_cast<char>(pairs), static_cast<char>(pairs >> 8)};
    }
    static std::string set_offloads(std::uint64_t features) {
        std::string bytes = {5, 0};
        return bytes.append(reinterpret_cast<const char*>(&features), sizeof(features));
    }

    static constexpr std::uint64_t kSeveral =
        kFeatureMergeable | kFeatureCtrlQueue | kFeatureMultiQueue;
    static constexpr std::size_t kControl = 6;  ///< behind three pairs
};

TEST_F(ControlTest, TheDriverSaysHowManyPairsItUses) {
    make(3);
    activate(kSeveral);
    EXPECT_EQ(backend_->pairs, 1U);
    EXPECT_EQ(command(kControl, set_pairs(3)), 0);
    EXPECT_EQ(backend_->pairs, 3U);
    EXPECT_EQ(command(kControl, set_pairs(2)), 0);
    EXPECT_EQ(backend_->pairs, 2U);
    for (const unsigned wrong : {0U, 4U, 0x8000U, 0xffffU}) {
        EXPECT_EQ(command(kControl, set_pairs(wrong)), 1) << wrong;
    }
    EXPECT_EQ(backend_->pairs, 2U);
}

TEST_F(ControlTest, PairsThatAreNotInUseCarryNothing) {
    make(3);
    activate(kSeveral);
    offer(2, 0, kBuffers, 1536, true);
    write(kBuffers + 0x1000, no_offloads() + pattern(60));
    offer(3, 0, kBuffers + 0x1000, 72, false);
    network(1).put(no_offloads() + pattern(100));
    kick(2);
    kick(3);
    EXPECT_TRUE(used(2).empty());
    EXPECT_EQ(used(3).size(), 1U);
    EXPECT_EQ(network(1).get(), std::nullopt);

    EXPECT_EQ(command(kControl, set_pairs(2)), 0);
    EXPECT_EQ(used(2).size(), 1U);
    EXPECT_EQ(read(kBuffers, 112), header_of(1) + pattern(100));
    offer(3, 1, kBuffers + 0x1000, 72, false);
    kick(3);
    EXPECT_EQ(network(1).get(), no_offloads() + pattern(60));
}

TEST_F(ControlTest, AResetGoesBackToOnePair) {
    make(2);
    activate(kSeveral);
    EXPECT_EQ(command(4, set_pairs(2)), 0);
    reset();
    for (std::uint64_t address = 0x1000; address < 0x4'0000; address += 8) {
        drivers_[0].store(address, std::uint64_t{0});
    }
    activate(kSeveral);
    EXPECT_EQ(backend_->pairs, 1U);
}

TEST_F(ControlTest, WithoutSeveralPairsTheCommandsComeBehindTheFirst) {
    make(3, kFeatureGuestCsum);
    activate(kFeatureMergeable | kFeatureCtrlQueue | kFeatureGuestCsum | kFeatureCtrlGuestOffloads);
    EXPECT_EQ(command(2, set_offloads(0)), 0);
    EXPECT_EQ(command(2, set_pairs(2)), 1);
}

TEST_F(ControlTest, OffloadsAreSwitchedAsFarAsTheyWereNegotiated) {
    make(1, kGuestOffloads);
    activate(kFeatureMergeable | kFeatureCtrlQueue | kFeatureGuestCsum | kFeatureGuestTso4 |
             kFeatureCtrlGuestOffloads);
    EXPECT_EQ(backend_->guest_offloads, kFeatureGuestCsum | kFeatureGuestTso4);
    EXPECT_EQ(command(2, set_offloads(kFeatureGuestCsum)), 0);
    EXPECT_EQ(backend_->guest_offloads, kFeatureGuestCsum);
    EXPECT_EQ(command(2, set_offloads(kFeatureGuestCsum | kFeatureGuestTso6)), 1);
    EXPECT_EQ(command(2, set_offloads(kFeatureMergeable)), 1);
    EXPECT_EQ(backend_->guest_offloads, kFeatureGuestCsum);
    backend_->possible = false;
    EXPECT_EQ(command(2, set_offloads(0)), 1);
}

TEST_F(ControlTest, OffloadsThatWereNotNegotiatedAtAllAreNotSwitched) {
    make(1, kGuestOffloads);
    activate(kFeatureMergeable | kFeatureCtrlQueue | kFeatureGuestCsum);
    EXPECT_EQ(command(2, set_offloads(0)), 1);
}

TEST_F(ControlTest, WhatIsNoCommandIsRefused) {
    make(2);
    activate(kSeveral);
    EXPECT_EQ(command(4, ""), 1);
    EXPECT_EQ(command(4, std::string("\4", 1)), 1);
    EXPECT_EQ(command(4, std::string("\4\0\1", 3)), 1) << "a byte is missing";
    EXPECT_EQ(command(4, std::string("\4\1\1\0", 4)), 1);
    EXPECT_EQ(command(4, std::string("\1\0\1", 3)), 1) << "filters are not offered";
    EXPECT_EQ(command(4, set_pairs(2), 0), kUnanswered);
    EXPECT_EQ(backend_->pairs, 1U) << "without an answer nothing is done";
    EXPECT_EQ(host_.failures, 0);
}

}  // namespace
}  // namespace cxlvm::virtio::net
