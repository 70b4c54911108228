// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/memory_slots.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <vector>

#include "io/mapping.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm {
namespace {

constexpr std::uint64_t kPage = 4096;

class MemorySlotsTest : public test::KvmTest {
  protected:
    void SetUp() override {
        KvmTest::SetUp();
        if (!IsSkipped()) {
            kvm_.emplace("/dev/kvm");
            vm_.emplace(*kvm_);
            slots_.emplace(*kvm_, *vm_);
        }
    }
    MemoryView view(std::uint64_t base, bool read_only = false) {
        return {.range = *GpaRange::of(Gpa(base), kPage),
                .host = memory_.bytes(),
                .read_only = read_only};
    }

    io::Mapping memory_{
        {.size = kPage, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS},
        "test memory"};
    std::optional<Kvm> kvm_;
    std::optional<KvmVm> vm_;
    std::optional<MemorySlots> slots_;
};

TEST_F(MemorySlotsTest, EachRegionTakesASlotAndGivesItBack) {
    EXPECT_FALSE(slots_->mapped(view(0x10000)));
    EXPECT_FALSE(slots_->mapped(view(0x20000)));
    EXPECT_EQ(slots_->in_use(), 2u);
    slots_->unmapped(view(0x10000));
    EXPECT_EQ(slots_->in_use(), 1u);
    slots_->unmapped(view(0x20000));
    EXPECT_EQ(slots_->in_use(), 0u);
}

TEST_F(MemorySlotsTest, WhenAllSlotsAreTakenTheNextRegionIsRefusedUntilOneIsFree) {
    for (std::size_t i = 0; i < slots_->capacity(); ++i) {
        ASSERT_FALSE(slots_->mapped(view(0x100000 + i * kPage))) << i;
    }
    EXPECT_EQ(slots_->mapped(view(0x10000)), std::errc::no_space_on_device);
    slots_->unmapped(view(0x100000 + 7 * kPage));
    EXPECT_FALSE(slots_->mapped(view(0x10000)));
    EXPECT_EQ(slots_->in_use(), slots_->capacity());
}

TEST_F(MemorySlotsTest, WhatKvmRefusesTakesNoSlot) {
    EXPECT_FALSE(slots_->mapped(view(0x10000)));
    EXPECT_EQ(slots_->mapped(view(0x10000)), std::errc::file_exists);
    EXPECT_EQ(slots_->in_use(), 1u);
}

TEST_F(MemorySlotsTest, ReadOnlyMemoryTurnsAWriteIntoAnExit) {
    // mov ax, 0xc000; mov ds, ax; mov byte [5], 0x42; mov al, [5]; out 0x80, al; jmp $
    test::MiniMachine machine{0xb8, 0x00, 0xc0, 0x8e, 0xd8, 0xc6, 0x06, 0x05, 0x00,
                              0x42, 0xa0, 0x05, 0x00, 0xe6, 0x80, 0xeb, 0xfe};
    memory_.bytes()[5] = std::byte{0x17};
    machine.memory.unmap(machine.low_ram);
    Region below("below", {.host = machine.ram.blocks()[0].host.first(0xc0000), .ram = true});
    Region rom("rom", {.host = memory_.bytes(), .read_only = true});
    ASSERT_FALSE(machine.memory.map(below, 0));
    ASSERT_FALSE(machine.memory.map(rom, 0xc0000));
    machine.run_to_port_access(1);
    EXPECT_EQ(machine.port_device.accesses().at(0).data.at(0), 0x17);
    EXPECT_EQ(memory_.bytes()[5], std::byte{0x17});
    EXPECT_EQ((*machine.vcpus)[0].counters().mmio.load(), 1u);
    machine.memory.unmap(rom);
    machine.memory.unmap(below);
}

TEST_F(MemorySlotsTest, ARegionThatAppearsWhileTheGuestRunsIsReachedWithoutAnExit) {
    // again: mov ax, 0xd000; mov ds, ax; mov al, [0x10]; out 0x80, al; jmp again
    test::MiniMachine machine{0xb8, 0x00, 0xd0, 0x8e, 0xd8, 0xa0,
                              0x10, 0x00, 0xe6, 0x80, 0xeb, 0xf4};
    memory_.bytes()[0x10] = std::byte{0x99};
    Region region("bar", {.host = memory_.bytes()});
    machine.vcpus->start();
    ASSERT_TRUE(test::eventually([&] { return machine.port_device.count() > 2; }));
    machine.memory.unmap(machine.mmio_region);
    ASSERT_FALSE(machine.memory.map(region, test::kTestMmio));
    EXPECT_TRUE(
        test::eventually([&] { return machine.port_device.accesses().back().data.at(0) == 0x99; }));
    machine.memory.unmap(region);
    // Nothing is there now.
    EXPECT_TRUE(
        test::eventually([&] { return machine.port_device.accesses().back().data.at(0) == 0xff; }));
    machine.vcpus->stop();
    machine.vcpus->join();
}

}  // namespace
}  // namespace cxlvm
