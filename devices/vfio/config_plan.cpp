// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/config_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <bitset>
#include <cstring>

#include "devices/pci/spec_bridge.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

using pci::ConfigOffset;
using pci::ExpressOffset;

constexpr std::uint16_t kVpdSize = 8;
constexpr std::uint16_t kSubsystemSize = 8;
constexpr std::uint16_t kSataSize = 8;
constexpr std::uint16_t kAdvancedFeaturesSize = 6;
/// Of version 1, which has no second set of registers (PCI Express 1.1, 7.8).
constexpr std::uint16_t kExpress1Size = 0x14;
constexpr std::uint16_t kMsi32Size = 0x0a;
constexpr std::uint16_t kMsi64Size = 0x0e;
constexpr std::uint16_t kMsi32MaskedSize = 0x14;
constexpr std::uint8_t kAllBits = 0xff;
/// Status bits 15:8 are errors that the device has seen and a written 1 clears; bit 3 says that it
/// wants an interrupt.
constexpr std::uint8_t kStatusInterruptBit = 1U << 3;
/// Bits 3:0 of PCI Express Capabilities: its version. Bits 7:4 say where the device is, in the
/// guest.
constexpr std::uint8_t kExpressVersionBits = 0x0f;
/// Bit 28 of Device Capabilities, in its fourth byte: function level reset.
constexpr std::uint8_t kFlrBit = 1U << 4;

