// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "vmm/builtin_guest/guest/memory_map.hpp"

namespace guest {

/// How the guest comes to its end, or does not.
enum class Ending : std::uint8_t { PowerOff, Reset, Panic, TripleFault, Hang, Spin };

/// What the words of the command line ask for; others are ignored.
struct Options {
    std::uint64_t exits = 1000;  ///< exits=N, at most ten million
    bool quiet = false;          ///< quiet: no report
    bool echo = false;           ///< echo: serial input back to the output, before the end
    Ending ending = Ending::PowerOff;
};

/// The command line, empty when it is missing or not in memory; the first 4 KiB of a longer one.
[[nodiscard]] std::string_view command_line(const BootParams& params, const MemoryMap& map);

[[nodiscard]] Options parse(std::string_view line);

}  // namespace guest
