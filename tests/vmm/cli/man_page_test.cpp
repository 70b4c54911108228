// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "vmm/cli/help.hpp"

namespace cxlvm::cli {
namespace {

std::string roff(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
        escaped += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    }
    return escaped;
}

std::string bold(const std::string& text) {
    return "\\fB" + roff(text) + "\\fR";
}

/// The options as the man page must list them, between its two marker comments.
std::string options_section(const std::vector<config::HelpEntry>& entries) {
    std::string text;
    for (const config::HelpEntry& entry : entries) {
        text += ".TP\n" + bold(entry.syntax) + "\n" +
                roff(config::describe(entry.text, entry.fallback)) + ".\n";
        for (const config::HelpKey& key : entry.keys) {
            text += (&key == &entry.keys.front() ? ".RS\n.TP\n" : ".TP\n") + bold(key.syntax) +
                    "\n" + roff(config::describe(key.text, key.fallback)) + ".\n";
        }
        text += entry.keys.empty() ? "" : ".RE\n";
    }
    return text;
}

std::string man_page() {
    std::ifstream file(CXLVM_MAN_PAGE);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
    const std::size_t first = text.find(begin);
    const std::size_t last = text.find(end);
    if (first == std::string::npos || last == std::string::npos) {
        return "(no lines '" + begin + "' and '" + end + "')";
    }
    return text.substr(first + begin.size(), last - first - begin.size());
}

TEST(ManPage, ListsTheOptionsOfRunAsTheHelpDoes) {
    EXPECT_EQ(between(man_page(), ".\\\" run options\n", ".\\\" end of run options\n"),
              options_section(run_help_entries()));
}

TEST(ManPage, ListsTheOptionsOfCheckAsTheHelpDoes) {
    EXPECT_EQ(between(man_page(), ".\\\" check options\n", ".\\\" end of check options\n"),
              options_section(check_help_entries()));
}

TEST(ManPage, NamesEveryExitCode) {
    for (const char* code : {"0", "1", "32", "33", "34", "35"}) {
        EXPECT_THAT(man_page(), testing::HasSubstr(std::string(".TP\n.B ") + code + "\n")) << code;
    }
}

}  // namespace
}  // namespace cxlvm::cli
