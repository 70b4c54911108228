// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/table.hpp"

#include <utility>

#include "io/error.hpp"

namespace cxlvm::acpi {
namespace {

constexpr std::size_t kLengthOffset = 4;
constexpr std::size_t kChecksumOffset = 9;

}  // namespace

std::uint8_t byte_sum(std::span<const std::byte> bytes) noexcept {
    std::uint8_t sum = 0;
    for (const std::byte byte : bytes) {
        sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(byte));
    }
    return sum;
}

Writer& Writer::text(std::string_view characters) {
    for (const char c : characters) {
        bytes_.push_back(static_cast<std::byte>(c));
    }
    return *this;
}

Writer& Writer::bytes(std::span<const std::uint8_t> bytes) {
    const auto raw = std::as_bytes(bytes);
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
    return *this;
}

Writer& Writer::zeros(std::size_t count) {
    bytes_.insert(bytes_.end(), count, std::byte{0});
    return *this;
}

Writer& Writer::io_register(std::uint16_t port) {
    return put(std::uint8_t{1})  // system I/O space
        .put(std::uint8_t{8})    // bits
        .put(std::uint8_t{0})    // bit offset
        .put(std::uint8_t{1})    // accessed by bytes
        .put(std::uint64_t{port});
}

Table::Table(std::string_view signature, std::uint8_t revision) {
    io::check(signature.size() == kLengthOffset, "an ACPI signature has four characters");
    text(signature).put(std::uint32_t{0});  // length
    put(revision).put(std::uint8_t{0});     // checksum
    text(kOemId).text(kOemTableId).put(std::uint32_t{1});
    text("CXLV").put(std::uint32_t{1});  // creator and its revision
}

TableBytes Table::finish() && {
    const auto length = static_cast<std::uint32_t>(bytes_.size());
    for (unsigned i = 0; i < sizeof(length); ++i) {
        bytes_[kLengthOffset + i] = static_cast<std::byte>(length >> (8 * i));
    }
    bytes_[kChecksumOffset] = static_cast<std::byte>(-byte_sum(bytes_));
    return std::move(bytes_);
}

}  // namespace cxlvm::acpi
