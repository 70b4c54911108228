// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "io/error.hpp"

namespace cxlvm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Placement windows() {
    return place(Gpa((1ULL << 30) - 1), 39);
}

virtio::block::BlockConfig disk(const std::string& bus, bool root_port = false) {
    return {.disk = {.path = "d"}, .place = {.bus = bus, .root_port = root_port}};
}

void expect_refused(const VmConfig& config, const std::string& what) {
    try {
        check_places(config);
        ADD_FAILURE() << "was accepted, expected: " << what;
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_THAT(error.what(), HasSubstr(what));
    }
}

TEST(PciPlan, HasOneHostBridgeWithEverythingUnlessMoreAreAskedFor) {
    const PciPlan plan = plan_pci(VmConfig{}, windows());
    ASSERT_EQ(plan.bridges.size(), 1U);
    EXPECT_EQ(plan.bridges[0].first_bus, 0U);
    EXPECT_EQ(plan.bridges[0].last_bus, 0U);
    EXPECT_EQ(plan.bridges[0].devices, 0U);
    EXPECT_EQ(plan.bridges[0].windows.mmio32, windows().mmio32);
    EXPECT_EQ(plan.bridges[0].windows.mmio64, windows().mmio64);
}

TEST(PciPlan, NumbersBusesOneAfterAnotherWithOneForEachRootPort) {
    VmConfig config;
    config.host_bridges = {{.id = "a"}, {.id = "b"}, {.id = "c"}};
    config.disks = {disk("a", true), disk(""), disk("a"), disk("", true), disk("c", true)};
    check_places(config);
    const PciPlan plan = plan_pci(config, windows());
    ASSERT_EQ(plan.bridges.size(), 4U);
    const std::array expected{std::array{0, 1, 2}, std::array{2, 3, 2}, std::array{4, 4, 0},
                              std::array{5, 6, 1}};
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(plan.bridges[i].first_bus, expected[i][0]) << i;
        EXPECT_EQ(plan.bridges[i].last_bus, expected[i][1]) << i;
        EXPECT_EQ(plan.bridges[i].devices, static_cast<unsigned>(expected[i][2])) << i;
    }
    EXPECT_EQ(plan.index_of({.bus = "c"}), 3U);
    EXPECT_EQ(plan.index_of({}), 0U);
}

TEST(PciPlan, ListsThePlacesOfEveryDeviceInTheOrderOfTheGuest) {
    VmConfig config;
    config.balloon.emplace();
    config.rng.emplace();
    config.console.emplace();
    config.vsock.emplace();
    config.nets.resize(1);
    config.disks.resize(1);
    std::vector<std::string> options;
    for (const NamedPlace& one : places_of(config)) {
        options.emplace_back(one.option);
    }
    EXPECT_THAT(options, ElementsAre("disk", "net", "vsock", "console", "rng", "balloon"));
}

TEST(PciPlan, RefusesAPlaceOnAHostBridgeThatDoesNotExist) {
    VmConfig config;
    config.host_bridges = {{.id = "far"}};
    config.rng = {.place = {.bus = "fare"}};
    expect_refused(config, "--rng: bus=fare: there is no host bridge of this id");
}

TEST(PciPlan, RefusesHostBridgesWithoutANameOfTheirOwn) {
    VmConfig config;
    config.host_bridges.resize(1);
    expect_refused(config, "--host-bridge: id is missing");
    config.host_bridges = {{.id = "a"}, {.id = "b"}, {.id = "a"}};
    expect_refused(config, "--host-bridge: id=a: given twice");
    config.host_bridges.clear();
    for (int i = 0; i < 15; ++i) {
        config.host_bridges.push_back({.id = std::to_string(i)});
    }
    EXPECT_NO_THROW(check_places(config));
    EXPECT_EQ(plan_pci(config, windows()).bridges.size(), 16U);
    config.host_bridges.push_back({.id = "sixteenth"});
    expect_refused(config, "--host-bridge: 16 are too many");
}

TEST(PciPlan, RefusesMoreDevicesAndBusesThanThereAreNumbersFor) {
    VmConfig config;
    config.disks.assign(31, disk("", true));
    EXPECT_NO_THROW(check_places(config));
    config.disks.push_back(disk(""));
    expect_refused(config, "--disk: 32 devices are more than the 31");
    config.disks.pop_back();
    config.rng.emplace();
    expect_refused(config, "--rng: 32 devices are more than the 31");
    config.rng.reset();
    config.disks.clear();
    for (int bridge = 0; bridge < 8; ++bridge) {
        const std::string id = std::to_string(bridge);
        config.host_bridges.push_back({.id = id});
        config.disks.insert(config.disks.end(), 31, disk(id, true));
    }
    config.disks.pop_back();
    EXPECT_NO_THROW(check_places(config));
    EXPECT_EQ(plan_pci(config, windows()).bridges.back().last_bus, 255U);
    config.disks.push_back(disk("7", true));
    expect_refused(config, "257 PCI buses");
}

TEST(Share, DividesTheWindowsIntoPartsThatTakeBarsOfAnySize) {
    for (const unsigned bits : {39U, 40U, 46U}) {
        for (std::size_t count = 1; count <= 16; ++count) {
            const Placement whole = place(Gpa((1ULL << 30) - 1), bits);
            const std::vector<Placement> shares = share(whole, count);
            ASSERT_EQ(shares.size(), count);
            EXPECT_EQ(shares.front().mmio64.base(), whole.mmio64.base());
            EXPECT_EQ(shares.back().mmio64.last(), whole.mmio64.last());
            EXPECT_EQ(shares.front().mmio32.base(), whole.mmio32.base());
            EXPECT_EQ(shares.back().mmio32.last(), whole.mmio32.last());
            for (std::size_t i = 0; i < count; ++i) {
                EXPECT_GE(shares[i].mmio64.size(), 1ULL << 30);
                EXPECT_GE(shares[i].mmio32.size(), 32ULL << 20);
                if (i != 0) {
                    EXPECT_EQ(shares[i].mmio64.base(), *shares[i - 1].mmio64.last().plus(1));
                    EXPECT_EQ(shares[i].mmio32.base(), *shares[i - 1].mmio32.last().plus(1));
                }
                if (i != 0 && i != count - 1) {
                    const std::uint64_t size = shares[i].mmio64.size();
                    EXPECT_EQ(size & (size - 1), 0U);
                    EXPECT_EQ(shares[i].mmio64.base().value() % size, 0U);
                }
            }
        }
    }
}

TEST(Share, RefusesMoreThanTheWindowHasRoomFor) {
    // Four GiB are left for devices.
    const Placement small = place(Gpa((1ULL << 30) - 1), 33);
    EXPECT_EQ(share(small, 4).size(), 4U);
    try {
        static_cast<void>(share(small, 5));
        FAIL() << "was divided";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_THAT(error.what(), HasSubstr("5 host bridges"));
    }
}

}  // namespace
}  // namespace cxlvm
