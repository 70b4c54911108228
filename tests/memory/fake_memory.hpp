// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "io/mapping.hpp"
#include "memory/address_space.hpp"
#include "memory/memory_listener.hpp"

namespace cxlvm::test {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kTop = ~std::uint64_t{0};

inline io::Mapping anonymous_pages(std::size_t count) {
    return {{.size = count * kPage,
             .protection = PROT_READ | PROT_WRITE,
             .flags = MAP_PRIVATE | MAP_ANONYMOUS},
            "test pages"};
}

/// Answers reads with the offset and remembers the last access.
class FakeHandler final : public IoHandler {
  public:
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        ++reads;
        last_offset = offset;
        last_size = data.size();
        std::ranges::fill(data, std::byte{0x5a});
        return status;
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
        ++writes;
        last_offset = offset;
        last_size = data.size();
        return status;
    }

    IoStatus status = IoStatus::Ok;
    int reads = 0;
    int writes = 0;
    std::uint64_t last_offset = 0;
    std::size_t last_size = 0;
};

/// Records what it is told; refuses views whose base is `refuse_base`.
class FakeListener final : public MemoryListener {
  public:
    struct Event {
        bool mapped;
        std::uint64_t base;
        friend bool operator==(const Event&, const Event&) = default;
    };

    std::error_code mapped(const MemoryView& view) noexcept override {
        if (refuses && view.range.base().value() == refuse_base) {
            return std::make_error_code(std::errc::not_enough_memory);
        }
        if (count < events.size()) {
            events[count] = {true, view.range.base().value()};
        }
        ++count;
        last_view = view;
        return {};
    }
    void unmapped(const MemoryView& view) noexcept override {
        if (count < events.size()) {
            events[count] = {false, view.range.base().value()};
        }
        ++count;
        last_view = view;
    }
    [[nodiscard]] std::vector<Event> seen() const {
        return {events.begin(),
                events.begin() + static_cast<std::ptrdiff_t>(std::min(count, events.size()))};
    }

    bool refuses = false;
    std::uint64_t refuse_base = 0;
    std::array<Event, 64> events{};  // no allocation: the tests count them
    std::size_t count = 0;
    MemoryView last_view{.range = *GpaRange::of(Gpa(0), 1), .host = {}};
};

template <typename T>
IoStatus read_value(AddressSpace& space, std::uint64_t address, T& value) {
    return space.read(address, std::as_writable_bytes(std::span(&value, 1)));
}
template <typename T>
IoStatus write_value(AddressSpace& space, std::uint64_t address, T value) {
    return space.write(address, std::as_bytes(std::span(&value, 1)));
}

}  // namespace cxlvm::test
