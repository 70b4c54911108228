// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/register_file.hpp"
#include "memory/io_handler.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::test {

/// Sweeps registers of a specification table through a handler: reset value, writable bits,
/// write-1-to-clear bits, and that all others keep still. `reset` brings the device back before
/// each sweep; registers with side effects on the sweep are left out of the table by the caller.
template <typename Reset>
class RegisterProbe {
  public:
    RegisterProbe(IoHandler& handler, Reset reset) : handler_(handler), reset_(reset) {}

    void sweep(std::span<const RegisterSpec> table) {
        for (const RegisterSpec& spec : table) {
            SCOPED_TRACE(testing::Message() << "register at " << spec.offset);
            reset_();
            ASSERT_EQ(read(spec), spec.reset) << "reset value";
            sweep_whole(spec);
            sweep_bits(spec);
        }
        reset_();
        for (const RegisterSpec& spec : table) {
            EXPECT_EQ(read(spec), spec.reset) << "after the sweep, register " << spec.offset;
        }
    }

  private:
    std::uint64_t read(const RegisterSpec& spec) {
        const auto value = read_value(handler_, spec.offset, spec.width);
        EXPECT_TRUE(value.has_value());
        return value.value_or(0);
    }

    /// Writes `value` and compares with the rule.
    void write(const RegisterSpec& spec, std::uint64_t value) {
        const std::uint64_t before = read(spec);
        const std::uint64_t stored = (before & ~spec.writable) | (value & spec.writable);
        ASSERT_EQ(write_value(handler_, spec.offset, spec.width, value), IoStatus::Ok);
        EXPECT_EQ(read(spec), stored & ~(value & spec.w1c)) << "after writing " << value;
    }

    void sweep_whole(const RegisterSpec& spec) {
        for (const std::uint64_t pattern : {~std::uint64_t{0}, std::uint64_t{0},
                                            0x5555'5555'5555'5555U, 0xaaaa'aaaa'aaaa'aaaaU}) {
            write(spec, pattern);
        }
    }

    void sweep_bits(const RegisterSpec& spec) {
        for (unsigned bit = 0; bit < 8U * spec.width; ++bit) {
            reset_();
            write(spec, std::uint64_t{1} << bit);
            write(spec, ~(std::uint64_t{1} << bit));
        }
    }

    IoHandler& handler_;
    Reset reset_;
};

/// The dwords of a block of `size` bytes that neither `table` nor `others`, offsets of further
/// registers, touches: reserved, they read as zero and take nothing.
[[nodiscard]] inline std::vector<RegisterSpec> reserved_dwords(
    std::span<const RegisterSpec> table, std::span<const std::uint32_t> others, std::size_t size) {
    std::vector<bool> used(size / 4);
    for (const RegisterSpec& spec : table) {
        for (std::uint32_t byte = spec.offset; byte < spec.offset + spec.width; ++byte) {
            used[byte / 4] = true;
        }
    }
    for (const std::uint32_t offset : others) {
        used[offset / 4] = true;
    }
    std::vector<RegisterSpec> rest;
    for (std::uint32_t dword = 0; dword < size / 4; ++dword) {
        if (!used[dword]) {
            rest.push_back({.offset = dword * 4, .width = 4});
        }
    }
    return rest;
}

}  // namespace cxlvm::test
