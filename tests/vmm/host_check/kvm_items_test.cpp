// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/items.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "tests/memory/fake_tree.hpp"
#include "tests/vmm/host_check/item_matchers.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm::host_check {
namespace {

using test::contains;
using test::expect_well_formed;
using test::item_named;

KvmFacts good_facts() {
    KvmFacts facts{.path = "/dev/kvm"};
    facts.api_version = 12;
    facts.extensions.assign(kvm_extensions().size(), 1);
    facts.max_vcpus = 1024;
    facts.recommended_vcpus = 8;
    facts.address_bits = 48;
    facts.speed =
        KvmSpeed{.kind = KvmSpeed::Kind::Hardware, .ns_per_instruction = 0.25, .ns_per_exit = 1250};
    return facts;
}

TEST(KvmItems, AGoodHostIsOkThroughout) {
    const Items items = kvm_items(good_facts());
    expect_well_formed(items);
    EXPECT_FALSE(check_has_errors(items));
    EXPECT_EQ(item_named(items, "KVM device").status, Status::Ok);
    EXPECT_EQ(item_named(items, "KVM capabilities").status, Status::Ok);
    EXPECT_EQ(item_named(items, "KVM execution").status, Status::Ok);
    EXPECT_TRUE(contains(item_named(items, "KVM execution").found, "0.25 ns an instruction"));
    EXPECT_TRUE(contains(item_named(items, "KVM execution").found, "1.2 us an exit"));
    EXPECT_TRUE(contains(item_named(items, "vCPUs").found, "1024"));
    EXPECT_TRUE(contains(item_named(items, "guest addresses").found, "48 bits"));
}

TEST(KvmItems, ADeviceThatCannotBeOpenedIsTheOnlyItemAndHasItsOwnRemedy) {
    for (const auto& [error, remedy] : {std::pair{ENOENT, "modprobe"},
                                        {ENODEV, "modprobe"},
                                        {EACCES, "usermod -aG kvm"},
                                        {EPERM, "usermod -aG kvm"},
                                        {EMFILE, "ulimit"},
                                        {EOVERFLOW, "dmesg"}}) {
        KvmFacts facts{.path = "/dev/kvm", .open_error = error};
        const Items items = kvm_items(facts);
        ASSERT_EQ(items.size(), 1U);
        expect_well_formed(items);
        EXPECT_TRUE(check_has_errors(items));
        EXPECT_TRUE(contains(items[0].found, "/dev/kvm"));
        EXPECT_TRUE(contains(items[0].remedy, remedy)) << items[0].remedy;
    }
}

TEST(KvmItems, AnotherApiVersionOrAnotherDeviceIsMissing) {
    for (const int version : {-1, 11, 13}) {
        KvmFacts facts = good_facts();
        facts.api_version = version;
        const Items items = kvm_items(facts);
        ASSERT_EQ(items.size(), 1U);
        expect_well_formed(items);
        EXPECT_EQ(items[0].status, Status::Missing);
    }
}

TEST(KvmItems, EveryNeededCapabilityIsMissingByNameAndUsefulOnesAreNot) {
    for (std::size_t i = 0; i < kvm_extensions().size(); ++i) {
        KvmFacts facts = good_facts();
        facts.extensions[i] = i % 2 == 0 ? 0 : -1;
        const Items items = kvm_items(facts);
        expect_well_formed(items);
        const CheckItem item = item_named(items, "KVM capabilities");
        EXPECT_EQ(item.status, kvm_extensions()[i].needed ? Status::Missing : Status::Info);
        EXPECT_TRUE(contains(item.found, kvm_extensions()[i].name));
    }
}

TEST(KvmItems, WhatOpeningTheDeviceInsistsOnIsWhatIsNeeded) {
    std::vector<unsigned> needed;
    for (const KvmExtension& extension : kvm_extensions()) {
        if (extension.needed) {
            needed.push_back(extension.number);
        }
    }
    std::vector<unsigned> required;
    for (const KvmCapability& capability : required_capabilities()) {
        required.push_back(capability.number);
    }
    EXPECT_EQ(needed, required);
    EXPECT_NE(std::ranges::find(needed, unsigned{KVM_CAP_SET_IDENTITY_MAP_ADDR}), needed.end());
    EXPECT_EQ(std::ranges::find(needed, unsigned{KVM_CAP_SPLIT_IRQCHIP}), needed.end());
}

TEST(KvmItems, NoCapabilityIsListedTwice) {
    std::vector<unsigned> numbers;
    for (const KvmExtension& extension : kvm_extensions()) {
        numbers.push_back(extension.number);
    }
    std::ranges::sort(numbers);
    EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end());
}

