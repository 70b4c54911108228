// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_space.hpp"

#include <array>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::pci {

namespace {

constexpr auto kCommandWritable =
    mask_of<std::uint16_t>(kCommandIo, kCommandMemory, kCommandBusMaster, kCommandParityResponse,
                           kCommandSerr, kCommandInterruptDisable);
constexpr auto kStatusW1c = mask_of<std::uint16_t>(
    kStatusMasterDataParityError, kStatusSignaledTargetAbort, kStatusReceivedTargetAbort,
    kStatusReceivedMasterAbort, kStatusSignaledSystemError, kStatusDetectedParityError);

/// The type 0 header. What is not listed reads as zero: latency timer (fixed at zero, 7.5.1.1.7),
/// BIST, and the base addresses of a function without resources.
[[nodiscard]] auto type0_header(const Identity& id) {
    constexpr auto kAt = [](ConfigOffset offset) { return io::to_underlying(offset); };
    // clang-format off
    return std::array{
        RegisterSpec{.offset = kAt(ConfigOffset::VendorId), .width = 2, .reset = id.vendor_id},
        RegisterSpec{.offset = kAt(ConfigOffset::DeviceId), .width = 2, .reset = id.device_id},
        RegisterSpec{.offset = kAt(ConfigOffset::Command), .width = 2,
                     .writable = kCommandWritable},
        RegisterSpec{.offset = kAt(ConfigOffset::Status), .width = 2, .w1c = kStatusW1c},
        RegisterSpec{.offset = kAt(ConfigOffset::RevisionId), .width = 1, .reset = id.revision},
        RegisterSpec{.offset = kAt(ConfigOffset::ClassCode), .width = 1,
                     .reset = id.class_code & 0xff},
        RegisterSpec{.offset = kAt(ConfigOffset::ClassCode) + 1U, .width = 2,
                     .reset = id.class_code >> 8},
        RegisterSpec{.offset = kAt(ConfigOffset::CacheLineSize), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = kAt(ConfigOffset::HeaderType), .width = 1},
        RegisterSpec{.offset = kAt(ConfigOffset::SubsystemVendorId), .width = 2,
                     .reset = id.subsystem_vendor_id},
        RegisterSpec{.offset = kAt(ConfigOffset::SubsystemId), .width = 2,
                     .reset = id.subsystem_id},
        RegisterSpec{.offset = kAt(ConfigOffset::CapabilitiesPointer), .width = 1},
        RegisterSpec{.offset = kAt(ConfigOffset::InterruptLine), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = kAt(ConfigOffset::InterruptPin), .width = 1,
                     .reset = id.interrupt_pin},
    };
    // clang-format on
}

}  // namespace

ConfigSpace::ConfigSpace(const Identity& identity)
    : registers_(kConfigSpaceSize, type0_header(identity)) {}

std::uint16_t ConfigSpace::place(Chain& chain, std::uint16_t size, std::uint16_t header,
                                 std::span<const RegisterSpec> body) {
    io::check(size >= header && size <= chain.end - chain.next,
              "ConfigSpace: a capability does not fit");
    const std::uint16_t offset = chain.next;
    for (RegisterSpec spec : body) {
        io::check(spec.offset >= header && spec.offset < size && spec.width <= size - spec.offset,
                  "ConfigSpace: a register leaves its capability");
        spec.offset += offset;
        registers_.add(spec);
    }
    chain.next = static_cast<std::uint16_t>(io::align_up<std::uint32_t>(offset + size, 4U));
    chain.last = offset;
    return offset;
}

std::uint16_t ConfigSpace::add_capability(std::uint8_t id, std::uint16_t size,
                                          std::span<const RegisterSpec> body) {
    const std::uint16_t previous = capabilities_.last;
    const std::uint16_t offset = place(capabilities_, size, kCapabilityHeaderSize, body);
    registers_.add({.offset = offset, .width = 1, .reset = id});
    registers_.add({.offset = offset + 1U, .width = 1});

    const auto link = static_cast<std::uint8_t>(offset);
    if (previous != 0) {
        registers_.preset8(previous + 1U, link);
    } else {
        registers_.preset16(io::to_underlying(ConfigOffset::Status),
                            status().with(kStatusCapabilities, true).raw);
        registers_.preset8(io::to_underlying(ConfigOffset::CapabilitiesPointer), link);
    }
    return offset;
}

std::uint16_t ConfigSpace::add_extended_capability(std::uint16_t id, std::uint8_t version,
                                                   std::uint16_t size,
                                                   std::span<const RegisterSpec> body) {
    const std::uint16_t previous = extended_.last;
    const std::uint16_t offset = place(extended_, size, kExtendedCapabilityHeaderSize, body);
    const auto header = Register<std::uint32_t>{}
                            .with(kExtendedCapabilityId, id)
                            .with(kExtendedCapabilityVersion, version);
    registers_.add({.offset = offset, .width = 4, .reset = header.raw});
    if (previous != 0) {
        const Register<std::uint32_t> linked =
            Register<std::uint32_t>{registers_.get32(previous)}.with(kExtendedCapabilityNext,
                                                                     offset);
        registers_.preset16(previous + 2U, static_cast<std::uint16_t>(linked.raw >> 16));
    }
    return offset;
}

Register<std::uint16_t> ConfigSpace::command() const noexcept {
    return {registers_.get16(io::to_underlying(ConfigOffset::Command))};
}

Register<std::uint16_t> ConfigSpace::status() const noexcept {
    return {registers_.get16(io::to_underlying(ConfigOffset::Status))};
}

bool ConfigSpace::decodes_memory() const noexcept {
    return command().get(kCommandMemory);
}

bool ConfigSpace::masters_bus() const noexcept {
    return command().get(kCommandBusMaster);
}

bool ConfigSpace::asserts_pin() const noexcept {
    return status().get(kStatusInterrupt) && !command().get(kCommandInterruptDisable);
}

}  // namespace cxlvm::pci
