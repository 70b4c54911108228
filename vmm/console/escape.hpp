// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cxlvm {

/// The keys by which the operator of a raw terminal talks to the VMM instead of the guest.
///
/// Ctrl-A x ends the VM, Ctrl-A h shows help, Ctrl-A Ctrl-A sends one Ctrl-A to the guest. Ctrl-A
/// and any other key both go to the guest.
class EscapeFilter {
  public:
    enum class Command : std::uint8_t { None, Quit, Help };

    struct Result {
        Command command = Command::None;
        std::uint8_t count = 0;  ///< bytes for the guest, 0 to 2
        std::byte bytes[2] = {};
    };

    [[nodiscard]] Result feed(std::byte key) noexcept;

    /// What Ctrl-A h shows, for a raw terminal.
    static constexpr std::string_view kHelp =
        "\r\n"
        "Ctrl-A x       end the virtual machine\r\n"
        "Ctrl-A h       show this help\r\n"
        "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

  private:
    bool escaped_ = false;
};

}  // namespace cxlvm
