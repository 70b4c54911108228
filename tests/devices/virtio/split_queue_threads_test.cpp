// SPDX-License-Identifier: Apache-2.0
// A driver and a device at one virtqueue, each asleep unless the other notifies it: a notification
// that is lost ends in the time limit of the test. Meant for the thread sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "devices/virtio/split_queue.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio {
namespace {

constexpr std::uint16_t kSize = 16;
constexpr std::uint32_t kRequests = 20'000;
constexpr std::uint64_t kBuffers = 0x1'0000;

/// Remembers a ring, as an eventfd does.
class Doorbell {
  public:
    void ring() {
        const std::lock_guard lock(mutex_);
        rung_ = true;
        condition_.notify_one();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        condition_.wait(lock, [&] { return rung_; });
        rung_ = false;
    }

  private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool rung_ = false;
};

/// Each request is a descriptor with a number and one for the answer, which is its complement.
class Pair {
  public:
    explicit Pair(bool event_idx) : event_idx_(event_idx) {
        EXPECT_TRUE(queue_.start(driver_.setup(event_idx)));
        for (std::uint16_t slot = 0; slot < kSize / 2; ++slot) {
            const std::uint64_t buffer = kBuffers + slot * 64ULL;
            driver_.describe(head_of(slot), {buffer, 4, kDescriptorNext,
                                             static_cast<std::uint16_t>(head_of(slot) + 1)});
            driver_.describe(static_cast<std::uint16_t>(head_of(slot) + 1),
                             {buffer + 32, 4, kDescriptorWrite, 0});
            free_.push_back(slot);
        }
    }

    void drive() {
        std::uint32_t sent = 0;
        std::uint32_t received = 0;
        while (received < kRequests) {
            const std::uint16_t before = driver_.avail_index();
            // Batches of varying size, so that both sides sleep and overtake at times.
            for (std::uint32_t batch = sent % 5 + 1;
                 batch != 0 && sent < kRequests && !free_.empty(); --batch) {
                send(sent++);
            }
            driver_.show();
            if (wants_kick(before)) {
                kick_.ring();
            }
            std::uint32_t got = take_answers();
            if (got == 0 && (sent == kRequests || free_.empty())) {
                allow_interrupts();
                got = take_answers();
                if (got == 0) {
                    interrupt_.wait();
                }
                forbid_interrupts();
            }
            received += got;
        }
    }

    void serve() {
        std::vector<Chain> held;
        std::uint32_t answered = 0;
        while (answered < kRequests) {
            queue_.disable_kicks();
            while (auto chain = queue_.pop()) {
                held.push_back(*chain);
            }
            ASSERT_EQ(queue_.error(), QueueError::None) << describe(queue_.error());
            if (answered % 3 == 0) {
                std::ranges::reverse(held);  // out of order
            }
            for (const Chain& chain : held) {
                std::uint32_t number = 0;
                std::memcpy(&number, chain.readable[0].iov_base, sizeof(number));
                number = ~number;
                std::memcpy(chain.writable[0].iov_base, &number, sizeof(number));
                queue_.put(chain.head, sizeof(number));
                ++answered;
            }
            held.clear();
            queue_.publish();
            if (queue_.should_notify()) {
                interrupt_.ring();
            }
            if (answered < kRequests && !queue_.enable_kicks()) {
                kick_.wait();
            }
        }
    }

  private:
    static std::uint16_t head_of(std::uint16_t slot) {
        return static_cast<std::uint16_t>(slot * 2);
    }

    void send(std::uint32_t number) {
        const std::uint16_t slot = free_.back();
        free_.pop_back();
        numbers_[slot] = number;
        driver_.store(kBuffers + slot * 64ULL, number);
        driver_.offer(head_of(slot));
    }

    std::uint32_t take_answers() {
        std::uint32_t count = 0;
        while (const auto used = driver_.take_used()) {
            const auto slot = static_cast<std::uint16_t>(used->id / 2);
            EXPECT_EQ(used->length, 4U);
            EXPECT_EQ(driver_.load<std::uint32_t>(kBuffers + slot * 64ULL + 32), ~numbers_[slot]);
            free_.push_back(slot);
            ++count;
        }
        return count;
    }

