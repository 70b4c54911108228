// SPDX-License-Identifier: Apache-2.0
// Whatever is written as a configuration is either taken or refused with io::Error, and what is
// taken is printed and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "io/error.hpp"
#include "vmm/config/json.hpp"
#include "vmm/config/program_options.hpp"
#include "vmm/config/vm_options.hpp"

namespace {

using cxlvm::VmConfig;
using cxlvm::config::ProgramConfig;

void require(bool condition) {
    if (!condition) {
        std::abort();
    }
}

/// to_json refuses text that is not UTF-8, which the command line may hold.
void check_round_trip(const VmConfig& vm, const ProgramConfig& program) {
    std::string text;
    try {
        text = cxlvm::config::to_json(vm, program);
    } catch (const cxlvm::io::Error&) {
        return;
    }
    // What we have written ourselves must not be refused: noexcept ends the program.
    const auto again = [&]() noexcept {
        const cxlvm::config::Configuration read = cxlvm::config::from_json(text, "fuzz");
        return cxlvm::config::to_json(read.vm, read.program);
    };
    require(again() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto options = cxlvm::config::vm_options();
    const auto others = cxlvm::config::program_options();
    // The JSON reader has the number that it had before there were others: the corpus uses it.
    const std::size_t choice = data[0] % (options.size() + 1 + others.size());
    const std::string text(data + 1, data + size);
    try {
        VmConfig vm;
        ProgramConfig program;
        if (choice == options.size()) {
            cxlvm::config::Configuration read = cxlvm::config::from_json(text, "fuzz");
            vm = std::move(read.vm);
            program = std::move(read.program);
        } else if (choice < options.size()) {
            cxlvm::config::parse_option(options[choice], "--fuzz", text, vm);
        } else {
            cxlvm::config::parse_option(others[choice - options.size() - 1], "--fuzz", text,
                                        program);
        }
        check_round_trip(vm, program);
    } catch (const cxlvm::io::Error& error) {
        require(error.fault() == cxlvm::io::Fault::Input);
        require(std::string_view(error.what()).find('\n') == std::string_view::npos);
    }
    return 0;
}
