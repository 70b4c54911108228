// SPDX-License-Identifier: Apache-2.0
#include "io/open_error.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <optional>

namespace cxlvm::io {

namespace {

struct Row {
    int error;
    std::optional<OpenPurpose> purpose;  ///< none: each
    mode_t type;                         ///< of S_IFMT; 0: each
    OpenRemedy remedy;
};

constexpr auto kEach = std::nullopt;
constexpr auto kRead = OpenPurpose::Read;
constexpr auto kWrite = OpenPurpose::Write;
constexpr auto kKvm = OpenPurpose::Kvm;

constexpr std::string_view kLoadKvm =
    "enable SVM or VT-x in the firmware (in a VM: nested virtualisation), then modprobe kvm_amd or "
    "kvm_intel";
constexpr std::string_view kJoinGroup = "usermod -aG kvm $USER, then log in again";

/// The first row that fits counts.
constexpr Row kRows[] = {
    {ENOENT, kKvm, 0, {Fault::Host, {}, kLoadKvm}},
    {ENODEV, kKvm, 0, {Fault::Host, {}, kLoadKvm}},
    {ENXIO, kKvm, S_IFCHR, {Fault::Host, {}, kLoadKvm}},
    {EACCES, kKvm, 0, {Fault::Host, {}, kJoinGroup}},
    {EPERM, kKvm, 0, {Fault::Host, {}, kJoinGroup}},

    {ENOENT, kRead, 0, {Fault::Input, {}, "check the path"}},
    {ENOENT, kWrite, 0, {Fault::Input, {}, "make its folder first, or give another path"}},
    {EACCES,
     kRead,
     0,
     {Fault::Input, {}, "make it readable (chmod), and its folders, or run as its owner"}},
    {EACCES, kWrite, 0, {Fault::Input, {}, "give a path that you may write to"}},
    {EPERM,
     kEach,
     0,
     {Fault::Input, {}, "lsattr shows whether an attribute forbids it; give another path"}},
    {EROFS,
     kEach,
     0,
     {Fault::Input, {}, "give a path on a file system that is not mounted read-only"}},
    {EISDIR, kEach, 0, {Fault::Input, {}, "give a file, not a folder"}},
    {ENOTDIR, kEach, 0, {Fault::Input, {}, "check the path: what is in front of a / is a file"}},
    {ELOOP, kEach, 0, {Fault::Input, {}, "give what the symbolic link stands for"}},
    {ENAMETOOLONG, kEach, 0, {Fault::Input, {}, "give a shorter path"}},
    {ETXTBSY, kEach, 0, {Fault::Input, "a program runs from it", "give another file"}},
    {EBUSY, kEach, 0, {Fault::Input, {}, "end what uses it, or give another"}},
    {ENXIO, kEach, S_IFIFO, {Fault::Input, "nobody reads this pipe", "start its reader first"}},
    {ENXIO, kEach, S_IFSOCK, {Fault::Input, "it is a socket", "give a file"}},
    {ENXIO, kEach, 0, {Fault::Input, {}, "load the device's driver, or give another path"}},
    {ENODEV, kEach, 0, {Fault::Input, {}, "load the device's driver, or give another path"}},

    {ENOMEM, kEach, 0, {Fault::Host, {}, "free some memory"}},
    {ENOSPC, kEach, 0, {Fault::Host, {}, "free some space there, or give another path"}},
    {EDQUOT, kEach, 0, {Fault::Host, {}, "free some of your quota there, or give another path"}},
    {EIO, kEach, 0, {Fault::Host, {}, "see the kernel's log (dmesg) for the disk"}},
};

}  // namespace

OpenRemedy open_remedy(int error, OpenPurpose purpose, mode_t found) noexcept {
    for (const Row& row : kRows) {
        const bool fits = row.error == error && row.purpose.value_or(purpose) == purpose &&
                          (row.type == 0 || row.type == (found & S_IFMT));
        if (fits) {
            return row.remedy;
        }
    }
    const std::string_view limit = limit_remedy(error);
    return {.fault = limit.empty() ? Fault::Input : Fault::Host, .cause = {}, .remedy = limit};
}

void throw_open_error(int error, const OpenAttempt& attempt) {
    struct stat status {};
    const bool known = ::stat(attempt.path.c_str(), &status) == 0;
    const OpenRemedy known_remedy = open_remedy(error, attempt.purpose, known ? status.st_mode : 0);
    const std::string_view cause =
        known_remedy.cause.empty() ? errno_text(error) : known_remedy.cause;
    throw Error(std::error_code(error, std::generic_category()),
                Error::Whole{fmt::format(
                    "{}{}cannot {} {}: {}{}{}", attempt.option, attempt.option.empty() ? "" : ": ",
                    attempt.action, attempt.path, cause, known_remedy.remedy.empty() ? "" : "; ",
                    known_remedy.remedy)},
                known_remedy.fault);
}

}  // namespace cxlvm::io
