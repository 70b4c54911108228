// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/escape.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cxlvm {
namespace {

struct Outcome {
    std::string guest;
    std::string commands;
};

Outcome type(std::string_view keys) {
    EscapeFilter filter;
    Outcome outcome;
    for (const char key : keys) {
        const auto result = filter.feed(static_cast<std::byte>(key));
        for (std::size_t i = 0; i < result.count; ++i) {
            outcome.guest.push_back(std::to_integer<char>(result.bytes[i]));
        }
        if (result.command == EscapeFilter::Command::Quit) {
            outcome.commands.push_back('q');
        } else if (result.command == EscapeFilter::Command::Help) {
            outcome.commands.push_back('h');
        }
    }
    return outcome;
}

TEST(EscapeFilter, PassesOrdinaryKeysOn) {
    EXPECT_EQ(type("xh\x03\x1a\r").guest, "xh\x03\x1a\r");
    EXPECT_EQ(type("xh").commands, "");
}

TEST(EscapeFilter, RecognisesQuitAndHelpAndKeepsThemFromTheGuest) {
    EXPECT_EQ(type("a\x01hb\x01xc").commands, "hq");
    EXPECT_EQ(type("a\x01hb\x01xc").guest, "abc");
}

TEST(EscapeFilter, SendsOneControlAForTwo) {
    EXPECT_EQ(type("\x01\x01").guest, "\x01");
    EXPECT_EQ(type("\x01\x01x").guest, "\x01x");
    EXPECT_EQ(type("\x01\x01x").commands, "");
}

TEST(EscapeFilter, SendsControlAAndAnyOtherKeyBoth) {
    EXPECT_EQ(type("\x01k").guest, "\x01k");
    EXPECT_EQ(type("\x01X").commands, "");
}

TEST(EscapeFilter, KeepsALoneControlAUntilTheNextKey) {
    EXPECT_EQ(type("\x01").guest, "");
}

}  // namespace
}  // namespace cxlvm
