// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <termios.h>

#include <array>

#include "io/fd.hpp"

namespace cxlvm::test {

/// A terminal: what a user types goes into `user`, what he sees comes out of it.
struct Terminal {
    Terminal() : user(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        EXPECT_EQ(::grantpt(user.get()), 0);
        EXPECT_EQ(::unlockpt(user.get()), 0);
        std::array<char, 64> name{};
        EXPECT_EQ(::ptsname_r(user.get(), name.data(), name.size()), 0);
        screen.reset(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        EXPECT_TRUE(screen);
    }
    bool is_raw() const {
        termios settings{};
        EXPECT_EQ(::tcgetattr(screen.get(), &settings), 0);
        return (settings.c_lflag & (ISIG | ICANON | ECHO)) == 0;
    }
    io::Fd user;
    io::Fd screen;
};

}  // namespace cxlvm::test
