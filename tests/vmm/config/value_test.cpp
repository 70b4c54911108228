// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/value.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vmm/config/expect_input_error.hpp"

namespace cxlvm::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Value value(std::string_view text) {
    return {"--memory", "size", text};
}

TEST(Size, TakesBytesAndPowersOf1024InEitherCase) {
    EXPECT_EQ(parse_size(value("1")), 1U);
    EXPECT_EQ(parse_size(value("4096")), 4096U);
    EXPECT_EQ(parse_size(value("3K")), 3072U);
    EXPECT_EQ(parse_size(value("512M")), 512ULL << 20);
    EXPECT_EQ(parse_size(value("1g")), 1ULL << 30);
    EXPECT_EQ(parse_size(value("2T")), 2ULL << 40);
}

TEST(Size, TakesTheLargestThatFitsAndRefusesTheNext) {
    EXPECT_EQ(parse_size(value("18446744073709551615")), ~0ULL);
    EXPECT_EQ(parse_size(value("16777215T")), 16777215ULL << 40);
    for (const char* text : {"18446744073709551616", "16777216T", "99999999999999999999999G"}) {
        EXPECT_THAT(input_error([&] { (void)parse_size(value(text)); }),
                    AllOf(HasSubstr("--memory: size="), HasSubstr("64 bits")))
            << text;
    }
}

TEST(Size, RefusesZero) {
    for (const char* text : {"0", "0G", "000"}) {
        EXPECT_THAT(input_error([&] { (void)parse_size(value(text)); }), HasSubstr("zero")) << text;
    }
}

TEST(Size, RefusesWhatIsNotOneAndShowsHowToWriteIt) {
    for (const char* text :
         {"", "M", "-1", "+1", " 1", "1 ", "1MB", "1.5G", "0x10", "12Q", "1KK"}) {
        EXPECT_THAT(input_error([&] { (void)parse_size(value(text)); }),
                    AllOf(HasSubstr("--memory: size"), HasSubstr("not a size"), HasSubstr("512M")))
            << text;
    }
}

TEST(Size, IsPrintedWithTheLargestSuffixThatIsExact) {
    EXPECT_EQ(format_size(512ULL << 20), "512M");
    EXPECT_EQ(format_size(1ULL << 40), "1T");
    EXPECT_EQ(format_size(1536ULL << 20), "1536M");
    EXPECT_EQ(format_size(4097), "4097");
    EXPECT_EQ(format_size(0), "0");
}

TEST(Size, PrintedIsReadBack) {
    for (unsigned shift = 0; shift < 64; ++shift) {
        for (const std::uint64_t bytes : {1ULL << shift, (1ULL << shift) | 1, ~0ULL << shift}) {
            const std::string text = format_size(bytes);
            EXPECT_EQ(parse_size(value(text)), bytes) << text;
        }
    }
}

TEST(Number, MustBeWithinItsBounds) {
    EXPECT_EQ(parse_number(value("1"), 1, 8), 1U);
    EXPECT_EQ(parse_number(value("8"), 1, 8), 8U);
    EXPECT_EQ(parse_number(value("4294967295")), 4294967295U);
    for (const char* text : {"0", "9", "-1", "", "1x", "4294967297"}) {
        EXPECT_THAT(input_error([&] { (void)parse_number(value(text), 1, 8); }),
                    HasSubstr("from 1 to 8"))
            << text;
    }
}

TEST(Flag, IsTrueOrFalseAndNothingElse) {
    EXPECT_TRUE(parse_flag(value("true")));
    EXPECT_FALSE(parse_flag(value("false")));
    EXPECT_THAT(input_error([] { (void)parse_flag(value("maybe")); }), HasSubstr("size=maybe"));
}

TEST(Choice, RefusesOthersAndListsWhatThereIs) {
    constexpr std::string_view kChoices[] = {"2M", "1G"};
    EXPECT_EQ(parse_choice(value("1G"), kChoices), 1U);
    EXPECT_THAT(input_error([&] { (void)parse_choice(value("3M"), kChoices); }),
                HasSubstr("2M, 1G"));
}

TEST(Text, MayBeAnythingButEmptyOrCutShortByANul) {
    EXPECT_EQ(parse_text(value("a,b =c")), "a,b =c");
    EXPECT_THAT(input_error([] { (void)parse_text(value("")); }), HasSubstr("needs a value"));
    EXPECT_THAT(input_error([] { (void)parse_text(value({"a\0b", 3})); }), HasSubstr("NUL"));
}

TEST(Rejection, QuotesLongAndUnprintableTextInOneShortLine) {
    const std::string text = "\n\x1b[31m" + std::string(5000, 'x');
    const std::string message = input_error([&] { reject(value(text), "no"); });
    EXPECT_THAT(message, AllOf(HasSubstr("??[31mxxx"), HasSubstr("...: no")));
    EXPECT_LT(message.size(), 300U);
}

TEST(Nearest, FindsWhatATypoMeant) {
    constexpr std::string_view kNames[] = {"hugepages", "shared", "prefault", "numa"};
    EXPECT_EQ(nearest("hugepage", kNames), "hugepages");
    EXPECT_EQ(nearest("sharde", kNames), "shared");
    EXPECT_EQ(nearest("prefualt", kNames), "prefault");
    EXPECT_EQ(nearest("pre", kNames), "prefault");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
    constexpr std::string_view kNames[] = {"hugepages", "shared"};
    EXPECT_EQ(nearest("zebra", kNames), std::nullopt);
    EXPECT_EQ(nearest("", kNames), std::nullopt);
    EXPECT_EQ(nearest(std::string(100000, 's'), kNames), std::nullopt);
}

}  // namespace
}  // namespace cxlvm::config
