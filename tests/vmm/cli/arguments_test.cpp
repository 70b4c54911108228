// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vmm/config/expect_input_error.hpp"

namespace cxlvm::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Arguments parse(std::vector<const char*> words) {
    words.insert(words.begin(), "cxlvm");
    return parse_arguments(static_cast<int>(words.size()), words.data());
}

std::vector<std::string> values_of(const Arguments& arguments, std::string_view name) {
    for (const Given& given : arguments.options) {
        if (given.name == name) {
            return given.values;
        }
    }
    return {};
}

TEST(Arguments, HoldTheOptionsOfRunAsTheyWereGiven) {
    const Arguments arguments = parse({"run", "--kernel", "k", "--initrd", "a", "--initrd=b",
                                       "--memory", "1G,prefault", "--no-cache"});
    EXPECT_EQ(arguments.command, Command::Run);
    EXPECT_THAT(values_of(arguments, "kernel"), ElementsAre("k"));
    EXPECT_THAT(values_of(arguments, "initrd"), ElementsAre("a", "b"));
    EXPECT_THAT(values_of(arguments, "memory"), ElementsAre("1G,prefault"));
    EXPECT_THAT(values_of(arguments, "no-cache"), ElementsAre("true"));
    EXPECT_EQ(arguments.options.size(), 4U);
}

TEST(Arguments, KeepValuesVerbatim) {
    for (const char* text : {"a b  c", "[x]", "{}", "a,b", "\"q\"", "x=y", "%%", "-"}) {
        const std::string joined = std::string("--cmdline=") + text;
        EXPECT_THAT(values_of(parse({"run", "--cmdline", text}), "cmdline"), ElementsAre(text));
        EXPECT_THAT(values_of(parse({"run", joined.c_str()}), "cmdline"), ElementsAre(text));
    }
    for (const char* text : {"--x -y", "--no-cache", "-v"}) {
        EXPECT_THAT(values_of(parse({"run", "--cmdline", text}), "cmdline"), ElementsAre(text))
            << "a value may look like an option";
    }
}

TEST(Arguments, KeepEveryValueOfAnOptionGivenTwice) {
    EXPECT_THAT(values_of(parse({"run", "--kernel", "a", "--kernel", "b"}), "kernel"),
                ElementsAre("a", "b"));
}

TEST(Arguments, AskForHelpOfTheProgramOrOfACommand) {
    for (const char* word : {"--help", "-h"}) {
        EXPECT_EQ(parse({word}).command, Command::Help);
        EXPECT_EQ(parse({word}).help_for, "");
        EXPECT_EQ(parse({"run", word}).help_for, "run");
        EXPECT_EQ(parse({"check", word}).help_for, "check");
    }
    EXPECT_EQ(parse({"run", "--kernel", "k", "--help"}).command, Command::Help);
    EXPECT_EQ(parse({"--version"}).command, Command::Version);
}

TEST(Arguments, OfCheck) {
    EXPECT_EQ(parse({"check"}).command, Command::Check);
    EXPECT_THAT(parse({"check"}).options, IsEmpty());
    EXPECT_THAT(values_of(parse({"check", "--json"}), "json"), ElementsAre("true"));
}

TEST(Arguments, AreRefusedWhenUnknownWithTheNearestName) {
    EXPECT_THAT(input_error([] {
                    (void)parse({"run", "--memroy", "1G"});
                }),
                AllOf(HasSubstr("--memroy"), HasSubstr("did you mean --memory?")));
    EXPECT_THAT(input_error([] {
                    (void)parse({"run", "--kernal=x"});
                }),
                AllOf(HasSubstr("unknown option --kernal;"), HasSubstr("--kernel")));
    EXPECT_THAT(input_error([] { (void)parse({"run", "--zebra"}); }), HasSubstr("--help"));
    EXPECT_THAT(input_error([] { (void)parse({"rnu"}); }), HasSubstr("did you mean 'run'?"));
    EXPECT_THAT(input_error([] { (void)parse({"help"}); }), HasSubstr("did you mean --help?"));
    EXPECT_THAT(input_error([] { (void)parse({"version"}); }),
                HasSubstr("did you mean --version?"));
    EXPECT_THAT(input_error([] {
                    (void)parse({"run", "vmlinuz"});
                }),
                HasSubstr("unexpected argument 'vmlinuz'"));
    EXPECT_THAT(input_error([] { (void)parse({"--kernel", "k"}); }), HasSubstr("cxlvm run"));
    EXPECT_THAT(input_error([] { (void)parse({"run", "-k"}); }), HasSubstr("-k"));
    EXPECT_THAT(input_error([] {
                    (void)parse({"run", "--foo"});
                }),
                HasSubstr("'cxlvm run --help'"))
        << "nothing is near enough";
}

TEST(Arguments, AreRefusedWithoutACommandOrAValue) {
    EXPECT_THAT(input_error([] { (void)parse({}); }), HasSubstr("cxlvm --help"));
    EXPECT_THAT(input_error([] {
                    (void)parse({"run", "--kernel"});
                }),
                HasSubstr("--kernel: needs a value"));
    EXPECT_THAT(input_error([] {
                    (void)parse({"run", "--kernel", "--memory", "1G"});
                }),
                HasSubstr("--kernel: needs a value, and --memory is an option"));
    EXPECT_THAT(values_of(parse({"run", "--cmdline", "-- --memory"}), "cmdline"),
                ElementsAre("-- --memory"));
    EXPECT_THAT(values_of(parse({"run", "--cmdline", "--memory"}), "cmdline"),
                ElementsAre("--memory"));
}

}  // namespace
}  // namespace cxlvm::cli
