// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>
#include <string_view>

#include "io/error.hpp"
#include "vmm/cli/commands.hpp"
#include "vmm/cli/help.hpp"

namespace cxlvm::cli {

namespace {

int dispatch(const Arguments& arguments) {
    switch (arguments.command) {
        case Command::Run:
            return run_command(arguments);
        case Command::Check:
            return check_command(arguments);
        case Command::Version:
            print(version_text());
            return 0;
        case Command::Help:
            break;
    }
    print(help_text(arguments.help_for));
    return 0;
}

/// A standard stream that the caller has closed leads to /dev/null. Otherwise the next file to be
/// opened would get its number, and the guest's output would go into that.
void open_standard_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        // The lowest free number is `stream`, since those below are in use.
        if (::fcntl(stream, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != stream) {
            io::throw_errno("cannot open /dev/null for a standard stream that is closed");
        }
    }
}

/// Paths may hold anything, and a message is one line. In one piece, because standard error has no
/// buffer, and other programs may write to the same file.
int report(std::string_view message, int exit_code) noexcept {
    constexpr std::string_view kPrefix = "cxlvm: error: ";
    std::array<char, 16384> line;  // some paths of the longest sort
    std::size_t size = kPrefix.copy(line.data(), line.size());
    for (const char c : message.substr(0, line.size() - size - 1)) {
        const auto byte = static_cast<unsigned char>(c);
        line[size++] = byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    line[size++] = '\n';
    std::fwrite(line.data(), 1, size, stderr);
    return exit_code;
}

}  // namespace

void print(std::string_view text) {
    while (!text.empty()) {
        const ssize_t count =
            io::retry_eintr([&] { return ::write(STDOUT_FILENO, text.data(), text.size()); });
        if (count < 0) {
            io::throw_errno("standard output");
        }
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

int run_program(int argc, const char* const* argv) noexcept {
    try {
        open_standard_streams();
        return dispatch(parse_arguments(argc, argv));
    } catch (const io::Error& error) {
        return report(error.what(), error.fault() == io::Fault::Input ? kBadInput : kHostError);
    } catch (const std::exception& error) {
        return report(error.what(), kHostError);
    }
}

}  // namespace cxlvm::cli
