// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// `cxlvm check`: what this host offers a VM, and what to do about each lack.
namespace cxlvm::host_check {

struct CheckItem {
    enum class Status : std::uint8_t {
        Ok,       ///< there and usable
        Warn,     ///< VMs run, but slower or without something that most want
        Missing,  ///< no VM runs without it
        Info,     ///< a fact, or an optional feature that is not there
    };
    std::string name;
    Status status = Status::Info;
    std::string found{};
    std::string remedy{};  ///< one line; empty when nothing lacks
};

struct Config {
    /// Put before /proc, /sys, /dev and /boot: empty for the host itself, a folder for tests.
    /// System calls (io_uring, userfaultfd, limits) always ask the host itself.
    std::string root{};
    bool measure_speed = true;  ///< runs a guest loop for up to a tenth of a second
};

/// Examines the host; changes nothing. In the order in which the table shows it. What cannot be
/// examined is an item too; throws for lack of memory alone.
[[nodiscard]] std::vector<CheckItem> check_host(const Config& config = {});

/// Whether something is missing without which no VM runs: KVM or io_uring. Exit code 1.
[[nodiscard]] bool check_has_errors(std::span<const CheckItem> items) noexcept;

struct TableStyle {
    bool color = false;       ///< ANSI colours on the status
    std::size_t width = 100;  ///< columns; longer text is wrapped. At least 60.
};

/// A line per item: status, name, what was found; then the remedy. Ends with a newline unless
/// empty.
[[nodiscard]] std::string format_table(std::span<const CheckItem> items,
                                       const TableStyle& style = {});

}  // namespace cxlvm::host_check
