// SPDX-License-Identifier: Apache-2.0
#include "io/event_loop.hpp"

#include <fmt/format.h>

#include <atomic>
#include <boost/intrusive/list.hpp>
#include <cerrno>
#include <thread>
#include <utility>

#include "io/error.hpp"
#include "io/eventfd.hpp"
#include "io/ring_internal.hpp"
#include "io/task_queue_internal.hpp"

namespace cxlvm::io {

namespace {

/// user_data is an operation's address; this bit, free by alignment, marks a request to cancel it,
/// whose own result nobody needs.
constexpr std::uint64_t kCancelTag = 1;
static_assert(alignof(Operation) > kCancelTag);

/// An operation that the kernel is just moving between its queues can escape a cancel request, so
/// stopping repeats the requests after this long without any completion.
constexpr std::chrono::milliseconds kCancelRetry{50};

}  // namespace

class EventLoop::Ring {
  public:
    explicit Ring(const Config& config)
        : uring_(config.entries, config.name),
          wake_event_(fmt::format("event loop {}", config.name)),
          waker_(wake_event_) {}
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    ~Ring();

    void run() noexcept;
    std::size_t run_ready() noexcept;
    void stop() noexcept;
    void start(Operation& operation, Operation* timeout) noexcept;
    void cancel(Operation& operation) noexcept;
    void post(Task& task) noexcept;
    bool withdraw(Task& task) noexcept { return tasks_.withdraw(task); }
    [[nodiscard]] bool on_loop_thread() const noexcept {
        return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
    }

  private:
    // Without a size counter an operation can be unlinked from whichever list it is in.
    using List = boost::intrusive::list<Operation, boost::intrusive::constant_time_size<false>>;

    /// The permanent read of the eventfd by which other threads end a wait.
    class Waker final : public Operation {
      public:
        explicit Waker(const EventFd& event) noexcept : event_(event) {}

      private:
        void prepare(io_uring_sqe& sqe) noexcept override {
            io_uring_prep_read(&sqe, event_.fd(), &count_, sizeof count_, 0);
        }
        // The loop itself starts the next read and looks at the tasks.
        void complete(std::int32_t result, std::uint32_t /*flags*/,
                      bool /*more*/) noexcept override {
            check(result == std::int32_t{sizeof count_} || result == -ECANCELED || result == -EINTR,
                  "io_uring cannot wait for an eventfd");
        }

        const EventFd& event_;
        std::uint64_t count_ = 0;
    };

    void enter_thread() noexcept;
    /// One round: submit, wait for a completion if asked to and nothing else is left to do,
    /// deliver, run tasks. Returns the completions delivered.
    std::size_t serve(bool may_wait) noexcept;
    /// Cancels and delivers until every operation is idle.
    void drain() noexcept;
    [[nodiscard]] bool all_idle() const noexcept {
        return pending_.empty() && in_flight_.empty() && to_cancel_.empty() && cancelled_.empty();
    }

    /// Hands everything that waits to the kernel. False: the kernel cannot take more before
    /// completions have been reaped.
    bool submit_waiting() noexcept;
    /// As above, as far as the submission queue has room.
    bool fill_queue() noexcept;
    [[nodiscard]] bool try_prepare(Operation& operation) noexcept;
    io_uring_sqe& prepare(Operation& operation) noexcept;
    void give_up(Operation& operation) noexcept;

    std::size_t reap() noexcept;
    std::size_t deliver_cancelled() noexcept;
    void run_tasks() noexcept;
    static void unlink(Operation& operation) noexcept;
    static void finish(Operation& operation, std::int32_t result, std::uint32_t flags) noexcept;

    // Wiring, and what any thread may touch.
    UringHandle uring_;
    EventFd wake_event_;
    TaskQueue tasks_;
    std::atomic<std::thread::id> thread_{std::this_thread::get_id()};

