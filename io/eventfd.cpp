// SPDX-License-Identifier: Apache-2.0
#include "io/eventfd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include "io/error.hpp"

namespace cxlvm::io {

EventFd::EventFd(const std::string& what) : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!fd_) {
        throw_errno("eventfd for " + what);
    }
}

void EventFd::signal() const noexcept {
    // EAGAIN means that the counter is at its top, hence signalled already.
    const std::uint64_t one = 1;
    (void)retry_eintr([&] { return ::write(fd_.get(), &one, sizeof one); });
}

std::uint64_t EventFd::drain() const noexcept {
    std::uint64_t count = 0;
    const ssize_t size = retry_eintr([&] { return ::read(fd_.get(), &count, sizeof count); });
    return size == ssize_t{sizeof count} ? count : 0;
}

}  // namespace cxlvm::io
