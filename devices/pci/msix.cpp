// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msix.hpp"

#include <array>
#include <vector>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::pci {

namespace {

constexpr auto kControlWritable = mask_of<std::uint16_t>(kMsixFunctionMask, kMsixEnable);

[[nodiscard]] auto capability(std::size_t vectors, const MsixPlace& place) noexcept {
    const auto control =
        Register<std::uint16_t>{}.with(kMsixTableSize, static_cast<std::uint16_t>(vectors - 1));
    return std::array{
        RegisterSpec{.offset = io::to_underlying(MsixOffset::Control),
                     .width = 2,
                     .reset = control.raw,
                     .writable = kControlWritable},
        RegisterSpec{.offset = io::to_underlying(MsixOffset::Table),
                     .width = 4,
                     .reset = place.table_offset | place.table_bar},
        RegisterSpec{.offset = io::to_underlying(MsixOffset::Pba),
                     .width = 4,
                     .reset = place.pba_offset | place.pba_bar},
    };
}

[[nodiscard]] constexpr std::uint32_t entry(unsigned vector, MsixEntryOffset offset) noexcept {
    return vector * kMsixEntrySize + io::to_underlying(offset);
}

[[nodiscard]] std::vector<RegisterSpec> table_of(std::size_t vectors) {
    std::vector<RegisterSpec> table;
    table.reserve(4 * vectors);
    for (unsigned i = 0; i < vectors; ++i) {
        table.push_back({.offset = entry(i, MsixEntryOffset::Address),
                         .width = 4,
                         .writable = mask_of<std::uint32_t>(kMessageAddress)});
        table.push_back({.offset = entry(i, MsixEntryOffset::AddressHigh),
                         .width = 4,
                         .writable = 0xffff'ffff});
        table.push_back(
            {.offset = entry(i, MsixEntryOffset::Data), .width = 4, .writable = 0xffff'ffff});
        table.push_back({.offset = entry(i, MsixEntryOffset::Control),
                         .width = 4,
                         .reset = mask_of<std::uint32_t>(kMsixVectorMask),
                         .writable = mask_of<std::uint32_t>(kMsixVectorMask)});
    }
    return table;
}

[[nodiscard]] IoStatus check_structure_access(std::uint64_t offset, std::size_t size) noexcept {
    if (size != 4 && size != 8) {
        return IoStatus::BadSize;
    }
    return io::is_aligned<std::uint64_t>(offset, size) ? IoStatus::Ok : IoStatus::BadAlign;
}

}  // namespace

Msix::Msix(PciFunction& function, std::span<MsiVector* const> vectors, const MsixPlace& place)
    : function_(function),
      delivery_(*this, vectors),
      entries_(table_size(vectors.size()), table_of(vectors.size())),
      pending_(pba_size(vectors.size()), {}) {
    io::check(!vectors.empty() && vectors.size() <= kMsixMaximumVectors,
              "Msix: the number of vectors is not within 1 and 2048");
    io::check(place.table_bar < kBarCount && place.pba_bar < kBarCount &&
                  io::is_aligned(place.table_offset | place.pba_offset, kMsixPlaceAlignment),
              "Msix: the structures are in no BAR, or not at multiples of 8");
    offset_ = function.with_config([&](ConfigSpace& config) {
        return config.add_capability(kCapabilityMsix, kMsixSize, capability(vectors.size(), place));
    });
    function.add_part(*this);
}

Msix::Control Msix::control() noexcept {
    const bool passes = function_.reaches_memory();
    return function_.with_config([&](const ConfigSpace& config) {
        const Register<std::uint16_t> control{
            config.registers().get16(offset_ + io::to_underlying(MsixOffset::Control))};
        const bool enabled = control.get(kMsixEnable);
        return Control{
            .enabled = enabled,
            .sends = enabled && !control.get(kMsixFunctionMask) && passes && config.masters_bus()};
    });
}

// Control and entry are read one after the other: whoever changes one of them in between settles
// the vector afterwards.
std::optional<MsiMessage> Msix::message(unsigned vector) noexcept {
    if (!control().sends) {
        return std::nullopt;
    }
    const io::MutexLock lock(mutex_);
    const Register<std::uint32_t> vector_control{
        entries_.get32(entry(vector, MsixEntryOffset::Control))};
    if (vector_control.get(kMsixVectorMask)) {
        return std::nullopt;
    }
    return MsiMessage{.address = entries_.get64(entry(vector, MsixEntryOffset::Address)),
                      .data = entries_.get32(entry(vector, MsixEntryOffset::Data))};
}

void Msix::set_pending(unsigned vector) noexcept {
    const io::MutexLock lock(mutex_);
    const unsigned byte = vector / 8;
    pending_.set8(byte, static_cast<std::uint8_t>(pending_.get8(byte) | 1U << vector % 8));
}

bool Msix::take_pending(unsigned vector) noexcept {
    const io::MutexLock lock(mutex_);
    const unsigned byte = vector / 8;
    const unsigned bit = 1U << vector % 8;
    const std::uint8_t bits = pending_.get8(byte);
    pending_.set8(byte, static_cast<std::uint8_t>(bits & ~bit));
    return (bits & bit) != 0;
}

bool Msix::raise(unsigned vector) noexcept {
    if (!control().enabled) {
        return false;
    }
    if (vector < delivery_.count()) {
        delivery_.raise(vector);
    }
    return true;
}

void Msix::config_written() noexcept {
    const io::MutexLock lock(order_);
    const Control now = control();
    if (now != settled_) {
        settled_ = now;
        delivery_.settle_all();
    }
}

void Msix::config_reset() noexcept {
    {
        const io::MutexLock lock(mutex_);
        entries_.reset();
        pending_.reset();
    }
    const io::MutexLock lock(order_);
    settled_ = control();
    delivery_.settle_all();
}

IoStatus Msix::Table::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (const IoStatus status = check_structure_access(offset, data.size());
        status != IoStatus::Ok) {
        return status;
    }
    const io::MutexLock lock(msix_.mutex_);
    return msix_.entries_.read(offset, data);
}

IoStatus Msix::Table::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (const IoStatus status = check_structure_access(offset, data.size());
        status != IoStatus::Ok) {
        return status;
    }
    {
        const io::MutexLock lock(msix_.mutex_);
        if (const IoStatus status = msix_.entries_.write(offset, data); status != IoStatus::Ok) {
            return status;
        }
    }
    msix_.delivery_.settle(static_cast<unsigned>(offset / kMsixEntrySize));
    return IoStatus::Ok;
}

IoStatus Msix::Pba::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (const IoStatus status = check_structure_access(offset, data.size());
        status != IoStatus::Ok) {
        return status;
    }
    const io::MutexLock lock(msix_.mutex_);
    return msix_.pending_.read(offset, data);
}

IoStatus Msix::Pba::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (const IoStatus status = check_structure_access(offset, data.size());
        status != IoStatus::Ok) {
        return status;
    }
    const io::MutexLock lock(msix_.mutex_);
    return msix_.pending_.write(offset, data);  // no bit is writable
}

}  // namespace cxlvm::pci
