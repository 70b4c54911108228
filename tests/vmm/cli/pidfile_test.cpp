// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/pidfile.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "tests/vmm/config/expect_input_error.hpp"

namespace cxlvm::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class PidfileTest : public testing::Test {
  protected:
    PidfileTest() : path_(testing::TempDir() + "cxlvm_pidfile_test") { ::unlink(path_.c_str()); }
    ~PidfileTest() override { ::unlink(path_.c_str()); }

    [[nodiscard]] bool exists() const { return ::access(path_.c_str(), F_OK) == 0; }
    [[nodiscard]] std::string text() const {
        std::ifstream file(path_);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::string path_;
};

TEST_F(PidfileTest, HoldsOurProcessIdUntilDestroyed) {
    {
        const Pidfile pidfile(path_);
        EXPECT_EQ(text(), std::to_string(::getpid()) + "\n");
        EXPECT_EQ(pidfile.stale_owner(), std::nullopt);
    }
    EXPECT_FALSE(exists());
}

TEST_F(PidfileTest, IsRefusedToASecondOwnerAndNamesTheFirst) {
    const Pidfile first(path_);
    EXPECT_THAT(input_error([&] { const Pidfile second(path_); }),
                AllOf(HasSubstr("--pidfile"), HasSubstr(path_),
                      HasSubstr("(" + std::to_string(::getpid()) + ")")));
    EXPECT_TRUE(exists()) << "the refused one removed the first one's file";
}

TEST_F(PidfileTest, OfADeadProcessIsTakenOver) {
    std::ofstream(path_) << "99999999\n";
    const Pidfile pidfile(path_);
    EXPECT_EQ(pidfile.stale_owner(), 99999999);
    EXPECT_EQ(text(), std::to_string(::getpid()) + "\n");
}

TEST_F(PidfileTest, LeftEmptyIsTakenOver) {
    std::ofstream(path_) << "";
    const Pidfile pidfile(path_);
    EXPECT_EQ(text(), std::to_string(::getpid()) + "\n");
}

TEST_F(PidfileTest, DoesNotOverwriteAFileThatIsNone) {
    for (const char* content : {"precious data", "12 monkeys\n", "12", "\n"}) {
        std::ofstream(path_) << content;
        EXPECT_THAT(input_error([&] { const Pidfile pidfile(path_); }),
                    HasSubstr("something else than a process id"));
        EXPECT_EQ(text(), content);
    }
}

TEST_F(PidfileTest, RefusesAFolderASymbolicLinkAndAPipe) {
    EXPECT_THAT(input_error([] { const Pidfile pidfile("/tmp"); }), HasSubstr("/tmp"));
    ASSERT_EQ(::symlink("/dev/null", path_.c_str()), 0);
    EXPECT_THAT(input_error([&] { const Pidfile pidfile(path_); }), HasSubstr(path_));
    ::unlink(path_.c_str());
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    EXPECT_THAT(input_error([&] { const Pidfile pidfile(path_); }),
                HasSubstr("not an ordinary file"));
}

}  // namespace
}  // namespace cxlvm::cli
