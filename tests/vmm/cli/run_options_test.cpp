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
    EXPECT_EQ(nothing.options.log_level, io::LogLevel::Warn);
    EXPECT_FALSE(nothing.options.dump_config);
    EXPECT_FALSE(nothing.options.summary);
}

TEST(RunRequest, TakesBothTheMachinesOptionsAndTheProgramsOwn) {
    const RunRequest both = request({{"kernel", {"k"}},
                                     {"initrd", {"a", "b"}},
                                     {"log", {"debug,file=l"}},
                                     {"pidfile", {"p"}},
                                     {"summary", {"true"}}});
    EXPECT_EQ(both.vm.boot.kernel, "k");
    EXPECT_THAT(both.vm.boot.initrds, ElementsAre("a", "b"));
    EXPECT_EQ(both.options.log_level, io::LogLevel::Debug);
    EXPECT_EQ(both.options.log_file, "l");
    EXPECT_EQ(both.options.pidfile, "p");
    EXPECT_TRUE(both.options.summary);
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
