// SPDX-License-Identifier: Apache-2.0
// cpu_work CPUS: shows that this many CPUs run, each at work of its own, and that they wake one
// another: a token goes around threads bound to the CPUs, asleep until it reaches them.
#include <sched.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <thread>
#include <vector>

namespace {

constexpr unsigned kRounds = 200;
constexpr std::uint64_t kWork = 5'000'000;  // additions

/// Binds the calling thread to a CPU; false when it does not run there.
bool bind_to(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0 &&
           ::sched_getcpu() == static_cast<int>(cpu);
}

struct Worker {
    bool bound = false;
    std::uint64_t sum = 0;
    unsigned tokens = 0;
};

void work(unsigned cpu, unsigned cpus, std::atomic<unsigned>& token, Worker& worker) {
    worker.bound = bind_to(cpu);
    for (std::uint64_t i = 0; i < kWork; ++i) {
        worker.sum += i;
        asm volatile("" : "+r"(worker.sum));  // the additions themselves are what is asked for
    }
    for (unsigned turn = cpu; turn < kRounds * cpus; turn += cpus) {
        for (unsigned seen = token.load(); seen != turn; seen = token.load()) {
            token.wait(seen);
        }
        ++worker.tokens;
        token.store(turn + 1);
        token.notify_all();
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const auto cpus =
        static_cast<unsigned>(arguments.size() == 2 ? std::strtoul(arguments[1], nullptr, 10) : 0);
    if (cpus == 0 || cpus > CPU_SETSIZE) {
        std::fputs("usage: cpu_work CPUS\n", stderr);
        return 2;
    }
    std::atomic<unsigned> token{0};
    std::vector<Worker> workers(cpus);
    std::vector<std::thread> threads;
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        threads.emplace_back(work, cpu, cpus, std::ref(token), std::ref(workers[cpu]));
    }
    for (auto& thread : threads) {
        thread.join();
    }
    bool good = true;
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        const Worker& worker = workers[cpu];
        const bool fine =
            worker.bound && worker.sum == kWork * (kWork - 1) / 2 && worker.tokens == kRounds;
        std::printf("cpu_work: cpu %u: %s\n", cpu, fine ? "did its share" : "failed");
        good = good && fine;
    }
    std::printf("cpu_work: %s: %u CPUs\n", good ? "PASS" : "FAIL", cpus);
    return good ? 0 : 1;
}
