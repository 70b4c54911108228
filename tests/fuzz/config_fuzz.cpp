// SPDX-License-Identifier: Apache-2.0
// Whatever is written as a configuration is either taken or refused with io::Error, and what is
// taken is printed and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "io/error.hpp"
#include "vmm/config/json.hpp"
#include "vmm/config/vm_options.hpp"

namespace {

using cxlvm::VmConfig;

void require(bool condition) {
    if (!condition) {
        std::abort();
    }
}

/// to_json refuses text that is not UTF-8, which the command line may hold.
void check_round_trip(const VmConfig& vm) {
    std::string text;
    try {
        text = cxlvm::config::to_json(vm);
    } catch (const cxlvm::io::Error&) {
        return;
    }
    // What we have written ourselves must not be refused: noexcept ends the program.
    const auto again = [&]() noexcept {
        return cxlvm::config::to_json(cxlvm::config::from_json(text, "fuzz"));
    };
    require(again() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto options = cxlvm::config::vm_options();
    const std::size_t choice = data[0] % (options.size() + 1);
    const std::string text(data + 1, data + size);
    try {
        VmConfig vm;
        if (choice == options.size()) {
            vm = cxlvm::config::from_json(text, "fuzz");
        } else {
            cxlvm::config::parse_option(options[choice], "--fuzz", text, vm);
        }
        check_round_trip(vm);
    } catch (const cxlvm::io::Error& error) {
        require(error.fault() == cxlvm::io::Fault::Input);
        require(std::string_view(error.what()).find('\n') == std::string_view::npos);
    }
    return 0;
}
