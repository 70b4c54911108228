// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/pvpanic.hpp"

namespace cxlvm {

namespace {

constexpr auto kSupported = mask_of<std::uint8_t>(kPvpanicPanicked, kPvpanicCrashLoaded);

}  // namespace

IoStatus Pvpanic::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset != 0) {
        return IoStatus::Unmapped;
    }
    data[0] = std::byte{kSupported};
    return IoStatus::Ok;
}

IoStatus Pvpanic::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset != 0) {
        return IoStatus::Unmapped;
    }
    const Register<std::uint8_t> reported{std::to_integer<std::uint8_t>(data[0])};
    if ((reported.raw & ~kSupported) != 0) {
        log_.guest(oddities_, "pvpanic: unknown events in {:#x} were ignored", reported.raw);
    }
    if (reported.get(kPvpanicPanicked)) {
        events_.raise(SystemEvent::GuestPanic);
    }
    if (reported.get(kPvpanicCrashLoaded)) {
        events_.raise(SystemEvent::GuestCrashLoaded);
    }
    return IoStatus::Ok;
}

}  // namespace cxlvm