    // The loop's thread only.
    Waker waker_;
    bool stopping_ = false;  ///< run() is draining: what starts now is cancelled
    List pending_;           ///< Queued: no submission entry was free
    List in_flight_;         ///< the kernel has it
    List to_cancel_;         ///< the kernel has it, and a cancel request is to be sent
    List cancelled_;         ///< Queued: completes with -ECANCELED in the next round
};

EventLoop::Ring::~Ring() {
    // Idle unless the ring was never enabled or the owner only ever called run_ready().
    if (!all_idle()) {
        check(!uring_.enabled() || on_loop_thread(),
              "an EventLoop with operations in flight was destroyed by a foreign thread");
        stopping_ = true;
        drain();
    }
}

void EventLoop::Ring::enter_thread() noexcept {
    if (uring_.enabled()) {
        check(on_loop_thread(), "an EventLoop was run by a second thread");
        return;
    }
    thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    uring_.enable();
}

void EventLoop::Ring::run() noexcept {
    enter_thread();
    const SigpipeBlock sigpipe;
    while (!tasks_.stop_requested()) {
        serve(true);
    }
    stopping_ = true;
    run_tasks();
    do {
        drain();
        run_tasks();
    } while (!all_idle());
    stopping_ = false;
    tasks_.clear_stop();
}

std::size_t EventLoop::Ring::run_ready() noexcept {
    enter_thread();
    return serve(false);
}

std::size_t EventLoop::Ring::serve(bool may_wait) noexcept {
    if (may_wait && waker_.idle()) {
        waker_.state_ = Operation::State::Queued;
        pending_.push_front(waker_);
    }
    const bool wait = submit_waiting() && may_wait && cancelled_.empty() && tasks_.fall_asleep();
    uring_.enter(wait);
    if (wait) {
        tasks_.awake();
    }
    const std::size_t delivered = reap() + deliver_cancelled();
    run_tasks();
    return delivered;
}

void EventLoop::Ring::drain() noexcept {
    for (bool ask = true; !all_idle();) {
        while (!pending_.empty()) {
            Operation& operation = pending_.front();
            unlink(operation);
            give_up(operation);
        }
        if (ask) {
            for (Operation& operation : in_flight_) {
                operation.cancel_requested_ = true;
            }
            to_cancel_.splice(to_cancel_.end(), in_flight_);
        }
        if (uring_.enabled()) {
            const bool wait = submit_waiting() && cancelled_.empty() && !in_flight_.empty();
            ask = wait && !uring_.enter_for(kCancelRetry);
            if (!wait) {
                uring_.enter(false);
            }
            reap();
        }
        deliver_cancelled();
    }
}

void EventLoop::Ring::start(Operation& operation, Operation* timeout) noexcept {
    check(on_loop_thread(), "EventLoop::start was called by a foreign thread");
    for (Operation* const each : {&operation, timeout}) {
        if (each != nullptr) {
            check(each->idle(), "EventLoop::start was given an operation that has not completed");
            each->state_ = Operation::State::Queued;
            each->cancel_requested_ = false;
        }
    }
    operation.linked_timeout_ = timeout;
    if (stopping_) {
        give_up(operation);
    } else if (!uring_.enabled() || !pending_.empty() || !try_prepare(operation)) {
        pending_.push_back(operation);
    }
}

void EventLoop::Ring::cancel(Operation& operation) noexcept {
    check(on_loop_thread(), "EventLoop::cancel was called by a foreign thread");
    // Unlinked but not idle is a linked timeout whose operation is pending.
    if (operation.idle() || operation.cancel_requested_ || !operation.is_linked()) {
        return;
    }
    operation.cancel_requested_ = true;
    unlink(operation);
    if (operation.state_ == Operation::State::Queued) {
        give_up(operation);
    } else {
        to_cancel_.push_back(operation);
    }
}

/// Makes `operation`, which is in no list, and its timeout complete with -ECANCELED in the next
/// round.
void EventLoop::Ring::give_up(Operation& operation) noexcept {
    operation.cancel_requested_ = true;
    cancelled_.push_back(operation);
    if (Operation* const timeout = std::exchange(operation.linked_timeout_, nullptr)) {
        timeout->cancel_requested_ = true;
        cancelled_.push_back(*timeout);
    }
}

bool EventLoop::Ring::submit_waiting() noexcept {
    while (!fill_queue()) {
        if (!uring_.submit()) {
            return false;
        }
    }
    return true;
}

bool EventLoop::Ring::fill_queue() noexcept {
    while (!pending_.empty()) {
        Operation& operation = pending_.front();
        unlink(operation);
        if (!try_prepare(operation)) {
            pending_.push_front(operation);
            return false;
        }
    }
    // Last: a request must come after what it cancels.
    while (!to_cancel_.empty()) {
        if (uring_.free_entries() == 0) {
            return false;
        }
        const std::uint64_t target = reinterpret_cast<std::uintptr_t>(&to_cancel_.front());
        io_uring_sqe& sqe = uring_.next_entry();
        io_uring_prep_cancel64(&sqe, target, 0);
        sqe.user_data = target | kCancelTag;
        in_flight_.splice(in_flight_.end(), to_cancel_, to_cancel_.begin());
    }
    return true;
}

bool EventLoop::Ring::try_prepare(Operation& operation) noexcept {
    Operation* const timeout = operation.linked_timeout_;
    // The two entries of a link must be submitted together.
    if (uring_.free_entries() < (timeout == nullptr ? 1U : 2U)) {
        return false;
    }
    io_uring_sqe& sqe = prepare(operation);
    if (timeout != nullptr) {
        sqe.flags |= IOSQE_IO_LINK;
        prepare(*timeout);
        operation.linked_timeout_ = nullptr;
    }
    return true;
}

io_uring_sqe& EventLoop::Ring::prepare(Operation& operation) noexcept {
    io_uring_sqe& sqe = uring_.next_entry();
    operation.prepare(sqe);
    sqe.user_data = reinterpret_cast<std::uintptr_t>(&operation);
    operation.state_ = Operation::State::InFlight;
    in_flight_.push_back(operation);
    return sqe;
}

std::size_t EventLoop::Ring::reap() noexcept {
    std::size_t delivered = 0;
    // No more than is there now, so that a flood of completions cannot keep the tasks waiting.
    for (unsigned left = uring_.ready(); left != 0; --left) {
        const CompletionEntry entry = uring_.take_completion();
        if ((entry.user_data & kCancelTag) != 0) {
            continue;
        }
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel hands our pointer back as a number
        auto& operation = *reinterpret_cast<Operation*>(entry.user_data);
        delivered += &operation == &waker_ ? 0 : 1;
        if ((entry.flags & IORING_CQE_F_MORE) != 0) {
            operation.complete(entry.result, entry.flags, true);
        } else {
            unlink(operation);
            finish(operation, entry.result, entry.flags);
        }
    }
    return delivered;
}

std::size_t EventLoop::Ring::deliver_cancelled() noexcept {
    std::size_t delivered = 0;
    // Their callees may start and cancel others: those are for the next round.
    List now;
    now.swap(cancelled_);
    while (!now.empty()) {
        Operation& operation = now.front();
        unlink(operation);
        finish(operation, -ECANCELED, 0);
        ++delivered;
    }
    return delivered;
}

void EventLoop::Ring::unlink(Operation& operation) noexcept {
    const auto node = List::s_iterator_to(operation).pointed_node();
    List::node_algorithms::unlink(node);
    List::node_algorithms::init(node);
}

/// Completes `operation`, which is in no list. It may be gone afterwards.
void EventLoop::Ring::finish(Operation& operation, std::int32_t result,
                             std::uint32_t flags) noexcept {
    operation.state_ = Operation::State::Idle;
    operation.complete(result, flags, false);
}

void EventLoop::Ring::run_tasks() noexcept {
    for (bool more = tasks_.take_batch(); more; more = tasks_.run_next()) {
    }
}

void EventLoop::Ring::post(Task& task) noexcept {
    if (tasks_.post(task)) {
        wake_event_.signal();
    }
}

void EventLoop::Ring::stop() noexcept {
    if (tasks_.request_stop()) {
        wake_event_.signal();
    }
}

EventLoop::EventLoop(const Config& config) : ring_(std::make_unique<Ring>(config)) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() noexcept {
    ring_->run();
}

std::size_t EventLoop::run_ready() noexcept {
    return ring_->run_ready();
}

void EventLoop::stop() noexcept {
    ring_->stop();
}

void EventLoop::start(Operation& operation) noexcept {
    ring_->start(operation, nullptr);
}

void EventLoop::start_with_timeout(Operation& operation, Operation& timeout) noexcept {
    ring_->start(operation, &timeout);
}

void EventLoop::cancel(Operation& operation) noexcept {
    ring_->cancel(operation);
}

void EventLoop::post(Task& task) noexcept {
    ring_->post(task);
}

bool EventLoop::withdraw(Task& task) noexcept {
    return ring_->withdraw(task);
}

bool EventLoop::on_loop_thread() const noexcept {
    return ring_->on_loop_thread();
}

}  // namespace cxlvm::io