class Bytes {
  public:
    explicit Bytes(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    /// 0 outside.
    template <typename T>
    [[nodiscard]] T get(std::size_t offset) const noexcept {
        T value{};
        if (offset <= bytes_.size() && sizeof(T) <= bytes_.size() - offset) {
            std::memcpy(&value, bytes_.data() + offset, sizeof(T));
        }
        return value;
    }
    template <typename T>
    [[nodiscard]] T get(ConfigOffset offset) const noexcept {
        return get<T>(io::to_underlying(offset));
    }

  private:
    std::span<const std::byte> bytes_;
};

/// Bytes of the capability at `at`, as its standard has it; 0 when that is not known.
[[nodiscard]] std::uint16_t size_of(const Bytes& config, std::uint8_t id, std::uint16_t at) {
    switch (id) {
        case pci::kCapabilityPowerManagement:
            return pci::kPowerManagementSize;
        case 0x03:
            return kVpdSize;
        case pci::kCapabilityMsi: {
            const Register<std::uint16_t> control{
                config.get<std::uint16_t>(at + io::to_underlying(pci::MsiOffset::Control))};
            if (control.get(pci::kMsiPerVectorMasking)) {
                return control.get(pci::kMsi64Bit) ? pci::kMsiSize : kMsi32MaskedSize;
            }
            return control.get(pci::kMsi64Bit) ? kMsi64Size : kMsi32Size;
        }
        case pci::kCapabilityVendor:
            return config.get<std::uint8_t>(at + 2U);
        case 0x0d:
            return kSubsystemSize;
        case pci::kCapabilityExpress: {
            const Register<std::uint16_t> capabilities{
                config.get<std::uint16_t>(at + io::to_underlying(ExpressOffset::Capabilities))};
            return capabilities.get(pci::kExpressVersion) >= pci::kExpressVersion2
                       ? pci::kExpressSize
                       : kExpress1Size;
        }
        case pci::kCapabilityMsix:
            return pci::kMsixSize;
        case 0x12:
            return kSataSize;
        case 0x13:
            return kAdvancedFeaturesSize;
        default:
            return 0;
    }
}

/// Gives each capability within [begin, end) its end: at the next one at most.
void settle_sizes(std::vector<FoundCapability>& found, std::size_t end) {
    for (FoundCapability& one : found) {
        std::size_t limit = end;
        for (const FoundCapability& other : found) {
            if (other.offset > one.offset) {
                limit = std::min<std::size_t>(limit, other.offset);
            }
        }
        const std::size_t room = limit - one.offset;
        const std::size_t size = one.size == 0 ? room : std::min<std::size_t>(one.size, room);
        one.size =
            static_cast<std::uint16_t>(std::max<std::size_t>(size, pci::kCapabilityHeaderSize));
    }
}

[[nodiscard]] std::vector<FoundCapability> find_capabilities(const Bytes& config) {
    std::vector<FoundCapability> found;
    const Register<std::uint16_t> status{config.get<std::uint16_t>(ConfigOffset::Status)};
    if (!status.get(pci::kStatusCapabilities)) {
        return found;
    }
    std::bitset<pci::kLegacyConfigSize> seen;
    std::uint16_t at = config.get<std::uint8_t>(ConfigOffset::CapabilitiesPointer) & 0xfcU;
    while (at >= pci::kFirstCapability && !seen[at]) {
        seen[at] = true;
        const auto id = config.get<std::uint8_t>(at);
        if (id == kAllBits) {
            break;
        }
        // An id of 0 is one that the host's kernel hides.
        if (id != 0) {
            found.push_back(
                {.id = id, .offset = at, .size = size_of(config, id, at), .rule = &rule_of(id)});
        }
        at = config.get<std::uint8_t>(at + 1U) & 0xfcU;
    }
    settle_sizes(found, pci::kLegacyConfigSize);
    return found;
}

[[nodiscard]] std::vector<FoundCapability> find_extended(const Bytes& config) {
    std::vector<FoundCapability> found;
    if (config.size() < pci::kConfigSpaceSize) {
        return found;
    }
    std::bitset<pci::kConfigSpaceSize> seen;
    std::uint16_t at = pci::kFirstExtendedCapability;
    while (at >= pci::kFirstExtendedCapability && !seen[at]) {
        seen[at] = true;
        const Register<std::uint32_t> header{config.get<std::uint32_t>(at)};
        if (header.raw == 0 || header.raw == ~std::uint32_t{0}) {
            break;
        }
        if (const auto id = header.get(pci::kExtendedCapabilityId); id != 0) {
            found.push_back({.id = id,
                             .offset = at,
                             .version = header.get(pci::kExtendedCapabilityVersion),
                             .rule = &extended_rule_of(id, config.get<std::uint16_t>(at + 4U))});
        }
        at = header.get(pci::kExtendedCapabilityNext) & 0xffcU;
    }
    settle_sizes(found, pci::kConfigSpaceSize);
    return found;
}

void set(ConfigPlan::Mask& mask, std::size_t offset, std::size_t size, std::uint8_t bits) noexcept {
    const std::size_t end = std::min(offset + size, mask.size());
    for (std::size_t i = offset; i < end; ++i) {
        mask[i] = bits;
    }
}

/// Finds room for an MSI capability of ours: in the place of the device's, or in any that no
/// capability has; 0 when there is none.
[[nodiscard]] std::uint16_t room_for_msi(const std::vector<FoundCapability>& found,
                                         const FoundCapability& msi) {
    const auto is_free = [&](std::uint32_t at) {
        return std::ranges::none_of(found, [&](const FoundCapability& other) {
            return !other.extended() && &other != &msi && at < other.offset + other.size &&
                   other.offset < at + pci::kMsiSize;
        });
    };
    if (std::uint32_t{msi.offset} + pci::kMsiSize <= pci::kLegacyConfigSize &&
        is_free(msi.offset)) {
        return msi.offset;
    }
    for (std::uint32_t at = pci::kFirstCapability; at + pci::kMsiSize <= pci::kLegacyConfigSize;
         at += 4) {
        if (is_free(at)) {
            return static_cast<std::uint16_t>(at);
        }
    }
    return 0;
}

void plan_msix(ConfigPlan& plan, const Bytes& config, const FoundCapability& one) {
    const Register<std::uint16_t> control{
        config.get<std::uint16_t>(one.offset + io::to_underlying(pci::MsixOffset::Control))};
    const auto table =
        config.get<std::uint32_t>(one.offset + io::to_underlying(pci::MsixOffset::Table));
    const auto pba =
        config.get<std::uint32_t>(one.offset + io::to_underlying(pci::MsixOffset::Pba));
    constexpr std::uint32_t kBar = pci::kMsixPlaceAlignment - 1;
    plan.msix = {.offset = one.offset,
                 .vectors = static_cast<std::uint16_t>(control.get(pci::kMsixTableSize) + 1U),
                 .place = {.table_bar = static_cast<std::uint8_t>(table & kBar),
                           .table_offset = table & ~kBar,
                           .pba_bar = static_cast<std::uint8_t>(pba & kBar),
                           .pba_offset = pba & ~kBar}};
}

void plan_express(ConfigPlan& plan, const FoundCapability& one) {
    plan.express = one.offset;
    set(plan.written, one.offset + io::to_underlying(ExpressOffset::DeviceControl), 4, kAllBits);
    if (one.size >= pci::kExpressSize) {
        set(plan.written, one.offset + io::to_underlying(ExpressOffset::DeviceControl2), 4,
            kAllBits);
    }
    const std::size_t flr = one.offset + io::to_underlying(ExpressOffset::DeviceCapabilities) + 3U;
    plan.read[flr] = static_cast<std::uint8_t>(~kFlrBit);
    plan.read[one.offset + io::to_underlying(ExpressOffset::Capabilities)] = kExpressVersionBits;
}

void plan_masks(ConfigPlan& plan, const FoundCapability& one) {
    const std::size_t header =
        one.extended() ? pci::kExtendedCapabilityHeaderSize : pci::kCapabilityHeaderSize;
    const bool shown =
        one.rule->treatment == Treatment::Passed || one.rule->treatment == Treatment::ReadOnly;
    set(plan.read, one.offset, one.size, 0);
    set(plan.written, one.offset, one.size, 0);
    if (shown && one.size > header) {
        set(plan.read, one.offset + header, one.size - header, kAllBits);
        if (one.rule->treatment == Treatment::Passed) {
            set(plan.written, one.offset + header, one.size - header, kAllBits);
        }
    }
}

}  // namespace