TEST(KvmItems, AnInterpretingKvmIsAWarningWithItsFigures) {
    KvmFacts facts = good_facts();
    facts.speed = KvmSpeed{
        .kind = KvmSpeed::Kind::Interpreting, .ns_per_instruction = 612.5, .ns_per_exit = 9000};
    const Items items = kvm_items(facts);
    expect_well_formed(items);
    const CheckItem item = item_named(items, "KVM execution");
    EXPECT_EQ(item.status, Status::Warn);
    EXPECT_TRUE(contains(item.found, "interpreted"));
    EXPECT_TRUE(contains(item.found, "612.50 ns"));
    EXPECT_FALSE(check_has_errors(items)) << "small guests run there";
}

TEST(KvmItems, AKvmThatRunsNoGuestIsMissingAndSaysWhy) {
    KvmFacts facts = good_facts();
    facts.speed = KvmSpeed{.error = "KVM_RUN: Bad address"};
    const Items items = kvm_items(facts);
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "KVM execution").status, Status::Missing);
    EXPECT_TRUE(contains(item_named(items, "KVM execution").found, "Bad address"));
}

TEST(KvmItems, UnmeasuredSpeedAndUnknownWidthAreNotInvented) {
    KvmFacts facts = good_facts();
    facts.speed.reset();
    facts.address_bits = 0;
    const Items items = kvm_items(facts);
    expect_well_formed(items);
    for (const CheckItem& item : items) {
        EXPECT_NE(item.name, "KVM execution");
    }
    EXPECT_TRUE(contains(item_named(items, "guest addresses").found, "unknown"));
}

TEST(GatherKvmFacts, AnOrdinaryFileIsNotAKvmDevice) {
    const cxlvm::test::FakeTree tree;
    tree.add_file("/dev/kvm");
    const KvmFacts facts = gather_kvm_facts(tree.root() + "/dev/kvm", true);
    EXPECT_EQ(facts.open_error, 0);
    EXPECT_EQ(facts.api_version, -1);
    EXPECT_FALSE(facts.speed);
}

TEST(GatherKvmFacts, AnAbsentDeviceIsAnErrno) {
    const cxlvm::test::FakeTree tree;
    EXPECT_EQ(gather_kvm_facts(tree.root() + "/dev/kvm", true).open_error, ENOENT);
}

TEST(ClassifySpeed, TellsTensOfNanosecondsFromHundreds) {
    EXPECT_EQ(classify_speed(0), KvmSpeed::Kind::Hardware);
    EXPECT_EQ(classify_speed(0.3), KvmSpeed::Kind::Hardware);
    EXPECT_EQ(classify_speed(20), KvmSpeed::Kind::Hardware);
    EXPECT_EQ(classify_speed(200), KvmSpeed::Kind::Interpreting);
    EXPECT_EQ(classify_speed(1400), KvmSpeed::Kind::Interpreting);
}

TEST(MeasureKvmSpeed, OfWhatIsNotKvmIsAbsentAndSaysWhy) {
    const cxlvm::test::FakeTree tree;
    KvmSpeed speed = measure_kvm_speed(tree.root() + "/dev/kvm");
    EXPECT_EQ(speed.kind, KvmSpeed::Kind::Absent);
    EXPECT_TRUE(contains(speed.error, "/dev/kvm"));
    tree.add_file("/dev/kvm");
    speed = measure_kvm_speed(tree.root() + "/dev/kvm");
    EXPECT_EQ(speed.kind, KvmSpeed::Kind::Absent);
    EXPECT_TRUE(contains(speed.error, "not a KVM device"));
}

}  // namespace
}  // namespace cxlvm::host_check
