// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "io/error.hpp"

namespace cxlvm::io {

/// What a path is opened for: it decides what helps when that fails.
enum class OpenPurpose : std::uint8_t {
    Read,   ///< a file that has to be there
    Write,  ///< a file, pipe or socket that is made where it is not there
    Kvm,    ///< the KVM device
};

/// What there is to say about a failed open(2), bind(2) or the like.
struct OpenRemedy {
    Fault fault = Fault::Input;
    std::string_view cause{};   ///< empty: the C library's text for the errno says it
    std::string_view remedy{};  ///< what to do about it; empty: nothing is known
};

/// The only table of such remedies. `found` is what stat(2) gave for the path (only the type
/// counts), or 0.
[[nodiscard]] OpenRemedy open_remedy(int error, OpenPurpose purpose, mode_t found) noexcept;

/// What was tried.
struct OpenAttempt {
    std::string path{};
    OpenPurpose purpose = OpenPurpose::Read;
    std::string_view option{};         ///< that the path was given by, such as "--kernel"
    std::string_view action = "open";  ///< "cannot ACTION PATH"
};

/// Throws Error for the errno `error`: "--kernel: cannot open PATH: cause; remedy".
[[noreturn]] void throw_open_error(int error, const OpenAttempt& attempt);

}  // namespace cxlvm::io
