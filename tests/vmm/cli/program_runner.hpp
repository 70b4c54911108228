// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/vmm/console/console_support.hpp"

namespace cxlvm::cli {

/// Becomes the program in a forked child.
[[noreturn]] inline void become_cxlvm(const std::vector<std::string>& arguments) {
    std::vector<char*> words{const_cast<char*>("cxlvm")};
    for (const std::string& argument : arguments) {
        words.push_back(const_cast<char*>(argument.c_str()));
    }
    words.push_back(nullptr);
    ::execv(CXLVM_BINARY, words.data());
    ::_exit(127);
}

inline std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Starts the program as a user does, and reads what it says.
class ProgramRunner {
  public:
    struct Ended {
        int status = -1;  ///< of waitpid(2)
        std::string errors;
    };
    /// Starts the program with its standard error in a file, and what `prepare` does before that.
    template <typename Prepare>
    [[nodiscard]] pid_t start(const std::vector<std::string>& arguments, Prepare prepare) {
        std::filesystem::remove(output());  // what it says is to be its own
        const pid_t child = ::fork();
        if (child == 0) {
            ::close(0);
            ::open("/dev/null", O_RDONLY);
            ::close(1);
            ::open(output().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            ::close(2);
            ::open(errors().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            prepare();
            become_cxlvm(arguments);
        }
        return child;
    }
    [[nodiscard]] pid_t start(const std::vector<std::string>& arguments) {
        return start(arguments, [] {});
    }
    Ended wait_for(pid_t child) {
        Ended ended;
        EXPECT_EQ(::waitpid(child, &ended.status, 0), child);
        ended.errors = text_of(errors());
        return ended;
    }
    [[nodiscard]] std::string output() const { return folder_.file("output"); }
    [[nodiscard]] std::string errors() const { return folder_.file("errors"); }
    [[nodiscard]] bool guest_runs() const { return !text_of(output()).empty(); }

  private:
    test::TemporaryFolder folder_;  ///< for nothing else
};

}  // namespace cxlvm::cli
