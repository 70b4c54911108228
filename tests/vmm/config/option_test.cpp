// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/option.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vmm/config/expect_input_error.hpp"

namespace cxlvm::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr KeyInfo kKeys[] = {{"path", Kind::Text, "FILE", {}, {}},
                             {"readonly", Kind::Flag, {}, {}, {}},
                             {"queues", Kind::Number, "N", {}, {}}};
constexpr KeyInfo kFlagFirst[] = {{"stdio", Kind::Flag, {}, {}, {}},
                                  {"file", Kind::Text, "FILE", {}, {}}};

std::vector<std::string> split(std::string_view text, std::span<const KeyInfo> keys = kKeys) {
    std::vector<std::string> result;
    for (const Element& element : split_list("--disk", text, keys)) {
        result.push_back(std::string(keys[element.key].name) + ":" + element.text);
    }
    return result;
}

TEST(List, TakesTheFirstKeysValueAloneInFront) {
    EXPECT_THAT(split("a.img"), ElementsAre("path:a.img"));
    EXPECT_THAT(split("a.img,readonly,queues=4"),
                ElementsAre("path:a.img", "readonly:true", "queues:4"));
}

TEST(List, TakesKeysInAnyOrder) {
    EXPECT_THAT(split("queues=4,path=a.img"), ElementsAre("queues:4", "path:a.img"));
    EXPECT_THAT(split("readonly,path=a.img"), ElementsAre("readonly:true", "path:a.img"));
}

TEST(List, TakesAFlagWithItsValueSpeltOut) {
    EXPECT_THAT(split("readonly=false"), ElementsAre("readonly:false"));
}

TEST(List, KeepsADoubledCommaAndAnEqualsSignInAValue) {
    EXPECT_THAT(split("path=a,,b=c,readonly"), ElementsAre("path:a,b=c", "readonly:true"));
    EXPECT_THAT(split("a,,,,b"), ElementsAre("path:a,,b"));
}

TEST(List, TakesNothingAloneInFrontWhenTheFirstKeyIsAFlag) {
    EXPECT_THAT(split("stdio", kFlagFirst), ElementsAre("stdio:true"));
    EXPECT_THAT(input_error([] { (void)split("stdoi", kFlagFirst); }),
                HasSubstr("did you mean 'stdio'"));
}

TEST(List, RefusesAnUnknownKeyAndSuggestsTheNearest) {
    EXPECT_THAT(
        input_error([] { (void)split("a,redonly"); }),
        AllOf(HasSubstr("--disk"), HasSubstr("redonly"), HasSubstr("did you mean 'readonly'")));
    EXPECT_THAT(input_error([] { (void)split("a,zebra=1"); }),
                HasSubstr("known are path, readonly, queues"));
}

TEST(List, RefusesAKeyGivenTwiceHoweverItWasGiven) {
    EXPECT_THAT(input_error([] { (void)split("readonly,readonly=false"); }), HasSubstr("twice"));
    EXPECT_THAT(input_error([] { (void)split("a,path=b"); }), HasSubstr("path: given twice"));
}

TEST(List, RefusesAKeyWithoutItsValue) {
    EXPECT_THAT(input_error([] { (void)split("a,queues"); }), HasSubstr("queues=N"));
}

TEST(List, RefusesEmptyElements) {
    for (const char* text : {",", "a,", ",a", "a,, ,readonly,"}) {
        EXPECT_THAT(input_error([&] { (void)split(text); }), HasSubstr("empty element")) << text;
    }
}

TEST(List, NeedsAtLeastOneElement) {
    EXPECT_THAT(input_error([] { (void)split(""); }), HasSubstr("--disk: needs a value"));
}

TEST(List, RefusesAnEmptyKeyName) {
    EXPECT_THAT(input_error([] { (void)split("=a"); }), HasSubstr("unknown key"));
}

}  // namespace
}  // namespace cxlvm::config
