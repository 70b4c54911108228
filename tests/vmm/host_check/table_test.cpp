// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/host_check.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace cxlvm::host_check {
namespace {

using Status = CheckItem::Status;

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    std::string line;
    while (std::getline(stream, line)) {
        lines.push_back(line);
    }
    return lines;
}

const std::vector<CheckItem> kItems{
    {.name = "first", .status = Status::Ok, .found = "here"},
    {.name = "the second", .status = Status::Missing, .found = "gone", .remedy = "buy one"},
    {.name = "third", .status = Status::Warn, .found = "slow", .remedy = "wait"},
    {.name = "fourth", .status = Status::Info, .found = "4"}};

TEST(FormatTable, AlignsColumnsAndPutsTheRemedyBelow) {
    EXPECT_EQ(format_table(kItems),
              "ok       first       here\n"
              "MISSING  the second  gone\n"
              "                     -> buy one\n"
              "warn     third       slow\n"
              "                     -> wait\n"
              "info     fourth      4\n");
}

TEST(FormatTable, OfNothingIsEmpty) {
    EXPECT_EQ(format_table({}), "");
}

TEST(FormatTable, HasColoursOnlyWhenAsked) {
    EXPECT_EQ(format_table(kItems).find('\033'), std::string::npos);
    const std::string colored = format_table(kItems, {.color = true});
    std::string plain;
    for (std::size_t i = 0; i < colored.size(); ++i) {
        if (colored[i] == '\033') {
            i = colored.find('m', i);
        } else {
            plain += colored[i];
        }
    }
    EXPECT_NE(plain, colored);
    EXPECT_EQ(plain, format_table(kItems));
}

TEST(FormatTable, WrapsAtSpacesWithinTheWidthAndKeepsEveryWord) {
    std::string text;
    for (int i = 0; i < 60; ++i) {
        text += (i == 0 ? "word" : " word") + std::to_string(i);
    }
    const std::vector<CheckItem> items{
        {.name = "long", .status = Status::Warn, .found = text, .remedy = text}};
    for (const std::size_t width : {60U, 80U, 100U, 101U, 120U}) {
        std::string words;
        for (const std::string& line : lines_of(format_table(items, {.width = width}))) {
            EXPECT_LE(line.size(), width);
            EXPECT_EQ(line, line.substr(0, line.find_last_not_of(' ') + 1)) << "trailing space";
            std::istringstream stream(line);
            std::string word;
            while (stream >> word) {
                if (word.starts_with("word")) {
                    words += (words.empty() ? "" : " ") + word;
                }
            }
        }
        EXPECT_EQ(words, text + " " + text);
    }
}

TEST(FormatTable, CutsAWordThatIsLongerThanALine) {
    const std::vector<CheckItem> items{
        {.name = "path", .status = Status::Info, .found = std::string(300, 'x')}};
    std::size_t count = 0;
    for (const std::string& line : lines_of(format_table(items))) {
        EXPECT_LE(line.size(), 100U);
        count += static_cast<std::size_t>(std::count(line.begin(), line.end(), 'x'));
    }
    EXPECT_EQ(count, 300U);
}

TEST(CheckHasErrors, IsTrueForWhatIsMissingAlone) {
    EXPECT_TRUE(check_has_errors(kItems));
    EXPECT_FALSE(check_has_errors({}));
    EXPECT_FALSE(check_has_errors(std::span(kItems).first(1)));
    EXPECT_FALSE(check_has_errors(std::span(kItems).last(2)));
}

}  // namespace
}  // namespace cxlvm::host_check
