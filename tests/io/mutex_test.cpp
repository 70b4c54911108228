// SPDX-License-Identifier: Apache-2.0
#include "io/mutex.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace cxlvm::io {
namespace {

TEST(MutexLock, ExcludesOtherThreadsUntilTheEndOfItsScope) {
    Mutex mutex;
    int counter = 0;
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int j = 0; j < 1000; ++j) {
                MutexLock lock(mutex);
                ++counter;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(counter, 4000);
    EXPECT_TRUE(mutex.native().try_lock());
    mutex.native().unlock();
}

}  // namespace
}  // namespace cxlvm::io
