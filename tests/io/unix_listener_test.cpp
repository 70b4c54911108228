// SPDX-License-Identifier: Apache-2.0
#include "io/unix_listener.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "io/error.hpp"

namespace cxlvm::io {
namespace {

class UnixListenerTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = "/tmp/listenXXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        path_ = folder_ + "/socket";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] UnixListener::Config config(const std::string& path) const {
        return {.path = path, .option = "--test"};
    }
    [[nodiscard]] bool connects() const {
        const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_un address = unix_address(path_).value();
        return ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address),
                         sizeof address) == 0;
    }
    /// What a listener at `path` is refused with.
    [[nodiscard]] std::string refusal(const std::string& path) const {
        try {
            const UnixListener listener(config(path));
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::Input);
            return error.what();
        }
        return "";
    }

    std::string folder_;
    std::string path_;
};

TEST_F(UnixListenerTest, IsItsOwnersAloneAndRemovedWithItsObject) {
    {
        const UnixListener listener(config(path_));
        EXPECT_EQ(listener.path(), path_);
        EXPECT_TRUE(connects());
        EXPECT_EQ(std::filesystem::status(path_).permissions(),
                  std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixListenerTest, TakesAStaleSocketOver) {
    {
        const Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_un address = unix_address(path_).value();
        ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
    }
    EXPECT_FALSE(connects());
    const UnixListener listener(config(path_));
    EXPECT_TRUE(connects());
}

TEST_F(UnixListenerTest, LeavesAnothersFileAlone) {
    {
        const UnixListener listener(config(path_));
        EXPECT_NE(refusal(path_).find("--test: " + path_ + ": another process listens"),
                  std::string::npos);
        std::filesystem::rename(path_, path_ + ".old");
        std::ofstream(path_) << "mine";
    }
    EXPECT_TRUE(std::filesystem::is_regular_file(path_));
    EXPECT_NE(refusal(path_).find("no socket"), std::string::npos);
}

TEST_F(UnixListenerTest, SaysWhatIsWrongWithAPath) {
    EXPECT_NE(refusal("").find("give one"), std::string::npos);
    EXPECT_NE(refusal("/tmp/" + std::string(kMaxUnixPath, 'x')).find("shorten it"),
              std::string::npos);
    EXPECT_NE(refusal(folder_ + "/none/socket").find("--test: cannot make the socket"),
              std::string::npos);
    EXPECT_EQ(refusal(folder_ + "/" + std::string(kMaxUnixPath - folder_.size() - 1, 'x')), "");
}

}  // namespace
}  // namespace cxlvm::io
