// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_space.hpp"

#include <array>

#include "devices/pci/spec_bridge.hpp"
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
constexpr auto kBridgeControlWritable =
    mask_of<std::uint16_t>(kBridgeParityResponse, kBridgeSerr, kBridgeSecondaryReset);

[[nodiscard]] constexpr std::uint32_t at(ConfigOffset offset) noexcept {
    return io::to_underlying(offset);
}
[[nodiscard]] constexpr std::uint32_t at(BridgeOffset offset) noexcept {
    return io::to_underlying(offset);
}

/// What both headers have (7.5.1.1). What is not listed reads as zero: latency timer (fixed at
/// zero, 7.5.1.1.7), BIST, and the base addresses of a function without resources.
[[nodiscard]] auto common_header(const Identity& id, HeaderType type) {
    // clang-format off
    return std::array{
        RegisterSpec{.offset = at(ConfigOffset::VendorId), .width = 2, .reset = id.vendor_id},
        RegisterSpec{.offset = at(ConfigOffset::DeviceId), .width = 2, .reset = id.device_id},
        RegisterSpec{.offset = at(ConfigOffset::Command), .width = 2,
                     .writable = kCommandWritable},
        RegisterSpec{.offset = at(ConfigOffset::Status), .width = 2, .w1c = kStatusW1c},
        RegisterSpec{.offset = at(ConfigOffset::RevisionId), .width = 1, .reset = id.revision},
        RegisterSpec{.offset = at(ConfigOffset::ClassCode), .width = 1,
                     .reset = id.class_code & 0xff},
        RegisterSpec{.offset = at(ConfigOffset::ClassCode) + 1U, .width = 2,
                     .reset = id.class_code >> 8},
        RegisterSpec{.offset = at(ConfigOffset::CacheLineSize), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = at(ConfigOffset::HeaderType), .width = 1,
                     .reset = io::to_underlying(type)},
        RegisterSpec{.offset = at(ConfigOffset::CapabilitiesPointer), .width = 1},
        RegisterSpec{.offset = at(ConfigOffset::InterruptLine), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = at(ConfigOffset::InterruptPin), .width = 1,
                     .reset = id.interrupt_pin},
    };
    // clang-format on
}

[[nodiscard]] auto type0_header(const Identity& id) {
    return std::array{
        RegisterSpec{.offset = at(ConfigOffset::SubsystemVendorId),
                     .width = 2,
                     .reset = id.subsystem_vendor_id},
        RegisterSpec{.offset = at(ConfigOffset::SubsystemId), .width = 2, .reset = id.subsystem_id},
    };
}

/// 7.5.1.3. What is not listed reads as zero: there is no I/O window (7.5.1.3.6) and no VGA. The
/// standard leaves the reset values of the windows open; here they are closed, base above limit.
[[nodiscard]] auto type1_header() {
    constexpr std::uint64_t kClosed = mask_of<std::uint16_t>(kWindowAddress);
    constexpr std::uint64_t kWide = Register<std::uint16_t>{}.with(kWindow64Bit, true).raw;
    // clang-format off
    return std::array{
        RegisterSpec{.offset = at(BridgeOffset::PrimaryBus), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = at(BridgeOffset::SecondaryBus), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = at(BridgeOffset::SubordinateBus), .width = 1, .writable = 0xff},
        RegisterSpec{.offset = at(BridgeOffset::SecondaryStatus), .width = 2, .w1c = kStatusW1c},
        RegisterSpec{.offset = at(BridgeOffset::MemoryBase), .width = 2,
                     .reset = kClosed, .writable = kClosed},
        RegisterSpec{.offset = at(BridgeOffset::MemoryLimit), .width = 2, .writable = kClosed},
        RegisterSpec{.offset = at(BridgeOffset::PrefetchableBase), .width = 2,
                     .reset = kClosed | kWide, .writable = kClosed},
        RegisterSpec{.offset = at(BridgeOffset::PrefetchableLimit), .width = 2,
                     .reset = kWide, .writable = kClosed},
        RegisterSpec{.offset = at(BridgeOffset::PrefetchableBaseUpper), .width = 4,
                     .writable = 0xffff'ffff},
        RegisterSpec{.offset = at(BridgeOffset::PrefetchableLimitUpper), .width = 4,
                     .writable = 0xffff'ffff},
        RegisterSpec{.offset = at(BridgeOffset::BridgeControl), .width = 2,
                     .writable = kBridgeControlWritable},
    };
    // clang-format on
}

}  // namespace

ConfigSpace::ConfigSpace(const Identity& identity, HeaderType type)
    : registers_(kConfigSpaceSize, common_header(identity, type)),
      bar_count_(type == HeaderType::Bridge ? kBridgeBarCount : kBarCount) {
    const auto add = [&](std::span<const RegisterSpec> table) {
        for (const RegisterSpec& spec : table) {
            registers_.add(spec);
        }
    };
    if (type == HeaderType::Bridge) {
        add(type1_header());
    } else {
        add(type0_header(identity));
    }
}

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

    if (id == kCapabilityPowerManagement) {
        power_control_ = offset + io::to_underlying(PowerManagementOffset::Control);
    }
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

std::uint16_t ConfigSpace::link_settings() const noexcept {
    return registers_.get16(express_ + io::to_underlying(ExpressOffset::LinkControl));
}

void ConfigSpace::set_link_settings(std::uint16_t settings) noexcept {
    registers_.set16(express_ + io::to_underlying(ExpressOffset::LinkControl), settings);
}

void ConfigSpace::note_function_reset() noexcept {
    if (express_ == 0) {
        return;
    }
    const std::size_t offset = express_ + io::to_underlying(ExpressOffset::DeviceControl);
    const Register<std::uint16_t> control{registers_.get16(offset)};
    if (control.get(kDeviceInitiateFunctionReset)) {
        registers_.set16(offset, control.with(kDeviceInitiateFunctionReset, false).raw);
        function_reset_ = true;
    }
}

IoStatus ConfigSpace::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    const PowerState before = power_control().get(kPowerState);
    if (const IoStatus status = registers_.write(offset, data); status != IoStatus::Ok) {
        return status;
    }
    // A state that is not supported is not taken (7.5.2.2): D1 and D2, of which there is no need.
    const PowerState after = power_control().get(kPowerState);
    if (after == PowerState::D1 || after == PowerState::D2) {
        registers_.set16(power_control_, power_control().with(kPowerState, before).raw);
    }
    note_function_reset();
    return IoStatus::Ok;
}

Register<std::uint16_t> ConfigSpace::command() const noexcept {
    return {registers_.get16(at(ConfigOffset::Command))};
}

Register<std::uint16_t> ConfigSpace::status() const noexcept {
    return {registers_.get16(at(ConfigOffset::Status))};
}

Register<std::uint16_t> ConfigSpace::power_control() const noexcept {
    return {power_control_ != 0 ? registers_.get16(power_control_) : std::uint16_t{0}};
}

bool ConfigSpace::awake() const noexcept {
    return power_control().get(kPowerState) == PowerState::D0;
}

bool ConfigSpace::decodes_memory() const noexcept {
    return awake() && command().get(kCommandMemory);
}

bool ConfigSpace::decodes_ports() const noexcept {
    return awake() && command().get(kCommandIo);
}

bool ConfigSpace::masters_bus() const noexcept {
    return awake() && command().get(kCommandBusMaster);
}

bool ConfigSpace::asserts_pin() const noexcept {
    return awake() && status().get(kStatusInterrupt) && !command().get(kCommandInterruptDisable);
}

}  // namespace cxlvm::pci
