// SPDX-License-Identifier: Apache-2.0
#include "io/thread.hpp"

#include <fmt/format.h>

#include <memory>

#include "io/block_signals.hpp"
#include "io/error.hpp"

namespace cxlvm::io {

namespace {

constexpr std::size_t kStackSize = 1U << 20;
constexpr std::size_t kNameSize = 15;

struct Start {
    std::string name;
    std::function<void()> body;
};

void* run(void* argument) noexcept {
    const std::unique_ptr<Start> start(static_cast<Start*>(argument));
    // A failure costs a name.
    static_cast<void>(::pthread_setname_np(::pthread_self(), start->name.c_str()));
    start->body();
    return nullptr;
}

}  // namespace

Thread::Thread(std::string name, std::function<void()> body) {
    auto start =
        std::make_unique<Start>(Start{.name = name.substr(0, kNameSize), .body = std::move(body)});
    pthread_attr_t attributes;
    int error = ::pthread_attr_init(&attributes);
    if (error == 0) {
        // Cannot fail: a multiple of the page size, above PTHREAD_STACK_MIN.
        static_cast<void>(::pthread_attr_setstacksize(&attributes, kStackSize));
        const BlockSignals blocked;
        error = ::pthread_create(&handle_, &attributes, &run, start.get());
        ::pthread_attr_destroy(&attributes);
    }
    if (error == EAGAIN) {
        throw Error(std::error_code(error, std::generic_category()),
                    Error::Whole{fmt::format(
                        "start the thread {}: {}; raise the limit of threads (ulimit -u, or the "
                        "cgroup's pids.max) or of address space (ulimit -v)",
                        name, errno_text(error))},
                    Fault::Host);
    }
    if (error != 0) {
        throw_error(error, fmt::format("start the thread {}", name));
    }
    static_cast<void>(start.release());  // the thread's own from here on
    joinable_ = true;
}

void Thread::join() noexcept {
    if (joinable_) {
        ::pthread_join(handle_, nullptr);
        joinable_ = false;
    }
}

}  // namespace cxlvm::io
