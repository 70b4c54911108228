// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "io/error.hpp"

namespace cxlvm {

/// The message of the io::Error (Fault::Input) that `action` throws; a failure when it does not.
template <typename Action>
std::string input_error(Action&& action) {
    try {
        action();
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input) << error.what();
        EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n"))) << "more than one line";
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

}  // namespace cxlvm
