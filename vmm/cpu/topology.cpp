// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/topology.hpp"

#include <fmt/format.h>

#include <bit>
#include <string>
#include <vector>

#include "io/error.hpp"

namespace cxlvm::cpu {
namespace {

/// Bits that number `count` things.
unsigned width_of(unsigned count) noexcept {
    return static_cast<unsigned>(std::bit_width(count - 1));
}

/// The numbers that the user gave: "sockets=2, cores=3".
std::string asked_of(const CpuConfig& config) {
    std::vector<std::string> asked;
    const auto add = [&](unsigned number, const char* what) {
        if (number != 0) {
            asked.push_back(fmt::format("{}={}", what, number));
        }
    };
    add(config.sockets, "sockets");
    add(config.cores, "cores");
    add(config.threads, "threads");
    return fmt::format("{}", fmt::join(asked, ", "));
}

}  // namespace

unsigned Topology::thread_bits() const noexcept {
    return width_of(threads);
}

unsigned Topology::socket_shift() const noexcept {
    return thread_bits() + width_of(cores);
}

Topology topology_of(const CpuConfig& config) {
    if (config.count == 0) {
        io::throw_input("--cpus: a machine needs at least one vCPU");
    }
    // 64-bit, so that no product of what a user typed can wrap.
    const std::uint64_t threads = config.threads == 0 ? 1 : config.threads;
    std::uint64_t sockets = config.sockets;
    std::uint64_t cores = config.cores;
    if (sockets == 0) {
        const std::uint64_t each = threads * cores;
        sockets = each == 0 ? 1 : config.count / each;
    }
    if (cores == 0 && sockets <= config.count) {
        cores = config.count / (sockets * threads);
    }
    const std::uint64_t each = cores * threads;
    if (sockets > config.count || each > config.count || sockets * each != config.count) {
        io::throw_input(fmt::format(
            "--cpus: {} vCPUs cannot be laid out with {}; sockets, cores and threads must multiply "
            "to the count: leave one of them out",
            config.count, asked_of(config)));
    }
    return {static_cast<unsigned>(sockets), static_cast<unsigned>(cores),
            static_cast<unsigned>(threads)};
}

std::uint32_t apic_id_of(const Topology& topology, unsigned index) noexcept {
    const unsigned thread = index % topology.threads;
    const unsigned core = index / topology.threads % topology.cores;
    const unsigned socket = index / topology.threads_per_socket();
    return socket << topology.socket_shift() | core << topology.thread_bits() | thread;
}

std::vector<std::uint32_t> apic_ids_of(const Topology& topology) {
    std::vector<std::uint32_t> ids;
    ids.reserve(topology.count());
    for (unsigned index = 0; index < topology.count(); ++index) {
        ids.push_back(apic_id_of(topology, index));
    }
    return ids;
}

}  // namespace cxlvm::cpu
