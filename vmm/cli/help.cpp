// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "vmm/cli/check_options.hpp"
#include "vmm/cli/run_options.hpp"
#include "vmm/config/program_options.hpp"
#include "vmm/config/vm_options.hpp"

namespace cxlvm::cli {

namespace {

constexpr std::string_view kProgram = R"(cxlvm: boots Linux microVMs with KVM.

Usage: cxlvm COMMAND [OPTIONS]

Commands:
  check   examine this host: what is there, what is missing, and what to do about it
  run     boot a virtual machine

Options:
  --help
      print this text; after a command, print that command's
  --version
      print the version

Exit codes:
  0   the guest powered off, or the VM was ended by a signal or an escape key
  1   the host failed: the message says how
  32  the guest asked for a reset
  33  the guest crashed: a triple fault, or KVM could not run its code any further
  34  the guest's kernel panicked
  35  bad arguments, configuration or input file
)";

constexpr std::string_view kRun = R"(cxlvm run: boots a virtual machine and ends when it does.

Usage: cxlvm run [OPTIONS]
       cxlvm run --kernel vmlinuz --initrd initramfs --memory 512M --cpus 2

Options:
{}
Sizes are bytes, or a whole number with K, M, G or T (powers of 1024). In a list KEY=VALUE,KEY=VALUE
the first key's name may be left out, a key without a value is switched on by its name alone, and a
comma inside a value is written twice.

Keys, when the serial port or the console is a terminal:
  Ctrl-A x   end the VM
  Ctrl-A h   list these keys
  Ctrl-A Ctrl-A   send Ctrl-A to the guest

Signals: SIGTERM and SIGHUP press the power button; a second one, or the end of the shutdown
timeout, ends the VM. SIGINT ends it at once, unless the terminal passes Ctrl-C to the guest: then
it counts like SIGTERM. Before the guest runs, each of the three ends the program at once.

Exit codes: 0 guest powered off, 1 host error, 32 guest reset, 33 guest crash, 34 guest panic,
35 bad arguments or configuration.
)";

constexpr std::string_view kCheck =
    R"(cxlvm check: examines this host and prints a remedy for each lack.

Usage: cxlvm check [OPTIONS]

Options:
{}
Exit codes: 0 virtual machines can run here, 1 something that every one needs is missing, 35 bad
arguments.
)";

config::HelpEntry help_option() {
    return {"help", "--help", "print this text", {}, {}};
}

std::vector<config::HelpEntry> sorted(std::vector<config::HelpEntry> entries) {
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
}

}  // namespace

std::vector<config::HelpEntry> run_help_entries() {
    std::vector<config::HelpEntry> entries = config::help_entries(config::vm_options());
    for (auto more :
         {config::help_entries(config::program_options()), config::help_entries(run_options())}) {
        std::move(more.begin(), more.end(), std::back_inserter(entries));
    }
    entries.push_back(help_option());
    return sorted(std::move(entries));
}

std::vector<config::HelpEntry> check_help_entries() {
    std::vector<config::HelpEntry> entries = config::help_entries(check_options());
    entries.push_back(help_option());
    return sorted(std::move(entries));
}

std::string help_text(std::string_view command) {
    if (command == "run") {
        return fmt::format(kRun, config::format_help(run_help_entries()));
    }
    if (command == "check") {
        return fmt::format(kCheck, config::format_help(check_help_entries()));
    }
    return std::string(kProgram);
}

std::string version_text() {
    return "cxlvm " CXLVM_VERSION "\n";
}

}  // namespace cxlvm::cli
