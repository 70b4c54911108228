// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "tests/vmm/support/kvm_fixture.hpp"

// A guest that says through its port each interrupt that reaches it.

namespace cxlvm::test {

inline constexpr std::uint8_t kReady = 0x01;
inline constexpr std::uint8_t kInterrupt = 0x55;
inline constexpr std::uint8_t kVector = 0x31;  ///< the one that it listens to

/// In 32-bit mode: switch the local APIC on, send pin 4 to vector 0x31, say so, and halt for ever.
inline constexpr std::array<std::uint8_t, 39> kWaiter = {
    0xc7, 0x05,   0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00,  // mov dword [fee000f0], 1ff
    0xc7, 0x05,   0x00, 0x00, 0xc0, 0xfe, 0x18, 0x00, 0x00, 0x00,  // mov dword [fec00000], 18
    0xc7, 0x05,   0x10, 0x00, 0xc0, 0xfe, 0x31, 0x00, 0x00, 0x00,  // mov dword [fec00010], 31
    0xb0, kReady, 0xe6, 0x80,                                      // mov al, 1; out 0x80, al
    0xfb, 0xf4,   0xeb, 0xfd, 0x90};                               // sti; hlt; jmp back to hlt

/// The handler of vector 0x31: say so, acknowledge, and halt again. It never returns: a KVM that
/// interprets its guest lacks the return from an interrupt in protected mode.
inline constexpr std::array<std::uint8_t, 23> kHandler = {
    0xb0, kInterrupt, 0xe6, 0x80,                                      // mov al, 0x55; out 0x80, al
    0xc7, 0x05,       0xb0, 0x00, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x00,  // mov dword [fee000b0], 0
    0xbc, 0x00,       0x80, 0x00, 0x00,                                // mov esp, 0x8000
    0xfb, 0xf4,       0xeb, 0xfd};                                     // sti; hlt; jmp back to hlt

inline constexpr std::uint64_t kHandlerAddress = 0x1800;

class InterruptedGuestTest : public KvmTest {
  protected:
    void SetUp() override {
        KvmTest::SetUp();
        if (IsSkipped()) {
            return;
        }
        machine_.emplace(std::span<const std::uint8_t>(kWaiter));
        // A 32-bit interrupt gate for selector 8.
        const std::uint64_t gate = 0x0000'8e00'0008'0000 | kHandlerAddress;
        ASSERT_TRUE(machine_->ram.store(Gpa(kIdt + kVector * 8), gate));
        ASSERT_TRUE(machine_->ram.write(Gpa(kHandlerAddress), std::as_bytes(std::span(kHandler))));
        machine_->enter_protected_mode(0, kIdtLimit);
        machine_->vcpus->start();
        ASSERT_TRUE(eventually([&] { return machine_->port_device.count() == 1; }));
    }

    [[nodiscard]] bool interrupts_reach(std::size_t count) {
        return eventually([&] { return machine_->port_device.count() == 1 + count; });
    }

    /// What the guest said last.
    [[nodiscard]] Access last_access() { return machine_->port_device.accesses().back(); }

    std::optional<MiniMachine> machine_;
};

}  // namespace cxlvm::test
