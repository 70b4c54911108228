// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "tests/vmm/config/expect_input_error.hpp"
#include "vmm/config/json.hpp"

namespace cxlvm::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

RunRequest request(std::vector<Given> options) {
    return make_run_request({Command::Run, {}, std::move(options)});
}

/// A file with `text` for the length of a test.
class ConfigFile {
  public:
    explicit ConfigFile(std::string_view text)
        : path_(testing::TempDir() + "cxlvm_run_options_test.json") {
        std::ofstream(path_) << text;
    }
    ConfigFile(const ConfigFile&) = delete;
    ConfigFile& operator=(const ConfigFile&) = delete;
    ~ConfigFile() { std::remove(path_.c_str()); }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

TEST(RunRequest, IsTheDefaultWhenNothingIsGiven) {
    const RunRequest nothing = request({});
    EXPECT_EQ(config::to_json(nothing.vm), config::to_json(VmConfig{}));
    EXPECT_EQ(nothing.program.log_level, io::LogLevel::Warn);
    EXPECT_FALSE(nothing.options.dump_config);
    EXPECT_FALSE(nothing.program.summary);
}

TEST(RunRequest, TakesBothTheMachinesOptionsAndTheProgramsOwn) {
    const RunRequest both = request({{"kernel", {"k"}},
                                     {"initrd", {"a", "b"}},
                                     {"log", {"debug,file=l"}},
                                     {"pidfile", {"p"}},
                                     {"summary", {"true"}}});
    EXPECT_EQ(both.vm.boot.kernel, "k");
    EXPECT_THAT(both.vm.boot.initrds, ElementsAre("a", "b"));
    EXPECT_EQ(both.program.log_level, io::LogLevel::Debug);
    EXPECT_EQ(both.program.log_file, "l");
    EXPECT_EQ(both.program.pidfile, "p");
    EXPECT_TRUE(both.program.summary);
}

TEST(RunRequest, ReplacesWholeOptionsOfTheFileByThoseGiven) {
    const ConfigFile file(
        R"({"kernel": "k", "initrd": ["a"], "memory": {"size": "1G", "thp": true}, "cpus": 2})");
    const RunRequest mixed =
        request({{"memory", {"2G"}}, {"initrd", {"b"}}, {"config", {file.path()}}});
    EXPECT_EQ(mixed.vm.boot.kernel, "k");
    EXPECT_EQ(mixed.vm.cpus.count, 2U);
    EXPECT_THAT(mixed.vm.boot.initrds, ElementsAre("b"));
    EXPECT_EQ(mixed.vm.memory.size, 2ULL << 30);
    EXPECT_EQ(mixed.vm.memory.backing, PageBacking::Anonymous);
}

TEST(RunRequest, TakesTheProgramsOwnOptionsFromTheFileToo) {
    const ConfigFile file(
        R"({"log": {"level": "info", "file": "l"}, "pidfile": "p", "summary": true})");
    const RunRequest mixed =
        request({{"pidfile", {"q"}}, {"log", {"trace"}}, {"config", {file.path()}}});
    EXPECT_EQ(mixed.program.log_level, io::LogLevel::Trace);
    EXPECT_EQ(mixed.program.log_file, "") << "the whole option is replaced";
    EXPECT_EQ(mixed.program.pidfile, "q");
    EXPECT_TRUE(mixed.program.summary);
}

TEST(RunRequest, NamesAnOptionInMessagesAsItWasGiven) {
    const ConfigFile file(R"({"memory": "1G", "cpus": 2})");
    const RunRequest mixed = request({{"cpus", {"3"}}, {"config", {file.path()}}});
    EXPECT_EQ(as_given("--memory: too much", mixed), file.path() + ": memory: too much");
    EXPECT_EQ(as_given("--cpus: too many", mixed), "--cpus: too many");
    EXPECT_EQ(as_given("--kernel: none", mixed), "--kernel: none");
    EXPECT_EQ(as_given("kernel: --memory: none", mixed), "kernel: --memory: none");
}

TEST(RunRequest, TakesBackWhatWasDumped) {
    const RunRequest first =
        request({{"cpus", {"4,threads=2"}}, {"serial", {"file=/a,,b"}}, {"cmdline", {"quiet"}}});
    const ConfigFile file(config::to_json(first.vm));
    const RunRequest second = request({{"config", {file.path()}}});
    EXPECT_EQ(config::to_json(second.vm), config::to_json(first.vm));
    EXPECT_EQ(second.vm.serial.path, "/a,b");
}

TEST(RunRequest, RefusesAnOptionGivenTwiceUnlessItRepeats) {
    EXPECT_THAT(input_error([] {
                    (void)request({{"memory", {"1G", "2G"}}});
                }),
                HasSubstr("--memory: given 2 times"));
}

TEST(RunRequest, NamesTheOptionOfABadValue) {
    EXPECT_THAT(input_error([] {
                    (void)request({{"log", {"loud"}}});
                }),
                AllOf(HasSubstr("--log: level=loud"), HasSubstr("warn")));
    EXPECT_THAT(input_error([] {
                    (void)request({{"config", {"/nonexistent.json"}}});
                }),
                HasSubstr("/nonexistent.json"));
}

}  // namespace
}  // namespace cxlvm::cli
