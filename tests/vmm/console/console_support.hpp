// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "io/error.hpp"
#include "io/event_loop.hpp"
#include "io/fd.hpp"
#include "tests/support/pipe.hpp"
#include "tests/support/terminal.hpp"
#include "vmm/console/console.hpp"

namespace cxlvm::test {

using namespace std::chrono_literals;

inline std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// Text of `size` bytes in which every position is recognisable.
inline std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('!' + (i * 7 + i / 251) % 90);
    }
    return text;
}

template <typename Condition>
void wait_until(Condition done) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
        ASSERT_LT(std::chrono::steady_clock::now(), limit) << "did not happen in time";
        std::this_thread::sleep_for(200us);
    }
}

/// A guest's device that takes up to `room` bytes of input.
class FakeDevice final : public CharacterDevice {
  public:
    std::size_t receive(std::span<const std::byte> data) noexcept override {
        const std::lock_guard lock(mutex_);
        const std::size_t count = std::min(data.size(), room_);
        input_.append(reinterpret_cast<const char*>(data.data()), count);
        room_ -= count;
        return count;
    }
    void output_ready() noexcept override { ready_calls.fetch_add(1); }

    void set_room(std::size_t room) {
        const std::lock_guard lock(mutex_);
        room_ = room;
    }
    std::string input() {
        const std::lock_guard lock(mutex_);
        return input_;
    }

    std::atomic<int> ready_calls{0};

  private:
    std::mutex mutex_;
    std::string input_;
    std::size_t room_ = SIZE_MAX;
};

/// A console on a loop of its own thread, as in a VM.
class RunningConsole {
  public:
    explicit RunningConsole(const SerialConfig& config)
        : console_(std::make_unique<Console>(config, loop_, log_,
                                             QuitHandler::to<&RunningConsole::on_quit>(*this))) {
        console_->attach(device);
        console_->start();
        thread_ = std::thread([this] { loop_.run(); });
    }
    RunningConsole(const RunningConsole&) = delete;
    RunningConsole& operator=(const RunningConsole&) = delete;
    ~RunningConsole() { stop(); }

    Console& operator*() { return *console_; }
    Console* operator->() { return console_.get(); }

    /// What a vCPU does: writes all of it, waiting for room.
    void write_all(std::string_view text) {
        const auto limit = std::chrono::steady_clock::now() + 20s;
        while (!text.empty()) {
            const int ready = device.ready_calls;
            const std::size_t taken = console_->write(bytes(text));
            const bool full = taken < text.size();
            text.remove_prefix(taken);
            while (full && device.ready_calls == ready) {
                ASSERT_LT(std::chrono::steady_clock::now(), limit) << "no output_ready()";
                std::this_thread::sleep_for(100us);
            }
        }
    }
    void begin_finish() { loop_.post(finish_task_); }
    void abandon() { loop_.post(abandon_task_); }
    void wait_finished() {
        wait_until([this] { return finished.load(); });
    }
    /// Flushes and closes the console.
    void finish() {
        begin_finish();
        wait_finished();
        stop();
    }
    /// Ends the loop, with or without finish().
    void stop() {
        if (thread_.joinable()) {
            loop_.stop();
            thread_.join();
        }
    }
    void destroy() {
        stop();
        console_.reset();
    }

    FakeDevice device;
    std::atomic<bool> finished{false};
    std::atomic<int> quits{0};

  private:
    void on_quit() noexcept { quits.fetch_add(1); }
    void on_finish() noexcept { console_->finish(done_task_); }
    void on_abandon() noexcept { console_->abandon(); }
    void on_done() noexcept { finished = true; }

    io::EventLoop loop_{{.entries = 16, .name = "console test"}};
    io::Log log_{2, io::LogLevel::Error};
    std::unique_ptr<Console> console_;
    io::Task finish_task_ = io::Task::to<&RunningConsole::on_finish>(*this);
    io::Task abandon_task_ = io::Task::to<&RunningConsole::on_abandon>(*this);
    io::Task done_task_ = io::Task::to<&RunningConsole::on_done>(*this);
    std::thread thread_;
};

/// Reads until `size` bytes have come or the stream ends; fails the test after ten quiet seconds.
inline std::string read_exactly(int fd, std::size_t size) {
    std::string text;
    char buffer[4096];
    while (text.size() < size) {
        pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, 10'000) != 1) {
            ADD_FAILURE() << "got " << text.size() << " of " << size << " bytes";
            break;
        }
        const ssize_t count = ::read(fd, buffer, std::min(sizeof buffer, size - text.size()));
        if (count <= 0) {
            break;
        }
        text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
}

inline std::string read_to_end(int fd) {
    return read_exactly(fd, SIZE_MAX);
}

inline void put(int fd, std::string_view text) {
    // The kernel's work for an io_uring that this thread once had cuts blocking writes short.
    while (!text.empty()) {
        const ssize_t count =
            io::retry_eintr([&] { return ::write(fd, text.data(), text.size()); });
        ASSERT_GT(count, 0);
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

/// A folder that is removed with its contents.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        char name[] = "/tmp/cxlvm-test-XXXXXX";
        EXPECT_NE(::mkdtemp(name), nullptr);
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

/// Puts other files in the place of standard input and output for a while. What the tests
/// themselves print goes where it went.
class ReplacedStdio {
  public:
    ReplacedStdio(int input, int output)
        : input_(::fcntl(0, F_DUPFD_CLOEXEC, 10)),
          output_(::fcntl(1, F_DUPFD_CLOEXEC, 10)),
          stream_(::fdopen(::fcntl(1, F_DUPFD_CLOEXEC, 10), "w")),
          previous_(stdout) {
        ::fflush(stdout);
        stdout = stream_;
        EXPECT_EQ(::dup2(input, 0), 0);
        EXPECT_EQ(::dup2(output, 1), 1);
    }
    ReplacedStdio(const ReplacedStdio&) = delete;
    ReplacedStdio& operator=(const ReplacedStdio&) = delete;
    ~ReplacedStdio() {
        ::dup2(input_.get(), 0);
        ::dup2(output_.get(), 1);
        stdout = previous_;
        ::fclose(stream_);
    }

  private:
    io::Fd input_;
    io::Fd output_;
    FILE* stream_;
    FILE* previous_;
};

}  // namespace cxlvm::test
