// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/vm_config.hpp"

namespace cxlvm::cpu {

/// The largest APIC id of 8 bits; 255 addresses all processors at once. Larger ones need x2APIC
/// mode (Intel SDM volume 3, 11.12).
inline constexpr std::uint32_t kLastXapicId = 254;

/// How the vCPUs are arranged. Each of the three numbers is at least 1.
struct Topology {
    unsigned sockets = 1;
    unsigned cores = 1;    ///< per socket
    unsigned threads = 1;  ///< per core

    [[nodiscard]] constexpr unsigned threads_per_socket() const noexcept { return cores * threads; }
    [[nodiscard]] constexpr unsigned count() const noexcept { return sockets * cores * threads; }
    /// Low bits of an APIC id that number the threads of a core.
    [[nodiscard]] unsigned thread_bits() const noexcept;
    /// Low bits of an APIC id that number the threads of a socket.
    [[nodiscard]] unsigned socket_shift() const noexcept;
};

/// The arrangement that `config` asks for. Numbers left at 0 are derived: threads become 1, sockets
/// 1, and cores what is left. Throws io::Error (Fault::Input) when they do not multiply to the
/// count.
[[nodiscard]] Topology topology_of(const CpuConfig& config);

/// APIC id of vCPU `index`, which runs from 0 and counts threads first, then cores, then sockets.
/// Every level has a field of its own, a whole number of bits wide, so ids have gaps where a number
/// is not a power of two (Intel SDM volume 3, 9.9.1; AMD APM volume 3, appendix E.5).
[[nodiscard]] std::uint32_t apic_id_of(const Topology& topology, unsigned index) noexcept;

/// The ids of all vCPUs, by index, as the ACPI tables want them.
[[nodiscard]] std::vector<std::uint32_t> apic_ids_of(const Topology& topology);

}  // namespace cxlvm::cpu
