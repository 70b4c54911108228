// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/capabilities.hpp"

#include <array>
#include <initializer_list>
#include <vector>

#include "io/bits.hpp"

namespace cxlvm::pci {

namespace {

constexpr std::uint8_t kLanes = 16;

[[nodiscard]] constexpr std::uint32_t at(ExpressOffset offset) noexcept {
    return io::to_underlying(offset);
}
[[nodiscard]] constexpr std::uint32_t at(PowerManagementOffset offset) noexcept {
    return io::to_underlying(offset);
}

/// One after another: g++ 12 takes it for a write out of bounds when it optimises an insert of all.
void append(std::vector<RegisterSpec>& table, std::initializer_list<RegisterSpec> registers) {
    for (const RegisterSpec& one : registers) {
        table.push_back(one);
    }
}

void add_device_registers(std::vector<RegisterSpec>& table, bool endpoint, bool function_reset) {
    const auto capabilities = Register<std::uint32_t>{}
                                  .with(kDeviceRoleBasedErrors, true)
                                  .with(kDeviceFunctionReset, function_reset);
    // A root port sends no requests of its own, hence has nothing to order or to size.
    const auto control = endpoint ? Register<std::uint16_t>{}
                                        .with(kDeviceRelaxedOrdering, true)
                                        .with(kDeviceNoSnoop, true)
                                        .with(kDeviceReadRequestSize, kReadRequestSize512)
                                  : Register<std::uint16_t>{};
    const auto requests =
        mask_of<std::uint16_t>(kDeviceRelaxedOrdering, kDeviceNoSnoop, kDeviceReadRequestSize);
    const auto order =
        function_reset ? mask_of<std::uint16_t>(kDeviceInitiateFunctionReset) : std::uint16_t{0};
    const auto writable = static_cast<std::uint16_t>(mask_of<std::uint16_t>(kDeviceErrorReporting) |
                                                     (endpoint ? requests : 0U) | order);
    const std::uint32_t timeout = mask_of<std::uint32_t>(kDeviceCompletionTimeoutDisable);
    append(
        table,
        {{.offset = at(ExpressOffset::DeviceCapabilities), .width = 4, .reset = capabilities.raw},
         {.offset = at(ExpressOffset::DeviceControl),
          .width = 2,
          .reset = control.raw,
          .writable = writable},
         {.offset = at(ExpressOffset::DeviceStatus),
          .width = 2,
          .w1c = mask_of<std::uint16_t>(kDeviceErrorsDetected)},
         {.offset = at(ExpressOffset::DeviceCapabilities2), .width = 4, .reset = timeout},
         {.offset = at(ExpressOffset::DeviceControl2), .width = 2, .writable = timeout}});
}

void add_link_registers(std::vector<RegisterSpec>& table, bool root_port, std::uint8_t number) {
    const auto capabilities = Register<std::uint32_t>{}
                                  .with(kLinkSpeed, kLinkSpeed5)
                                  .with(kLinkWidth, kLanes)
                                  .with(kLinkActiveReporting, root_port)
                                  .with(kLinkBandwidthNotification, root_port)
                                  .with(kLinkAspmOptionality, true)
                                  .with(kLinkPortNumber, number);
    const auto both = mask_of<std::uint16_t>(kLinkAspm, kLinkCommonClock, kLinkExtendedSynch);
    const auto of_port = mask_of<std::uint16_t>(kLinkDisable, kLinkBandwidthManagementInterrupt,
                                                kLinkAutonomousBandwidthInterrupt);
    const auto of_endpoint = mask_of<std::uint16_t>(kLinkReadCompletionBoundary);
    const auto status = Register<std::uint16_t>{}
                            .with(kLinkSpeed, kLinkSpeed5)
                            .with(kLinkWidth, kLanes)
                            .with(kLinkSlotClock, true);
    const auto bandwidth =
        mask_of<std::uint16_t>(kLinkBandwidthManagement, kLinkAutonomousBandwidth);
    const auto control2 = mask_of<std::uint16_t>(
        kLinkTargetSpeed, kLinkEnterCompliance, kLinkAutonomousSpeedDisable, kLinkTransmitMargin,
        kLinkModifiedCompliance, kLinkComplianceSos, kLinkComplianceDeEmphasis);
    append(table,
           {{.offset = at(ExpressOffset::LinkCapabilities), .width = 4, .reset = capabilities.raw},
            {.offset = at(ExpressOffset::LinkControl),
             .width = 2,
             .writable = std::uint64_t{both} | (root_port ? of_port : of_endpoint)},
            {.offset = at(ExpressOffset::LinkStatus),
             .width = 2,
             .reset = status.raw,
             .w1c = root_port ? bandwidth : std::uint64_t{0}},
            {.offset = at(ExpressOffset::LinkCapabilities2),
             .width = 4,
             .reset = Register<std::uint32_t>{}.with(kLinkSupportedSpeeds, kLinkSpeedsUpTo5).raw},
            {.offset = at(ExpressOffset::LinkControl2),
             .width = 2,
             .reset = Register<std::uint16_t>{}.with(kLinkTargetSpeed, kLinkSpeed5).raw,
             .writable = control2}});
}

/// A slot without hot-plug: whether something is in it and whether the link is up is all there is
/// to tell.
void add_slot_registers(std::vector<RegisterSpec>& table, std::uint8_t number) {
    const auto capabilities =
        Register<std::uint32_t>{}.with(kSlotNoCommandCompleted, true).with(kSlotNumber, number);
    // There are no indicators; the fields need not be there either, but 00b is reserved (7.5.3.10).
    const auto control = Register<std::uint16_t>{}
                             .with(kSlotAttentionIndicator, kIndicatorOff)
                             .with(kSlotPowerIndicator, kIndicatorOff);
    append(table,
           {{.offset = at(ExpressOffset::SlotCapabilities), .width = 4, .reset = capabilities.raw},
            {.offset = at(ExpressOffset::SlotControl),
             .width = 2,
             .reset = control.raw,
             .writable = mask_of<std::uint16_t>(kSlotAttentionIndicator, kSlotPowerIndicator,
                                                kSlotLinkChangeEnable)},
            {.offset = at(ExpressOffset::SlotStatus),
             .width = 2,
             .w1c = mask_of<std::uint16_t>(kSlotLinkChanged)},
            {.offset = at(ExpressOffset::RootControl),
             .width = 2,
             .writable = mask_of<std::uint16_t>(kRootInterruptEnables)},
            {.offset = at(ExpressOffset::RootStatus),
             .width = 4,
             .w1c = mask_of<std::uint32_t>(kRootPmeStatus)}});
}

[[nodiscard]] std::vector<RegisterSpec> express_registers(PortType type, std::uint8_t number,
                                                          bool function_reset) {
    const bool root_port = type == PortType::RootPort;
    const auto capabilities = Register<std::uint16_t>{}
                                  .with(kExpressVersion, kExpressVersion2)
                                  .with(kExpressPortType, type)
                                  .with(kExpressSlotImplemented, root_port);
    std::vector<RegisterSpec> table{
        {.offset = at(ExpressOffset::Capabilities), .width = 2, .reset = capabilities.raw}};
    add_device_registers(table, !root_port, function_reset);
    if (type != PortType::Integrated) {
        add_link_registers(table, root_port, number);
    }
    if (root_port) {
        add_slot_registers(table, number);
    }
    return table;
}

}  // namespace

void add_power_management(PciFunction& function) {
    const auto capabilities = Register<std::uint16_t>{}.with(kPowerVersion, kPowerVersionExpress);
    const auto control = Register<std::uint16_t>{}.with(kPowerNoSoftReset, true);
    const std::array body = {
        RegisterSpec{.offset = at(PowerManagementOffset::Capabilities),
                     .width = 2,
                     .reset = capabilities.raw},
        RegisterSpec{.offset = at(PowerManagementOffset::Control),
                     .width = 2,
                     .reset = control.raw,
                     .writable = mask_of<std::uint16_t>(kPowerState)},
    };
    function.with_config([&](ConfigSpace& config) {
        config.add_capability(kCapabilityPowerManagement, kPowerManagementSize, body);
    });
}

std::uint16_t add_express(PciFunction& function, PortType type, std::uint8_t number) {
    const std::vector<RegisterSpec> table = express_registers(type, number, false);
    return function.with_config([&](ConfigSpace& config) {
        return config.add_capability(kCapabilityExpress, kExpressSize, table);
    });
}

std::uint16_t add_express_with_reset(PciFunction& function, PortType type) {
    const std::vector<RegisterSpec> table = express_registers(type, 0, true);
    return function.with_config([&](ConfigSpace& config) {
        const std::uint16_t express =
            config.add_capability(kCapabilityExpress, kExpressSize, table);
        config.watch_function_reset(express);
        return express;
    });
}

}  // namespace cxlvm::pci
