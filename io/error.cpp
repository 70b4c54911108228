// SPDX-License-Identifier: Apache-2.0
#include "io/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace cxlvm::io {

namespace {

std::string explain(const std::error_code& code, const std::string& context) {
    if (!code) {
        return context;
    }
    std::string message = context + ": " + code.message();
    if (const std::string_view remedy = limit_remedy(code.value()); !remedy.empty()) {
        message.append("; ").append(remedy);
    }
    return message;
}

}  // namespace

Error::Error(std::error_code code, const std::string& context, Fault fault)
    : std::system_error(code), message_(explain(code, context)), fault_(fault) {}

Error::Error(std::error_code code, Whole whole, Fault fault)
    : std::system_error(code), message_(std::move(whole.message)), fault_(fault) {}

void throw_error(int error, const std::string& context, Fault fault) {
    throw Error(std::error_code(error, std::generic_category()), context, fault);
}

void throw_errno(const std::string& context, Fault fault) {
    throw_error(errno, context, fault);
}

void throw_input(const std::string& message) {
    throw Error({}, message, Fault::Input);
}

const char* errno_text(int error) noexcept {
    const char* const text = ::strerrordesc_np(error);
    return text != nullptr ? text : "unknown error";
}

std::string_view limit_remedy(int error) noexcept {
    switch (error) {
        case EMFILE:
            return "raise the limit of open files (ulimit -n)";
        case ENFILE:
            return "raise the host's limit (sysctl fs.file-max)";
        case ENOMEM:
            return "free some memory, or raise the limit of address space (ulimit -v)";
        case EFBIG:
            return "raise the limit of a file's size (ulimit -f)";
        default:
            return {};
    }
}

void check(bool invariant, const char* message) noexcept {
    if (!invariant) [[unlikely]] {
        std::fprintf(stderr, "cxlvm: internal error: %s\n", message);
        std::abort();
    }
}

}  // namespace cxlvm::io
