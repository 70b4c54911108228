// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace cxlvm::io {

/// Whose fault a set-up failure is. The command line turns it into an exit code (1 or 35).
enum class Fault {
    Host,   ///< the host lacks something or a system call failed
    Input,  ///< an argument, a configuration or a file that we were given is unusable
};

/// The one exception of the project: a failed set-up step.
///
/// `what()` names the object (file, device or option), the cause and, where we know one, the
/// remedy, in one line. Thrown only before a guest runs or by an operator's command, never on a
/// path that a guest can reach.
class Error : public std::system_error {
  public:
    Error(std::error_code code, const std::string& context, Fault fault = Fault::Host);
    /// A text that says all of it, the cause too.
    struct Whole {
        std::string message;
    };
    Error(std::error_code code, Whole whole, Fault fault);

    [[nodiscard]] Fault fault() const noexcept { return fault_; }
    /// errno of the failed call, or 0 when no call failed.
    [[nodiscard]] int errno_value() const noexcept { return code().value(); }
    /// One line: "context: cause", or the context alone when no call failed; where the cause is a
    /// limit, how to raise it. What is about the value of an option begins with that option as the
    /// command line has it, "--memory: ", so that a front end can name what the value really came
    /// from.
    [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

  private:
    std::string message_;
    Fault fault_;
};

/// Throws Error for the current `errno`; `context` names the call and the object.
[[noreturn]] void throw_errno(const std::string& context, Fault fault = Fault::Host);
/// Throws Error for `error` (a positive errno).
[[noreturn]] void throw_error(int error, const std::string& context, Fault fault = Fault::Host);
/// Throws Error with Fault::Input and no errno: the message is the whole explanation.
[[noreturn]] void throw_input(const std::string& message);

/// Aborts with `message` when `invariant` is false. For broken invariants of our own code alone:
/// no guest input may decide the condition.
void check(bool invariant, const char* message) noexcept;

/// What an errno value means, for code that may neither throw nor allocate. Never null, also for
/// numbers that the C library does not know.
[[nodiscard]] const char* errno_text(int error) noexcept;

/// How to raise the limit that a call met when it failed with `error`; empty for the errors that
/// are no such limit. The only table of these remedies.
[[nodiscard]] std::string_view limit_remedy(int error) noexcept;

/// Calls `call()` until it fails with something other than EINTR or succeeds.
template <typename Call>
auto retry_eintr(Call&& call) noexcept(noexcept(call())) {
    for (;;) {
        auto result = call();
        if (result != -1 || errno != EINTR) {
            return result;
        }
    }
}

}  // namespace cxlvm::io
