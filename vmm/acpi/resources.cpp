// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/resources.hpp"

#include <concepts>
#include <limits>

#include "io/error.hpp"

namespace cxlvm::acpi::aml {
namespace {

// Small descriptors: tag byte with the length in bits 2:0 (6.4.2). Large ones: tag, 16-bit length
// (6.4.3).
enum Tag : std::uint8_t {
    kIoPort = 0x47,
    kEndTag = 0x79,
    kFixedMemory32 = 0x86,
    kDWordAddressSpace = 0x87,
    kWordAddressSpace = 0x88,
    kExtendedInterrupt = 0x89,
    kQWordAddressSpace = 0x8a,
};

constexpr std::uint8_t kDecode16 = 1U << 0;
constexpr std::uint8_t kReadWrite = 1U << 0;
constexpr std::uint8_t kConsumer = 1U << 0;  // extended interrupt, flags
constexpr std::uint8_t kEdgeTriggered = 1U << 1;
// Address space descriptors (6.4.3.5).
enum Space : std::uint8_t { kMemory = 0, kIo = 1, kBus = 2 };
constexpr std::uint8_t kMinFixed = 1U << 2;
constexpr std::uint8_t kMaxFixed = 1U << 3;
constexpr std::uint8_t kEntireRange = 3;  // type flags of I/O: ISA and non-ISA addresses

/// Appends `value` in little-endian order.
template <std::unsigned_integral T>
void put(Term& term, T value) {
    for (unsigned shift = 0; shift < sizeof(T) * 8; shift += 8) {
        term.append_byte(static_cast<std::uint8_t>(value >> shift));
    }
}

/// QWord, DWord and Word descriptors differ in the width of their numbers alone.
template <std::unsigned_integral T>
Term window(Tag tag, Space space, std::uint8_t type_flags, T first, T last) {
    constexpr std::uint16_t kLength = 3 + 5 * sizeof(T);
    Term term;
    put(term, std::uint8_t{tag});
    put(term, kLength);
    put(term, std::uint8_t{space});
    put(term, static_cast<std::uint8_t>(kMinFixed | kMaxFixed));  // a producer, positive decode
    put(term, type_flags);
    put(term, T{0});  // granularity: every address bit is decoded
    put(term, first);
    put(term, last);
    put(term, T{0});  // no translation
    put(term, static_cast<T>(last - first + 1));
    return term;
}

}  // namespace

Term resource_template(Terms descriptors) {
    Term content(descriptors);
    content.append_byte(kEndTag).append_byte(0);  // 0: no checksum, taken as correct (6.4.2.9)
    return buffer(content.bytes());
}

Term io_ports(std::uint16_t base, std::uint8_t length) {
    Term term;
    put(term, std::uint8_t{kIoPort});
    put(term, kDecode16);
    put(term, base);  // lowest and highest place
    put(term, base);
    put(term, std::uint8_t{1});  // alignment
    put(term, length);
    return term;
}

Term fixed_memory(std::uint32_t base, std::uint32_t length) {
    Term term;
    put(term, std::uint8_t{kFixedMemory32});
    put(term, std::uint16_t{9});
    put(term, kReadWrite);
    put(term, base);
    put(term, length);
    return term;
}

Term edge_interrupt(std::uint32_t gsi) {
    Term term;
    put(term, std::uint8_t{kExtendedInterrupt});
    put(term, std::uint16_t{6});
    put(term, static_cast<std::uint8_t>(kConsumer | kEdgeTriggered));
    put(term, std::uint8_t{1});
    put(term, gsi);
    return term;
}

Term bus_window(std::uint16_t first, std::uint16_t last) {
    return window(kWordAddressSpace, kBus, 0, first, last);
}

Term io_window(std::uint16_t first, std::uint16_t last) {
    return window(kWordAddressSpace, kIo, kEntireRange, first, last);
}

Term memory_window_32(GpaRange range) {
    io::check(range.last().value() <= std::numeric_limits<std::uint32_t>::max(),
              "the 32-bit PCI window lies above 4 GiB");
    return window(kDWordAddressSpace, kMemory, kReadWrite,
                  static_cast<std::uint32_t>(range.base().value()),
                  static_cast<std::uint32_t>(range.last().value()));
}

Term memory_window_64(GpaRange range) {
    return window(kQWordAddressSpace, kMemory, kReadWrite, range.base().value(),
                  range.last().value());
}

}  // namespace cxlvm::acpi::aml
