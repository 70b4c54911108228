// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/reset_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace cxlvm::vfio {
namespace {

constexpr unsigned kOthers = 7;

class ResetQueueTest : public testing::Test {
  protected:
    /// The first reset waits until all others wait for it, and then does `then`.
    template <typename Then>
    void run(Then&& then) {
        queue_.run([&] {
            if (runs_.fetch_add(1) != 0) {
                return;
            }
            for (unsigned i = 0; i < kOthers; ++i) {
                others_.emplace_back([this] { queue_.run([this] { ++runs_; }); });
            }
            wait_for(kOthers);
            then();
        });
        others_.clear();
    }
    void wait_for(unsigned waiting) {
        while (queue_.waiting() != waiting) {
            std::this_thread::yield();
        }
    }

    ResetQueue queue_;
    std::atomic<int> runs_ = 0;
    std::vector<std::jthread> others_;
};

TEST_F(ResetQueueTest, RunsOneForAllThatAskedWhileAnotherRan) {
    run([] {});
    EXPECT_EQ(runs_, 2);
    queue_.run([this] { ++runs_; });
    EXPECT_EQ(runs_, 3) << "one that asks afterwards has its own";
}

TEST_F(ResetQueueTest, LetsAllGoWhenItIsClosed) {
    run([this] {
        queue_.close();
        wait_for(0);
    });
    EXPECT_EQ(runs_, 1);
    queue_.run([this] { ++runs_; });
    EXPECT_EQ(runs_, 1) << "none begins any more";
}

}  // namespace
}  // namespace cxlvm::vfio
