// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/help.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace cxlvm::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Help, IsSorted) {
    for (const auto& entries : {run_help_entries(), check_help_entries()}) {
        EXPECT_TRUE(std::is_sorted(entries.begin(), entries.end(),
                                   [](const auto& a, const auto& b) { return a.name < b.name; }));
    }
}

TEST(Help, OfRunNamesEveryKeyWithItsDefault) {
    const std::string text = help_text("run");
    EXPECT_THAT(
        text, AllOf(HasSubstr("--memory SIZE"), HasSubstr("size=SIZE"),
                    HasSubstr("(default: 256M)"), HasSubstr("hugepages=2M|1G"), HasSubstr("shared"),
                    HasSubstr("thp"), HasSubstr("prefault"), HasSubstr("numa=N")));
    EXPECT_THAT(
        text, AllOf(HasSubstr("stdio"), HasSubstr("(the default)"), HasSubstr("unix=SOCKET"),
                    HasSubstr("count=N"), HasSubstr("(default: 30)"), HasSubstr("(default: warn)"),
                    HasSubstr("(default: /dev/kvm)")));
}

TEST(Help, OfRunDocumentsExitCodesEscapeKeysAndSizes) {
    EXPECT_THAT(help_text("run"), AllOf(HasSubstr("Exit codes"), HasSubstr("32"), HasSubstr("35"),
                                        HasSubstr("Ctrl-A x"), HasSubstr("K, M, G or T")));
}

TEST(Help, FitsATerminalOf100Columns) {
    for (const char* command : {"", "run", "check"}) {
        std::istringstream text(help_text(command));
        for (std::string line; std::getline(text, line);) {
            EXPECT_LE(line.size(), 100U) << line;
        }
    }
}

TEST(Version, IsOneLine) {
    EXPECT_THAT(version_text(), testing::MatchesRegex("cxlvm [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace cxlvm::cli
