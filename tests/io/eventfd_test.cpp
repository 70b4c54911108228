// SPDX-License-Identifier: Apache-2.0
#include "io/eventfd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace cxlvm::io {
namespace {

TEST(EventFd, CountsSignalsUntilDrained) {
    const EventFd event("test");
    EXPECT_EQ(event.drain(), 0U);
    event.signal();
    event.signal();
    EXPECT_EQ(event.drain(), 2U);
    EXPECT_EQ(event.drain(), 0U);
}

TEST(EventFd, IsNonBlockingAndCloseOnExec) {
    const EventFd event("test");
    EXPECT_NE(::fcntl(event.fd(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(event.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(EventFd, SignalAtTheTopOfTheCounterDoesNotBlock) {
    const EventFd event("test");
    const std::uint64_t top = UINT64_MAX - 1;
    ASSERT_EQ(::write(event.fd(), &top, sizeof top), ssize_t{sizeof top});
    event.signal();
    EXPECT_EQ(event.drain(), top);
}

}  // namespace
}  // namespace cxlvm::io
