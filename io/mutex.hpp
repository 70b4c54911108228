// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

// Clang's thread-safety analysis; no effect elsewhere. libstdc++'s std::mutex carries no
// annotations, hence our own wrapper.
#if defined(__clang__)
#define CXLVM_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define CXLVM_THREAD_ANNOTATION(x)
#endif
#define CXLVM_GUARDED_BY(mutex) CXLVM_THREAD_ANNOTATION(guarded_by(mutex))
#define CXLVM_REQUIRES(...) CXLVM_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define CXLVM_EXCLUDES(...) CXLVM_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace cxlvm::io {

/// std::mutex that the analysis understands.
class CXLVM_THREAD_ANNOTATION(capability("mutex")) Mutex {
  public:
    void lock() noexcept CXLVM_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
    void unlock() noexcept CXLVM_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
    /// For condition variables.
    [[nodiscard]] std::mutex& native() noexcept { return mutex_; }

  private:
    std::mutex mutex_;
};

class CXLVM_THREAD_ANNOTATION(scoped_lockable) MutexLock {
  public:
    explicit MutexLock(Mutex& mutex) noexcept CXLVM_THREAD_ANNOTATION(acquire_capability(mutex))
        : mutex_(mutex) {
        mutex_.lock();
    }
    ~MutexLock() CXLVM_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

  private:
    Mutex& mutex_;
};

}  // namespace cxlvm::io
