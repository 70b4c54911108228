// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/vmm/cli/program_runner.hpp"

namespace cxlvm::cli {

/// Something that a user gets wrong, and what `cxlvm run` must make of it. "@" in a word stands for
/// the folder of the test.
struct BadCase {
    const char* name;
    std::vector<std::string> arguments;  ///< behind "run"
    int exit_code;
    std::vector<std::string> parts;  ///< of the message, which begins with the first one
    /// A resource (setrlimit(2)) of which there is no more than this.
    struct Limit {
        int resource;
        rlim_t most;
    };
    std::optional<Limit> limit{};
};

inline void PrintTo(const BadCase& bad, std::ostream* out) {
    *out << bad.name;
}

/// Runs such cases in a folder that must look the same afterwards.
class BadCaseRunner : public ProgramRunner {
  public:
    [[nodiscard]] std::string file(const std::string& name) const { return folder_.file(name); }

    /// Where the case does not say otherwise the VM would have a pidfile and an output file.
    void run(const BadCase& bad) {
        std::vector<std::string> words{"run"};
        for (const std::string& argument : bad.arguments) {
            words.push_back(in_folder(argument));
        }
        const auto add = [&](const char* option, const char* value) {
            if (std::find(words.begin(), words.end(), option) == words.end()) {
                words.insert(words.end(), {option, in_folder(value)});
            }
        };
        add("--pidfile", "@/pid");
        add("--serial", "file=@/console");

        const auto before = contents();
        const Ended ended = wait_for(start(words, [&] {
            ::setenv("XDG_CACHE_HOME", file("").c_str(), 1);
            obey_permissions();
            if (bad.limit) {
                const rlimit most{bad.limit->most, bad.limit->most};
                ::setrlimit(static_cast<__rlimit_resource>(bad.limit->resource), &most);
            }
        }));
        ASSERT_TRUE(WIFEXITED(ended.status)) << ended.status;
        EXPECT_EQ(WEXITSTATUS(ended.status), bad.exit_code) << ended.errors;
        EXPECT_TRUE(ended.errors.starts_with("cxlvm: error: " + in_folder(bad.parts.front())))
            << ended.errors;
        for (const std::string& part : bad.parts) {
            EXPECT_NE(ended.errors.find(in_folder(part)), std::string::npos)
                << "without '" << part << "': " << ended.errors;
        }
        EXPECT_EQ(std::count(ended.errors.begin(), ended.errors.end(), '\n'), 1) << ended.errors;
        EXPECT_EQ(text_of(output()), "");
        EXPECT_EQ(contents(), before) << "something was left behind, or is gone";
    }

  private:
    [[nodiscard]] std::string in_folder(std::string text) const {
        for (std::size_t at = text.find('@'); at != text.npos; at = text.find('@', at)) {
            const std::string folder = file("");
            text.replace(at, 1, folder.substr(0, folder.size() - 1));
        }
        return text;
    }
    /// Root may open everything, and would not see what a user sees.
    static void obey_permissions() {
        for (const int capability : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH}) {
            ::prctl(PR_CAPBSET_DROP, capability);
        }
    }
    /// Every name in the folder, and the text of the files.
    [[nodiscard]] std::map<std::string, std::string> contents() const {
        std::map<std::string, std::string> all;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(file(""))) {
            const bool small = std::filesystem::is_regular_file(entry.symlink_status()) &&
                               entry.file_size() < 100'000;
            all[entry.path().string()] = small ? text_of(entry.path().string()) : "";
        }
        return all;
    }

    test::TemporaryFolder folder_;
};

}  // namespace cxlvm::cli
