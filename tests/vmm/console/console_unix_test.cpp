// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <barrier>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "io/error.hpp"
#include "tests/vmm/console/console_support.hpp"
#include "vmm/console/console.hpp"

namespace cxlvm {
namespace {

using namespace std::chrono_literals;
using test::pattern;
using test::put;
using test::read_exactly;
using test::RunningConsole;
using test::TemporaryFolder;
using test::wait_until;

class ConsoleUnix : public testing::Test {
  protected:
    io::Fd connect() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, path_.size());
        io::Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(
            ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
        return client;
    }
    SerialConfig config() const { return {.kind = SerialConfig::Kind::Unix, .path = path_}; }

    TemporaryFolder folder_;
    std::string path_ = folder_.file("serial.sock");
};

TEST_F(ConsoleUnix, CarriesBytesBothWays) {
    RunningConsole console(config());
    EXPECT_EQ(console->path(), path_);
    const io::Fd client = connect();
    put(client.get(), "ls\n\x01x");
    wait_until([&] { return console.device.input() == "ls\n\x01x"; });
    EXPECT_EQ(console.quits, 0);
    console.write_all("hello");
    EXPECT_EQ(read_exactly(client.get(), 5), "hello");
    console.finish();
    EXPECT_EQ(test::read_to_end(client.get()), "");
}

TEST_F(ConsoleUnix, ShowsALateClientTheLatest64KiB) {
    const std::string text = pattern(2 << 20);
    RunningConsole console(config());
    console.write_all(text);
    wait_until([&] { return console->lost() == text.size() - ConsoleOutput::kReplay; });
    const io::Fd client = connect();
    EXPECT_EQ(read_exactly(client.get(), ConsoleOutput::kReplay),
              text.substr(text.size() - ConsoleOutput::kReplay));
    console.finish();
}

TEST_F(ConsoleUnix, ASecondClientWaitsForTheFirst) {
    RunningConsole console(config());
    io::Fd first = connect();
    put(first.get(), "1");
    wait_until([&] { return console.device.input() == "1"; });
    const io::Fd second = connect();
    put(second.get(), "2");
    console.write_all("for the first");
    EXPECT_EQ(read_exactly(first.get(), 13), "for the first");
    EXPECT_EQ(console.device.input(), "1");
    first.reset();
    wait_until([&] { return console.device.input() == "12"; });
    console.write_all("for the second");
    EXPECT_EQ(read_exactly(second.get(), 14), "for the second");
    console.finish();
}

TEST_F(ConsoleUnix, ClientsMayComeAndGoQuickly) {
    RunningConsole console(config());
    for (int i = 0; i < 200; ++i) {
        put(connect().get(), "x");
    }
    wait_until([&] { return console.device.input().size() == 200; });
    console.finish();
}

TEST_F(ConsoleUnix, AClientThatHasGoneIsNoticedThoughTheGuestDoesNotListen) {
    RunningConsole console(config());
    console.device.set_room(0);
    put(connect().get(), pattern(100'000));
    const io::Fd second = connect();
    console.write_all("hello");
    EXPECT_EQ(read_exactly(second.get(), 5), "hello");
    console.device.set_room(SIZE_MAX);
    console->input_ready();
    wait_until([&] { return console.device.input() == pattern(100'000); });
    console.finish();
}

TEST_F(ConsoleUnix, AClientThatOnlyStopsSendingStillReads) {
    RunningConsole console(config());
    const io::Fd client = connect();
    put(client.get(), "bye");
    ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
    wait_until([&] { return console.device.input() == "bye"; });
    std::this_thread::sleep_for(5ms);
    console.write_all("answer");
    EXPECT_EQ(read_exactly(client.get(), 6), "answer");
    console.finish();
}

TEST_F(ConsoleUnix, ASlowClientGetsEveryByteBeforeTheEnd) {
    const std::string text = pattern(4 << 20);
    RunningConsole console(config());
    const io::Fd client = connect();
    put(client.get(), "x");
    wait_until([&] { return console.device.input() == "x"; });
    std::thread vcpu([&] {
        console.write_all(text);
        console.begin_finish();
    });
    std::string seen;
    for (std::string part; !(part = read_exactly(client.get(), 100'000)).empty(); seen += part) {
        std::this_thread::sleep_for(1ms);
    }
    vcpu.join();
    console.wait_finished();
    EXPECT_EQ(seen, text);
    EXPECT_EQ(console->lost(), 0U);
}

TEST_F(ConsoleUnix, AClientThatLeavesInTheMiddleLeavesTheRestToTheNext) {
    RunningConsole console(config());
    io::Fd first = connect();
    put(first.get(), "x");
    wait_until([&] { return console.device.input() == "x"; });
    console.write_all(pattern(1 << 20));
    EXPECT_EQ(read_exactly(first.get(), 10).size(), 10U);
    first.reset();
    const io::Fd second = connect();
    EXPECT_EQ(read_exactly(second.get(), 1000).size(), 1000U);
    console.abandon();
    console.finish();
}

TEST_F(ConsoleUnix, TheSocketIsItsOwnersAloneAndRemovedAtTheEnd) {
    {
        RunningConsole console(config());
        struct stat status {};
        ASSERT_EQ(::stat(path_.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0600U);
        console.finish();
        console.destroy();
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ConsoleUnix, ReplacesTheSocketOfADeadProcess) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    {
        const io::Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
    }
    RunningConsole console(config());
    const io::Fd client = connect();
    console.write_all("x");
    EXPECT_EQ(read_exactly(client.get(), 1), "x");
    console.finish();
}

TEST_F(ConsoleUnix, GivesAStaleSocketToExactlyOneOfThoseThatStartAtOnce) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    for (int round = 0; round < 100; ++round) {
        {
            const io::Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ASSERT_EQ(
                ::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        }
        std::array<std::unique_ptr<RunningConsole>, 4> consoles;
        std::atomic<int> refused{0};
        std::barrier start(static_cast<std::ptrdiff_t>(consoles.size()));
        std::vector<std::thread> threads;
        for (auto& console : consoles) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                try {
                    console = std::make_unique<RunningConsole>(config());
                } catch (const io::Error& error) {
                    EXPECT_EQ(error.fault(), io::Fault::Input) << error.what();
                    ++refused;
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        ASSERT_EQ(refused, 3);
        for (auto& console : consoles) {
            if (console) {
                console->write_all("x");
                const io::Fd client = connect();
                ASSERT_EQ(read_exactly(client.get(), 1), "x")
                    << "the winner's socket was taken away";
                console->finish();
            }
        }
    }
}

TEST_F(ConsoleUnix, RemovesNoStaleSocketWithoutTheLockOfItsFolder) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    {
        const io::Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
    }
    {
        const io::Fd lock = io::open_file(std::filesystem::path(path_).parent_path().string(),
                                          O_RDONLY | O_DIRECTORY);
        ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
        try {
            RunningConsole console(config());
            ADD_FAILURE() << "the socket was replaced without the lock";
        } catch (const io::Error& error) {
            EXPECT_NE(std::string(error.what()).find(path_), std::string::npos) << error.what();
        }
        EXPECT_TRUE(std::filesystem::exists(path_));
    }
    RunningConsole console(config());
    console.finish();
}

TEST_F(ConsoleUnix, RefusesASocketInUseWithoutDisturbingIt) {
    RunningConsole first(config());
    first.write_all("kept");
    std::this_thread::sleep_for(5ms);
    try {
        RunningConsole second(config());
        FAIL() << "two consoles on one socket";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_NE(std::string(error.what()).find(path_), std::string::npos);
    }
    std::this_thread::sleep_for(5ms);
    const io::Fd client = connect();
    EXPECT_EQ(read_exactly(client.get(), 4), "kept");
    first.finish();
}

TEST_F(ConsoleUnix, RefusesToReplaceAFile) {
    std::ofstream(path_) << "precious";
    EXPECT_THROW(RunningConsole{config()}, io::Error);
    EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(ConsoleUnix, RefusesPathsThatDoNotFit) {
    path_ = folder_.file(std::string(200, 'x'));
    EXPECT_THROW(RunningConsole{config()}, io::Error);
    path_ = "";
    EXPECT_THROW(RunningConsole{config()}, io::Error);
}

TEST_F(ConsoleUnix, EndsWithTheLoopWhileAClientIsThere) {
    RunningConsole console(config());
    const io::Fd client = connect();
    console.write_all(pattern(1 << 20));
    std::this_thread::sleep_for(5ms);
    console.destroy();
    EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace cxlvm