ConfigPlan plan_config(std::span<const std::byte> bytes, const std::string& name) {
    const Bytes config(bytes);
    const auto vendor = config.get<std::uint16_t>(ConfigOffset::VendorId);
    if (bytes.size() < pci::kLegacyConfigSize || vendor == 0xffff || vendor == 0) {
        io::throw_error(
            0, fmt::format("--device: {}: it does not answer; reset it, or the host", name));
    }
    const Register<std::uint8_t> type{config.get<std::uint8_t>(ConfigOffset::HeaderType)};
    if (type.get(pci::kHeaderLayout) != io::to_underlying(pci::HeaderType::Endpoint)) {
        io::throw_input(
            fmt::format("--device: {}: it is a bridge; pass the devices behind it instead", name));
    }
    ConfigPlan plan;
    plan.identity = {
        .vendor_id = vendor,
        .device_id = config.get<std::uint16_t>(ConfigOffset::DeviceId),
        .revision = config.get<std::uint8_t>(ConfigOffset::RevisionId),
        .class_code = config.get<std::uint32_t>(ConfigOffset::RevisionId) >> 8,
        .subsystem_vendor_id = config.get<std::uint16_t>(ConfigOffset::SubsystemVendorId),
        .subsystem_id = config.get<std::uint16_t>(ConfigOffset::SubsystemId),
        // The only function that the guest sees has the first pin.
        .interrupt_pin = static_cast<std::uint8_t>(
            config.get<std::uint8_t>(ConfigOffset::InterruptPin) != 0 ? 1 : 0)};
    for (std::size_t i = 0; i < pci::kBarCount; ++i) {
        plan.bars[i] = config.get<std::uint32_t>(io::to_underlying(ConfigOffset::Bar0) + 4 * i);
    }
    constexpr std::size_t kStatus = io::to_underlying(ConfigOffset::Status);
    plan.read[kStatus] = kStatusInterruptBit;
    plan.read[kStatus + 1] = kAllBits;
    plan.written[kStatus + 1] = kAllBits;
    // What no capability has is the device's own business.
    for (ConfigPlan::Mask* const mask : {&plan.read, &plan.written}) {
        set(*mask, pci::kFirstCapability, pci::kLegacyConfigSize - pci::kFirstCapability, kAllBits);
    }

    plan.capabilities = find_capabilities(config);
    const auto extended = find_extended(config);
    plan.capabilities.insert(plan.capabilities.end(), extended.begin(), extended.end());
    for (const FoundCapability& one : plan.capabilities) {
        plan_masks(plan, one);
    }
    for (const FoundCapability& one : plan.capabilities) {
        if (one.extended()) {
            continue;
        }
        if (one.id == pci::kCapabilityMsix && !plan.msix) {
            if (one.size < pci::kMsixSize) {
                io::throw_error(0, fmt::format("--device: {}: its MSI-X capability at {:#x} has {} "
                                               "bytes, not {}, and does not say where the table "
                                               "is, which has to be kept from the guest; it cannot "
                                               "be passed as it is",
                                               name, one.offset, one.size, pci::kMsixSize));
            }
            plan_msix(plan, config, one);
        } else if (one.id == pci::kCapabilityPowerManagement && plan.power == 0 &&
                   one.size == pci::kPowerManagementSize) {
            plan.power = one.offset;
        } else if (one.id == pci::kCapabilityExpress && plan.express == 0 &&
                   one.size >= kExpress1Size) {
            plan_express(plan, one);
        } else if (one.id == pci::kCapabilityMsi && !plan.msi && one.size >= kMsi32Size) {
            const Register<std::uint16_t> control{
                config.get<std::uint16_t>(one.offset + io::to_underlying(pci::MsiOffset::Control))};
            const unsigned log2 = std::min<unsigned>(control.get(pci::kMsiMultipleCapable), 5);
            if (const std::uint16_t at = room_for_msi(plan.capabilities, one); at != 0) {
                plan.msi = {.offset = at, .vectors = static_cast<std::uint8_t>(1U << log2)};
                set(plan.read, at, pci::kMsiSize, 0);
                set(plan.written, at, pci::kMsiSize, 0);
            }
        }
    }
    return plan;
}

}  // namespace cxlvm::vfio
