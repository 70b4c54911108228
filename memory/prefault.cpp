// SPDX-License-Identifier: Apache-2.0
#include "memory/prefault.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <new>
#include <stop_token>
#include <thread>

#include "io/error.hpp"
#include "io/thread.hpp"
#include "memory/host_memory.hpp"

// Not in the headers of a C library older than the kernel interface (Linux 5.14).
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace cxlvm {

namespace {

void touch(std::span<std::byte> bytes, std::size_t page_size) noexcept {
    for (std::size_t offset = 0; offset < bytes.size(); offset += page_size) {
        auto& byte = reinterpret_cast<unsigned char&>(bytes[offset]);
        std::atomic_ref<unsigned char>(byte).fetch_or(0, std::memory_order_relaxed);
    }
}

// Returns 0 or an errno.
int populate(std::span<std::byte> bytes, const PrefaultJob& job) noexcept {
    if (job.method == PopulateMethod::Kernel) {
        for (;;) {
            if (::madvise(bytes.data(), bytes.size(), MADV_POPULATE_WRITE) == 0) {
                return 0;
            }
            if (errno == EINVAL) {
                break;
            }
            if (errno != EINTR && errno != EAGAIN) {
                return errno;
            }
        }
    }
    touch(bytes, job.page_size);
    return 0;
}

// Gives out the host's memory chunk by chunk, because the kernel would rather kill a process than
// fail the populate call. A reading costs microseconds where a chunk costs milliseconds.
class FreeMemory {
  public:
    explicit FreeMemory(const ObtainableMemory& obtainable) : obtainable_(obtainable) {}

    /// Whether another `size` bytes can be had, with all that was granted and not given back. Where
    /// that is more than there is, waits for others to finish, since theirs may be counted twice:
    /// here, and as used already.
    bool take(std::size_t size) {
        std::unique_lock lock(mutex_);
        for (;;) {
            const auto obtainable = obtainable_();
            if (!obtainable || *obtainable >= granted_ + size) {
                granted_ += size;
                return true;
            }
            if (granted_ == 0) {
                return false;
            }
            changed_.wait(lock);
        }
    }
    /// The chunk is resident now, or will not be.
    void give_back(std::size_t size) noexcept {
        const std::lock_guard lock(mutex_);
        granted_ -= size;
        changed_.notify_all();
    }

  private:
    const ObtainableMemory& obtainable_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t granted_ = 0;
};

void run_on_node(unsigned node) noexcept {
    try {
        const auto text =
            host::read_text(fmt::format("/sys/devices/system/node/node{}/cpulist", node));
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        for (const unsigned cpu : host::parse_list(text.value_or(""))) {
            if (cpu < CPU_SETSIZE) {
                CPU_SET(cpu, &cpus);
            }
        }
        // A node without CPUs, or none that we may use, is served from where we are: the pages land
        // on the node all the same, only slower.
        static_cast<void>(::sched_setaffinity(0, sizeof(cpus), &cpus));
    } catch (const std::bad_alloc&) {
        return;
    }
}

// The areas, cut into chunks that workers take one after another.
class Work {
  public:
    explicit Work(const PrefaultJob& job) : job_(job), free_memory_(job.obtainable_memory) {
        for (const std::span<std::byte> area : job.areas) {
            for (std::size_t offset = 0; offset < area.size(); offset += job.chunk_size) {
                chunks_.push_back(
                    area.subspan(offset, std::min(job.chunk_size, area.size() - offset)));
            }
            total_ += area.size();
        }
    }

    [[nodiscard]] std::size_t chunk_count() const noexcept { return chunks_.size(); }
    [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
    [[nodiscard]] std::uint64_t done() const noexcept {
        return done_.load(std::memory_order_relaxed);
    }
    /// The first errno that a worker met, or 0.
    [[nodiscard]] int error() const noexcept { return error_.load(std::memory_order_relaxed); }

    void run(const std::stop_token& stop) noexcept {
        while (!stop.stop_requested() && error() == 0) {
            const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
            if (index >= chunks_.size()) {
                return;
            }
            const std::span<std::byte> chunk = chunks_[index];
            if (const int failed = serve(chunk); failed != 0) {
                int none = 0;
                error_.compare_exchange_strong(none, failed, std::memory_order_relaxed);
                return;
            }
            done_.fetch_add(chunk.size(), std::memory_order_relaxed);
        }
    }

  private:
    int serve(std::span<std::byte> chunk) noexcept {
        if (!job_.obtainable_memory) {
            return populate(chunk, job_);
        }
        try {
            if (!free_memory_.take(chunk.size())) {
                return ENOMEM;
            }
        } catch (const std::bad_alloc&) {
            return ENOMEM;
        }
        const int failed = populate(chunk, job_);
        free_memory_.give_back(chunk.size());
        return failed;
    }

    const PrefaultJob& job_;
    FreeMemory free_memory_;
    std::vector<std::span<std::byte>> chunks_;
    std::uint64_t total_ = 0;
    std::atomic<std::size_t> next_{0};
    std::atomic<std::uint64_t> done_{0};
    std::atomic<int> error_{0};
};

// Counts the workers out.
class Finish {
  public:
    void arrive() noexcept {
        const std::lock_guard lock(mutex_);
        ++arrived_;
        changed_.notify_one();
    }
    /// Whether `count` workers arrived within `limit`.
    bool wait(std::size_t count, std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, limit, [&] { return arrived_ == count; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t arrived_ = 0;
};

// Threads that are told to stop, and joined, before what they use goes.
template <typename Body>
class Workers {
  public:
    /// At most `count`: as many as can be had. `body` must outlive this.
    Workers(std::size_t count, const Body& body) {
        threads_.reserve(count);
        try {
            while (threads_.size() < count) {
                threads_.emplace_back("cxlvm-prefault",
                                      [&body, stop = stop_.get_token()] { body(stop); });
            }
        } catch (const io::Error&) {
            return;  // those that started do the work of all
        }
    }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers() { stop_.request_stop(); }

    [[nodiscard]] std::size_t count() const noexcept { return threads_.size(); }

  private:
    std::stop_source stop_;
    std::vector<io::Thread> threads_;
};

}  // namespace

void prefault(const PrefaultJob& job, const PrefaultConfig& config) {
    Work work(job);
    const std::size_t wanted =
        config.threads != 0 ? config.threads : std::max(1U, std::thread::hardware_concurrency());
    const std::size_t count = std::min(wanted, work.chunk_count());

    Finish finish;
    const auto serve = [&](const std::stop_token& stop) {
        if (job.numa_node) {
            run_on_node(*job.numa_node);
        }
        work.run(stop);
        finish.arrive();
    };
    const Workers workers(count, serve);
    if (workers.count() == 0) {
        work.run({});
    }

    const auto begin = std::chrono::steady_clock::now();
    while (!finish.wait(workers.count(), config.progress_interval)) {
        if (config.progress) {
            config.progress(work.done(), work.total());
        }
    }
    if (work.error() != 0) {
        if (job.explain) {
            job.explain();
        }
        throw io::Error(
            std::error_code(work.error(), std::generic_category()),
            io::Error::Whole{fmt::format(
                "--memory: cannot populate guest memory, {} of {} done: {}; give less, or leave "
                "prefault out",
                host::format_size(work.done()), host::format_size(work.total()),
                io::errno_text(work.error()))},
            io::Fault::Host);
    }
    if (config.progress && std::chrono::steady_clock::now() - begin >= config.progress_interval) {
        config.progress(work.done(), work.total());
    }
}

}  // namespace cxlvm
