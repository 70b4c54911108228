// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/passt.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>

#include "io/error.hpp"
#include "tests/devices/virtio/net/net_fixture.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::no_offloads;
using test::pattern;

class PasstTest : public testing::Test {
  protected:
    PasstTest() {
        char name[] = "/tmp/cxlvm-passt-XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    ~PasstTest() override {
        ::unlink(socket().c_str());
        ::unlink((folder_ + "/passt").c_str());
        ::rmdir(folder_.c_str());
        ::setenv("PATH", path_.c_str(), 1);
    }
    PasstTest(const PasstTest&) = delete;
    PasstTest& operator=(const PasstTest&) = delete;

    [[nodiscard]] std::string socket() const { return folder_ + "/socket"; }
    [[nodiscard]] io::Fd listen(int type) const {
        io::Fd listener(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socket().copy(address.sun_path, sizeof(address.sun_path) - 1);
        EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
                  0);
        EXPECT_TRUE(type != SOCK_STREAM || ::listen(listener.get(), 1) == 0);
        return listener;
    }
    /// A double for passt, found before the real one.
    void install(const std::string& script) const {
        std::ofstream(folder_ + "/passt") << "#!/bin/sh\n" << script;
        ASSERT_EQ(::chmod((folder_ + "/passt").c_str(), 0700), 0);
        ::setenv("PATH", (folder_ + ":" + path_).c_str(), 1);
    }
    [[nodiscard]] static std::string refusal(const std::string& socket) {
        try {
            const Passt passt(socket, 0);
            return "nothing was refused";
        } catch (const io::Error& error) {
            return error.what();
        }
    }

    std::string folder_;
    std::string path_ = std::getenv("PATH");
};

TEST_F(PasstTest, ConnectsToOneThatRuns) {
    const io::Fd listener = listen(SOCK_STREAM);
    const Passt passt(socket(), 0);
    const io::Fd network(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::string frame = no_offloads() + pattern(60);
    const iovec segment{.iov_base = const_cast<char*>(frame.data()), .iov_len = frame.size()};
    EXPECT_EQ(passt.ports()[0]->send(std::span(&segment, 1)), 0);
    std::string got(100, '?');
    EXPECT_EQ(::recv(network.get(), got.data(), got.size(), 0), 64);
    EXPECT_EQ(got.substr(0, 64), std::string("\0\0\0\x3c", 4) + pattern(60));
    EXPECT_EQ(passt.offloads(), 0U);
}

TEST_F(PasstTest, WhatCannotBeConnectedToIsNamedWithItsRemedy) {
    EXPECT_THAT(refusal(socket()), testing::StartsWith("--net: cannot connect to " + socket()));
    EXPECT_THAT(refusal(std::string(200, 'x')), testing::HasSubstr("longer than the 107 bytes"));
    { const io::Fd listener = listen(SOCK_STREAM); }
    EXPECT_THAT(refusal(socket()), testing::HasSubstr("nobody listens there; start \"passt"));
    ::unlink(socket().c_str());
    const io::Fd datagrams = listen(SOCK_DGRAM);
    EXPECT_THAT(refusal(socket()), testing::HasSubstr("no stream socket"));
}

TEST_F(PasstTest, StartsOneWithItsEndOfASocketPair) {
    // Gives every frame back, when it was called as it is to be.
    install("[ \"$*\" = '--foreground --quiet --fd 3 --mtu 9000' ] && exec cat <&3 >&3");
    const Passt passt("", 9000);
    Port& port = *passt.ports()[0];
    const std::string frame = no_offloads() + pattern(60);
    const iovec segment{.iov_base = const_cast<char*>(frame.data()), .iov_len = frame.size()};
    ASSERT_EQ(port.send(std::span(&segment, 1)), 0);
    pollfd wait{.fd = port.fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&wait, 1, 60'000), 1);
    std::string room(Port::kMinRoom, '?');
    const iovec space{.iov_base = room.data(), .iov_len = room.size()};
    EXPECT_EQ(port.receive(std::span(&space, 1)), 72);
    EXPECT_EQ(room.substr(0, 72), frame);
}

TEST_F(PasstTest, EndsTheOneThatItStarted) {
    const std::string note = socket();
    install("echo $$ > " + note + "; exec sleep 1000");
    ::pid_t child = 0;
    {
        const Passt passt("", 0);
        while (child == 0) {
            std::ifstream(note) >> child;
        }
        EXPECT_EQ(::kill(child, 0), 0);
    }
    EXPECT_EQ(::kill(child, 0), -1);
    EXPECT_EQ(errno, ESRCH);
}

TEST_F(PasstTest, OneThatEndsByItselfIsTheEndOfTheStream) {
    install("exit 1");
    const Passt passt("", 0);
    Port& port = *passt.ports()[0];
    pollfd wait{.fd = port.fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&wait, 1, 60'000), 1);
    std::string room(Port::kMinRoom, '?');
    const iovec space{.iov_base = room.data(), .iov_len = room.size()};
    EXPECT_EQ(port.receive(std::span(&space, 1)), 0);
}

TEST_F(PasstTest, SaysHowToInstallIt) {
    ::setenv("PATH", folder_.c_str(), 1);
    EXPECT_THAT(refusal(""), testing::HasSubstr("apt-get install passt"));
}

}  // namespace
}  // namespace cxlvm::virtio::net
