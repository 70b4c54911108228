// SPDX-License-Identifier: Apache-2.0
// Several vCPUs and the loop at one serial port; meant for the thread sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "devices/legacy/serial_16550.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm {
namespace {

using test::read8;
using test::write8;

constexpr std::uint64_t kData = 0;
constexpr std::uint64_t kFcr = 2;
constexpr std::uint64_t kLsr = 5;
constexpr unsigned kDataReady = 0x01;
constexpr unsigned kThre = 0x20;

/// A backend with a small buffer that a loop thread empties, as a console does.
class SlowHost final : public CharacterHost {
  public:
    std::size_t write(std::span<const std::byte> data) noexcept override {
        EXPECT_FALSE(busy_.exchange(true)) << "two threads are sending at once";
        std::size_t taken = 0;
        {
            const std::lock_guard lock(mutex_);
            taken = std::min(data.size(), kRoom - used_);
            used_ += taken;
            refused_ = refused_ || taken < data.size();
            for (const std::byte value : data.first(taken)) {
                output_.push_back(static_cast<char>(value));
            }
        }
        busy_ = false;
        return taken;
    }
    void input_ready() noexcept override { input_ready_ = true; }

    /// Makes room; returns whether the device is to be told.
    bool flush() {
        const std::lock_guard lock(mutex_);
        used_ = 0;
        return std::exchange(refused_, false);
    }
    bool take_input_ready() { return input_ready_.exchange(false); }
    std::string output() {
        const std::lock_guard lock(mutex_);
        return output_;
    }

  private:
    static constexpr std::size_t kRoom = 5;
    std::atomic<bool> busy_{false};
    std::atomic<bool> input_ready_{false};
    std::mutex mutex_;
    std::size_t used_ = 0;
    bool refused_ = false;
    std::string output_;
};

class SerialThreadsTest : public testing::Test {
  protected:
    SerialThreadsTest() { write8(serial_, kFcr, 0x01); }

    /// What the loop does until `done`, and once more.
    void serve_output(const std::atomic<bool>& done) {
        for (bool last = false; !last;) {
            last = done;
            if (host_.flush()) {
                serial_.output_ready();
            }
            std::this_thread::yield();
        }
        while (serial_.pending_output() != 0) {
            host_.flush();
            serial_.output_ready();
        }
    }

    io::Log log_{2, io::LogLevel::Off};
    SlowHost host_;
    test::FakeIrqLine irq_;
    Serial16550 serial_{host_, irq_, log_};
};

TEST_F(SerialThreadsTest, KeepsTheOrderOfEachVcpuAndLosesNothingThatIsWrittenInTurn) {
    constexpr unsigned kVcpus = 3;
    constexpr unsigned kBytes = 2000;
    std::atomic<bool> done{false};
    std::thread loop([&] { serve_output(done); });
    std::mutex console;  // a kernel's console lock
    std::vector<std::thread> vcpus;
    for (unsigned id = 0; id < kVcpus; ++id) {
        vcpus.emplace_back([&, id] {
            for (unsigned i = 0; i < kBytes; ++i) {
                const std::lock_guard lock(console);
                while ((*read8(serial_, kLsr) & kThre) == 0) {
                    std::this_thread::yield();
                }
                write8(serial_, kData, id << 6 | i % 64);
            }
        });
    }
    for (std::thread& vcpu : vcpus) {
        vcpu.join();
    }
    done = true;
    loop.join();

    const std::string output = host_.output();
    EXPECT_EQ(output.size(), kVcpus * kBytes);
    EXPECT_EQ(serial_.lost_output(), 0U);
    std::array<unsigned, kVcpus> next{};
    for (const char c : output) {
        const auto byte = static_cast<unsigned char>(c);
        ASSERT_EQ(byte % 64, next.at(byte >> 6U)++ % 64);
    }
}

TEST_F(SerialThreadsTest, AccountsForEveryByteWhenVcpusWriteWithoutLooking) {
    constexpr unsigned kVcpus = 2;
    constexpr unsigned kBytes = 5000;
    std::atomic<bool> done{false};
    std::thread loop([&] { serve_output(done); });
    std::vector<std::thread> vcpus;
    for (unsigned id = 0; id < kVcpus; ++id) {
        vcpus.emplace_back([&, id] {
            for (unsigned i = 0; i < kBytes; ++i) {
                write8(serial_, kData, id);
            }
        });
    }
    for (std::thread& vcpu : vcpus) {
        vcpu.join();
    }
    done = true;
    loop.join();
    EXPECT_EQ(host_.output().size() + serial_.lost_output(), kVcpus * kBytes);
}

TEST_F(SerialThreadsTest, DeliversInputInOrderToAVcpuThatReadsMeanwhile) {
    std::string source(20'000, '\0');
    for (std::size_t i = 0; i < source.size(); ++i) {
        source[i] = static_cast<char>(i * 7 + i / 256);
    }
    std::thread loop([&] {
        for (std::string_view rest = source; !rest.empty();) {
            rest.remove_prefix(serial_.receive(std::as_bytes(std::span(rest))));
            while (!rest.empty() && !host_.take_input_ready()) {
                std::this_thread::yield();
            }
        }
    });
    std::string read;
    while (read.size() < source.size()) {
        if ((*read8(serial_, kLsr) & kDataReady) != 0) {
            read.push_back(static_cast<char>(*read8(serial_, kData)));
        } else {
            std::this_thread::yield();
        }
    }
    loop.join();
    EXPECT_EQ(read, source);
}

TEST_F(SerialThreadsTest, SurvivesClearingAndResetWhileTheLoopIsSending) {
    std::atomic<bool> done{false};
    std::thread loop([&] { serve_output(done); });
    std::size_t written = 0;
    for (unsigned round = 0; round < 2000; ++round) {
        for (unsigned i = 0; i < 8; ++i, ++written) {
            write8(serial_, kData, i);
        }
        if (round % 3 == 0) {
            write8(serial_, kFcr, 0x07);
        } else if (round % 7 == 0) {
            serial_.reset();
        }
    }
    done = true;
    loop.join();
    EXPECT_LE(host_.output().size(), written);
    EXPECT_EQ(serial_.pending_output(), 0U);
    host_.flush();
    write8(serial_, kData, '!');
    EXPECT_EQ(host_.output().back(), '!');
}

}  // namespace
}  // namespace cxlvm
