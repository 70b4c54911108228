// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace cxlvm::cpu {

/// A model-specific register and its value.
struct Msr {
    std::uint32_t index;
    std::uint64_t value;

    friend bool operator==(const Msr&, const Msr&) noexcept = default;
};

/// What firmware would have set in every processor before the kernel runs. All other MSRs keep the
/// values that KVM gives them at reset. A KVM that refuses one of these can still boot a guest.
[[nodiscard]] std::array<Msr, 3> boot_msrs() noexcept;

}  // namespace cxlvm::cpu
