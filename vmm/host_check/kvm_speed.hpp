// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace cxlvm::host_check {

/// How fast this host's KVM runs guest code, measured.
struct KvmSpeed {
    enum class Kind : std::uint8_t {
        Hardware,      ///< the processor runs guest code
        Interpreting,  ///< software reads guest code instruction by instruction: small guests only
        Absent,        ///< no guest could be run; `error` says why
    };
    Kind kind = Kind::Absent;
    double ns_per_instruction = 0;
    double ns_per_exit = 0;  ///< a port write: guest to VMM and back
    std::string error{};
};

/// Runs a loop of 64-bit guest code on the KVM device `path`. Processor flags and module names say
/// nothing reliable about it, time does. A few milliseconds on hardware, below a tenth of
/// a second where KVM interprets. Does not throw for what KVM lacks.
[[nodiscard]] KvmSpeed measure_kvm_speed(const std::string& path = "/dev/kvm");

/// What `ns_per_instruction` says: hardware runs the loop at less than 1 ns an instruction, at a
/// few ns where the hardware itself is emulated; interpreters take hundreds.
[[nodiscard]] KvmSpeed::Kind classify_speed(double ns_per_instruction) noexcept;

}  // namespace cxlvm::host_check
