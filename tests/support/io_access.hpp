// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "memory/io_handler.hpp"

namespace cxlvm::test {

/// Reads the little-endian value of `size` bytes; nothing on any status but Ok.
inline std::optional<std::uint64_t> read_value(IoHandler& handler, std::uint64_t offset,
                                               std::size_t size) {
    std::array<std::byte, 8> data{};
    if (handler.read(offset, std::span(data).first(size)) != IoStatus::Ok) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
        value |= std::to_integer<std::uint64_t>(data[i]) << (8 * i);
    }
    return value;
}

inline IoStatus write_value(IoHandler& handler, std::uint64_t offset, std::size_t size,
                            std::uint64_t value) {
    std::array<std::byte, 8> data{};
    for (std::size_t i = 0; i < size; ++i) {
        data[i] = static_cast<std::byte>(value >> (8 * i));
    }
    return handler.write(offset, std::span<const std::byte>(data).first(size));
}

inline std::optional<std::uint64_t> read8(IoHandler& handler, std::uint64_t offset) {
    return read_value(handler, offset, 1);
}
inline IoStatus write8(IoHandler& handler, std::uint64_t offset, std::uint64_t value) {
    return write_value(handler, offset, 1, value);
}

/// The status of a read of `size` bytes, which may be any number.
inline IoStatus read_status(IoHandler& handler, std::uint64_t offset, std::size_t size) {
    std::vector<std::byte> data(size);
    return handler.read(offset, data);
}
inline IoStatus write_status(IoHandler& handler, std::uint64_t offset, std::size_t size) {
    const std::vector<std::byte> data(size);
    return handler.write(offset, data);
}

}  // namespace cxlvm::test
