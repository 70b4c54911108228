// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "devices/pci/bar.hpp"
#include "devices/pci/bar_mapper.hpp"
#include "io/log.hpp"
#include "tests/memory/fake_memory.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::pci {

inline constexpr std::uint64_t kCommandOffset = 0x04;
inline constexpr std::uint64_t kBarOffset = 0x10;

/// A function with two BARs: 0 is of 32 bits and trapped; 2 is of 64 bits, prefetchable, and holds
/// a trapped piece in its first page and two pages of memory in its upper half.
class TestFunction final : public PciFunction {
  public:
    static constexpr std::uint64_t kSize0 = 256;
    static constexpr std::uint64_t kSize2 = 4 * test::kPage;
    static constexpr std::uint64_t kMemory = 2 * test::kPage;  ///< offset within BAR 2

    TestFunction(BarMapper& mapper, const io::Mapping& pages)
        : PciFunction("test-function", {.vendor_id = 0x1234, .device_id = 0x5678}),
          memory("memory", Region::Backing{.host = pages.bytes().first(2 * test::kPage)}),
          bars(*this, mapper,
               {{.index = 0, .size = kSize0, .pieces = {{0, whole}}},
                {.index = 2,
                 .kind = BarKind::Memory64,
                 .size = kSize2,
                 .prefetchable = true,
                 .pieces = {{0, doorbell}, {kMemory, memory}}}}) {}

    void decode(bool on) { test::write_value(*this, kCommandOffset, 2, on ? 2 : 0); }
    void move0(std::uint64_t base) { test::write_value(*this, kBarOffset, 4, base); }
    void move2(std::uint64_t base) {
        test::write_value(*this, kBarOffset + 8, 4, base & 0xffff'ffff);
        test::write_value(*this, kBarOffset + 12, 4, base >> 32);
    }
    /// As Linux sizes a BAR of 64 bits: all-ones, read, and back.
    std::uint64_t size2() {
        const std::uint64_t low = *test::read_value(*this, kBarOffset + 8, 4);
        const std::uint64_t high = *test::read_value(*this, kBarOffset + 12, 4);
        move2(~std::uint64_t{0});
        const std::uint64_t mask = *test::read_value(*this, kBarOffset + 8, 4) |
                                   *test::read_value(*this, kBarOffset + 12, 4) << 32;
        move2(low | high << 32);
        return ~(mask & ~std::uint64_t{0xf}) + 1;
    }

    test::FakeHandler handler0;
    test::FakeHandler handler2;
    Region whole{"whole", kSize0, handler0};
    Region doorbell{"doorbell", test::kPage, handler2};
    Region memory;
    Bars bars;
};

class BarTest : public testing::Test {
  protected:
    static constexpr std::uint64_t kLast = (std::uint64_t{1} << 40) - 1;
    static constexpr std::uint64_t kLow = 0x8000'0000;
    static constexpr std::uint64_t kHigh = 0x10'0000'0000;
    static constexpr std::uint64_t kOther = 0x20'0000'0000;

    BarTest() { space_.add_listener(listener_); }
    ~BarTest() override { space_.remove_listener(listener_); }
    BarTest(const BarTest&) = delete;
    BarTest& operator=(const BarTest&) = delete;

    IoStatus touch(std::uint64_t address, std::size_t size = 1) {
        std::vector<std::byte> data(size);
        return space_.read(address, data);
    }
    /// The changes of memory mappings since this was last called.
    std::vector<test::FakeListener::Event> take_events() {
        auto events = listener_.seen();
        listener_.count = 0;
        return events;
    }

    io::Log log_{2, io::LogLevel::Off};
    io::Mapping pages_ = test::anonymous_pages(2);
    io::Mapping other_pages_ = test::anonymous_pages(2);
    AddressSpace space_{16};
    test::FakeListener listener_;
    BarMapper mapper_{space_, Gpa(kLast), log_};
    TestFunction function_{mapper_, pages_};
    TestFunction other_{mapper_, other_pages_};
};

}  // namespace cxlvm::pci
