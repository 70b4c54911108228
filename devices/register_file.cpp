// SPDX-License-Identifier: Apache-2.0
#include "devices/register_file.hpp"

#include <algorithm>
#include <concepts>

#include "io/error.hpp"

namespace cxlvm {

namespace {

[[nodiscard]] constexpr std::byte lane(std::uint64_t value, std::size_t byte) noexcept {
    return static_cast<std::byte>(value >> (8 * byte));
}

/// Whether `value` has no bit beyond `width` bytes.
[[nodiscard]] constexpr bool fits(std::uint64_t value, std::size_t width) noexcept {
    return width == 8 || (value >> (8 * width)) == 0;
}

template <std::unsigned_integral T>
[[nodiscard]] T load(const std::vector<std::byte>& bytes, std::size_t offset) noexcept {
    io::check(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset,
              "RegisterFile: a device reads outside its own registers");
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        value |= std::to_integer<std::uint64_t>(bytes[offset + i]) << (8 * i);
    }
    return static_cast<T>(value);
}

template <std::unsigned_integral T>
void store(std::vector<std::byte>& bytes, std::size_t offset, T value) noexcept {
    io::check(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset,
              "RegisterFile: a device writes outside its own registers");
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        bytes[offset + i] = lane(value, i);
    }
}

}  // namespace

RegisterFile::RegisterFile(std::size_t size, std::span<const RegisterSpec> table)
    : value_(size), reset_(size), writable_(size), w1c_(size), covered_(size) {
    for (const RegisterSpec& spec : table) {
        add(spec);
    }
}

void RegisterFile::add(const RegisterSpec& spec) {
    const std::size_t width = spec.width;
    io::check(width == 1 || width == 2 || width == 4 || width == 8,
              "RegisterFile: a register is 1, 2, 4 or 8 bytes wide");
    io::check(spec.offset <= size() && width <= size() - spec.offset,
              "RegisterFile: a register leaves its block");
    io::check(fits(spec.reset, width) && fits(spec.writable, width) && fits(spec.w1c, width),
              "RegisterFile: a register's bits exceed its width");
    io::check((spec.writable & spec.w1c) == 0,
              "RegisterFile: a bit is both writable and write-1-to-clear");
    for (std::size_t i = 0; i < width; ++i) {
        const std::size_t at = spec.offset + i;
        io::check(!covered_[at], "RegisterFile: two registers overlap");
        covered_[at] = true;
        value_[at] = lane(spec.reset, i);
        reset_[at] = lane(spec.reset, i);
        writable_[at] = lane(spec.writable, i);
        w1c_[at] = lane(spec.w1c, i);
    }
}

IoStatus RegisterFile::read(std::uint64_t offset, std::span<std::byte> data) const noexcept {
    if (offset > size() || data.size() > size() - offset) {
        return IoStatus::BadSize;
    }
    std::copy_n(value_.begin() + static_cast<std::ptrdiff_t>(offset), data.size(), data.begin());
    return IoStatus::Ok;
}

IoStatus RegisterFile::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (offset > size() || data.size() > size() - offset) {
        return IoStatus::BadSize;
    }
    for (std::size_t i = 0; i < data.size(); ++i) {
        const std::size_t at = offset + i;
        std::byte value = (value_[at] & ~writable_[at]) | (data[i] & writable_[at]);
        value &= ~(data[i] & w1c_[at]);
        value_[at] = value;
    }
    return IoStatus::Ok;
}

std::uint8_t RegisterFile::get8(std::size_t offset) const noexcept {
    return load<std::uint8_t>(value_, offset);
}
std::uint16_t RegisterFile::get16(std::size_t offset) const noexcept {
    return load<std::uint16_t>(value_, offset);
}
std::uint32_t RegisterFile::get32(std::size_t offset) const noexcept {
    return load<std::uint32_t>(value_, offset);
}
std::uint64_t RegisterFile::get64(std::size_t offset) const noexcept {
    return load<std::uint64_t>(value_, offset);
}
void RegisterFile::set8(std::size_t offset, std::uint8_t value) noexcept {
    store(value_, offset, value);
}
void RegisterFile::set16(std::size_t offset, std::uint16_t value) noexcept {
    store(value_, offset, value);
}
void RegisterFile::set32(std::size_t offset, std::uint32_t value) noexcept {
    store(value_, offset, value);
}
void RegisterFile::set64(std::size_t offset, std::uint64_t value) noexcept {
    store(value_, offset, value);
}

void RegisterFile::preset8(std::size_t offset, std::uint8_t value) noexcept {
    store(value_, offset, value);
    store(reset_, offset, value);
}
void RegisterFile::preset16(std::size_t offset, std::uint16_t value) noexcept {
    store(value_, offset, value);
    store(reset_, offset, value);
}

void RegisterFile::reset() noexcept {
    std::copy(reset_.begin(), reset_.end(), value_.begin());
}

}  // namespace cxlvm
