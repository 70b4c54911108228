// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmm/builtin_guest/guest/acpi.hpp"
#include "vmm/builtin_guest/guest/command_line.hpp"
#include "vmm/builtin_guest/guest/console.hpp"
#include "vmm/builtin_guest/guest/cpu.hpp"
#include "vmm/builtin_guest/guest/ending.hpp"
#include "vmm/builtin_guest/guest/exits.hpp"
#include "vmm/builtin_guest/guest/memory_map.hpp"
#include "vmm/builtin_guest/guest/pci.hpp"

/// Called by entry.S with the address of the boot parameters.
extern "C" [[noreturn]] void guest_main(std::uint64_t boot_params) {
    guest::Console console;
    const guest::BootParams params(boot_params);
    const guest::MemoryMap map(params);
    const std::string_view line = guest::command_line(params, map);
    const guest::Options options = guest::parse(line);
    if (!options.quiet) {
        constexpr std::size_t kMostShown = 200;
        console.print("cxlvm built-in guest\n");
        console.line("arguments", std::string_view(line.data(), std::min(line.size(), kMostShown)));
        guest::report_cpu(console);
        map.report(console);
    }
    const guest::AcpiFacts acpi = guest::survey_acpi(console, map, params.rsdp(), options.quiet);
    if (!options.quiet) {
        guest::report_pci(console, map, acpi);
        guest::report_exits(console, options.exits);
    }
    if (options.echo) {
        guest::echo(console);
    }
    guest::end(console, map, acpi, options.ending);
}