    bool wants_kick(std::uint16_t before) {
        return event_idx_ ? passed_event(driver_.avail_event(), driver_.avail_index(), before)
                          : (driver_.used_flags() & kUsedNoNotify) == 0;
    }
    void allow_interrupts() {
        if (event_idx_) {
            driver_.set_used_event(driver_.last_used());
        } else {
            driver_.set_avail_flags(0);
        }
    }
    void forbid_interrupts() {
        if (!event_idx_) {
            driver_.set_avail_flags(kAvailNoInterrupt);
        }
    }

    const bool event_idx_;
    GuestMemory memory_{test::two_blocks()};
    SplitQueue queue_{memory_, {.max_size = kSize}};
    test::VirtioDriver driver_{memory_, kSize};
    std::vector<std::uint16_t> free_;
    std::array<std::uint32_t, kSize / 2> numbers_{};
    Doorbell kick_;
    Doorbell interrupt_;
};

/// Where two threads meet, to leave as nearly at once as can be.
class Rendezvous {
  public:
    void meet() {
        const unsigned mine = arrived_.fetch_add(1) + 1;
        const unsigned both = mine + mine % 2;
        for (unsigned spins = 0; arrived_.load() < both; ++spins) {
            if (spins > 1000) {
                std::this_thread::yield();
            }
        }
    }

  private:
    std::atomic<unsigned> arrived_{0};
};

// Each side says something and looks at the other's word at once: one of them must see it.
TEST(SplitQueueRaces, OneSideAlwaysSeesTheOther) {
    constexpr unsigned kRaces = 10'000;
    GuestMemory memory(test::two_blocks());
    SplitQueue queue(memory, {.max_size = 8});
    test::VirtioDriver driver(memory, 8);
    driver.describe(0, {kBuffers, 4, kDescriptorWrite, 0});
    ASSERT_TRUE(queue.start(driver.setup(true)));
    Rendezvous rendezvous;
    bool found = false;
    bool interrupted = false;

    std::thread device([&] {
        for (unsigned race = 0; race < kRaces; ++race) {
            rendezvous.meet();
            found = queue.enable_kicks();
            rendezvous.meet();
            const auto chain = queue.pop();
            rendezvous.meet();
            if (chain) {
                queue.push(chain->head, 4);
            }
            interrupted = queue.should_notify();
            rendezvous.meet();
        }
    });
    unsigned lost_kicks = 0;
    unsigned lost_interrupts = 0;
    for (unsigned race = 0; race < kRaces; ++race) {
        const std::uint16_t before = driver.avail_index();
        driver.offer(0);
        rendezvous.meet();
        driver.show();
        const bool kicks = passed_event(driver.avail_event(), driver.avail_index(), before);
        rendezvous.meet();
        lost_kicks += kicks || found ? 0 : 1;
        rendezvous.meet();
        driver.set_used_event(driver.last_used());
        const bool seen = driver.used_index() != driver.last_used();
        rendezvous.meet();
        lost_interrupts += seen || interrupted ? 0 : 1;
        EXPECT_TRUE(driver.take_used().has_value());
    }
    device.join();
    EXPECT_EQ(lost_kicks, 0U);
    EXPECT_EQ(lost_interrupts, 0U);
}

class SplitQueueThreadsTest : public testing::TestWithParam<bool> {};

TEST_P(SplitQueueThreadsTest, NoRequestAndNoNotificationIsLost) {
    Pair pair(GetParam());
    std::thread device([&] { pair.serve(); });
    pair.drive();
    device.join();
}

INSTANTIATE_TEST_SUITE_P(Suppression, SplitQueueThreadsTest, testing::Bool(),
                         [](const auto& parameter) {
                             return parameter.param ? "EventIdx" : "Flags";
                         });

}  // namespace
}  // namespace cxlvm::virtio
