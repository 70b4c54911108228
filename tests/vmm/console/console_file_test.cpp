// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "io/error.hpp"
#include "tests/vmm/console/console_support.hpp"
#include "vmm/console/console.hpp"

namespace cxlvm {
namespace {

using test::bytes;
using test::pattern;
using test::RunningConsole;
using test::TemporaryFolder;

std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

SerialConfig file_config(const std::string& path) {
    return {.kind = SerialConfig::Kind::File, .path = path};
}

TEST(ConsoleFile, EveryByteIsInTheFileOnceFinished) {
    const TemporaryFolder folder;
    const std::string path = folder.file("serial.log");
    const std::string text = pattern(5 << 20);
    {
        RunningConsole console(file_config(path));
        console.write_all(text);
        console.finish();
        EXPECT_EQ(console->lost(), 0U);
        EXPECT_EQ(console->path(), "");
    }
    EXPECT_EQ(contents(path), text);
}

TEST(ConsoleFile, SingleBytesArriveInOrder) {
    const TemporaryFolder folder;
    const std::string path = folder.file("serial.log");
    const std::string text = pattern(20'000);
    RunningConsole console(file_config(path));
    for (const char& byte : text) {
        console.write_all({&byte, 1});
    }
    console.finish();
    EXPECT_EQ(contents(path), text);
}

TEST(ConsoleFile, ReplacesWhatTheFileHeld) {
    const TemporaryFolder folder;
    const std::string path = folder.file("serial.log");
    std::ofstream(path) << "a long text of an earlier run";
    RunningConsole console(file_config(path));
    console.write_all("new");
    console.finish();
    EXPECT_EQ(contents(path), "new");
}

TEST(ConsoleFile, RefusesASecondWriterWithoutHarmToTheFirst) {
    const TemporaryFolder folder;
    const std::string path = folder.file("serial.log");
    RunningConsole first(file_config(path));
    first.write_all("first");
    try {
        RunningConsole second(file_config(path));
        FAIL() << "two writers on one file";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
    }
    first.finish();
    EXPECT_EQ(contents(path), "first");
}

TEST(ConsoleFile, NamesAFileThatCannotBeMade) {
    try {
        RunningConsole console(file_config("/nonexistent/serial.log"));
        FAIL() << "nothing was thrown";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_NE(std::string(error.what()).find("/nonexistent/serial.log"), std::string::npos);
    }
}

TEST(ConsoleFile, RefusesAFifoThatNobodyReads) {
    const TemporaryFolder folder;
    const std::string path = folder.file("fifo");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_THROW(RunningConsole{file_config(path)}, io::Error);
}

TEST(ConsoleFile, WritesIntoAFifoAtItsReadersSpeed) {
    const TemporaryFolder folder;
    const std::string path = folder.file("fifo");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const io::Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const std::string text = pattern(300'000);
    RunningConsole console(file_config(path));
    console.write_all(text);
    console.begin_finish();
    EXPECT_EQ(test::read_exactly(reader.get(), text.size()), text);
    console.wait_finished();
}

TEST(ConsoleFile, AFullDiskLosesOutputAndNothingElse) {
    RunningConsole console(file_config("/dev/full"));
    console.write_all("abc");
    test::wait_until([&] { return console->lost() == 3; });
    console.write_all(pattern(3 << 20));
    console.finish();
    EXPECT_EQ(console->lost(), 3U + (3U << 20));
}

TEST(ConsoleNull, TakesEverythingAndCountsNothingAsLost) {
    RunningConsole console({.kind = SerialConfig::Kind::Null, .path = {}});
    EXPECT_EQ(console->write(bytes(pattern(2 << 20))), std::size_t{2} << 20);
    console.finish();
    EXPECT_EQ(console->lost(), 0U);
}

TEST(ConsoleNull, MayBeFinishedBeforeItWasStarted) {
    io::EventLoop loop;
    io::Log log;
    Console console({.kind = SerialConfig::Kind::Null, .path = {}}, loop, log);
    bool done = false;
    io::Task task(&done, [](void* flag) noexcept { *static_cast<bool*>(flag) = true; });
    console.finish(task);
    loop.run_ready();
    EXPECT_TRUE(done);
}

TEST(ConsoleFile, KeepsWhatIsWrittenBeforeTheStart) {
    const TemporaryFolder folder;
    const std::string path = folder.file("serial.log");
    io::EventLoop loop;
    io::Log log;
    Console console(file_config(path), loop, log);
    EXPECT_EQ(console.write(bytes("early")), 5U);
    bool done = false;
    io::Task task(&done, [](void* flag) noexcept { *static_cast<bool*>(flag) = true; });
    console.start();
    console.finish(task);
    test::wait_until([&] {
        loop.run_ready();
        return done;
    });
    EXPECT_EQ(contents(path), "early");
}

}  // namespace
}  // namespace cxlvm
