// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/commands.hpp"

int main(int argc, char** argv) {
    return cxlvm::cli::run_program(argc, argv);
}
