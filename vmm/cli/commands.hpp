// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "vmm/cli/arguments.hpp"

namespace cxlvm::cli {

/// Exit code for what the caller got wrong; the others are those of cxlvm::ExitReason.
inline constexpr int kBadInput = 35;
inline constexpr int kHostError = 1;

/// Writes all of `text` to standard output. Throws io::Error.
void print(std::string_view text);

/// `cxlvm run`. Returns the exit code. Throws io::Error.
[[nodiscard]] int run_command(const Arguments& arguments);

/// `cxlvm check`. Returns the exit code. Throws io::Error.
[[nodiscard]] int check_command(const Arguments& arguments);

/// The whole program: parses, runs the command, and reports what went wrong in one line on standard
/// error. Returns the exit code.
[[nodiscard]] int run_program(int argc, const char* const* argv) noexcept;

}  // namespace cxlvm::cli
