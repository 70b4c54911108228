// SPDX-License-Identifier: Apache-2.0
#include <vmm/vm.hpp>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) try {
    cxlvm::VmConfig config;  // one CPU, 256 MiB, and the built-in guest
    config.memory.size = 128 << 20;
    if (argc > 1) {
        config.boot.kernel = argv[1];
    }

    cxlvm::io::Log log;  // warnings, to standard error
    cxlvm::Vm vm(config, log);
    const cxlvm::ExitReason reason = vm.run();

    std::fprintf(stderr, "the guest ended: %s\n", to_string(reason));
    return static_cast<int>(reason);
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
