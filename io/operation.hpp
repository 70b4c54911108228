// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list_hook.hpp>
#include <cstdint>

struct io_uring_sqe;

namespace cxlvm::io {

class EventLoop;
class TaskQueue;

/// One request to io_uring, owned by whoever wants its result.
///
/// An operation is immovable, since the kernel holds its address from start to completion. Life:
/// Idle -> Queued (waits for a submission slot) -> InFlight -> Idle. It completes exactly once per
/// start, with -ECANCELED when it was cancelled or the loop stopped; a multishot operation is
/// called once for each result and stays InFlight while `more` is true. Once idle it may be started
/// again, also from within its own `complete`. All calls come from the loop's thread.
class Operation : public boost::intrusive::list_base_hook<
                      boost::intrusive::link_mode<boost::intrusive::safe_link>> {
  public:
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    [[nodiscard]] bool idle() const noexcept { return state_ == State::Idle; }
    /// Whether an early end was asked for, by cancel() or by the loop's stop, since the last start.
    /// An operation that starts itself again looks here first, in `complete`: the result may have
    /// come before the cancellation, and a restart would undo it.
    [[nodiscard]] bool cancel_requested() const noexcept { return cancel_requested_; }

  protected:
    Operation() noexcept = default;
    /// Aborts unless idle: the kernel would write into freed memory.
    virtual ~Operation();

    /// Fills in a cleared submission entry; user_data and link flags belong to the loop.
    virtual void prepare(io_uring_sqe& sqe) noexcept = 0;
    /// `result` is the entry's res, a negative errno on failure; `flags` its cqe flags. `more` says
    /// that a multishot operation goes on. May start, cancel or destroy operations, this one too
    /// when `more` is false.
    virtual void complete(std::int32_t result, std::uint32_t flags, bool more) noexcept = 0;

  private:
    friend class EventLoop;
    enum class State : std::uint8_t { Idle, Queued, InFlight };

    State state_ = State::Idle;
    bool cancel_requested_ = false;
    Operation* linked_timeout_ = nullptr;
};

/// A call into an object's member function: two words, no allocation.
///
///     io::ReadOp read_{io::Completion::to<&Console::on_input>(*this)};
class Completion {
  public:
    using Function = void (*)(void* object, std::int32_t result, std::uint32_t flags,
                              bool more) noexcept;

    constexpr Completion(void* object, Function function) noexcept
        : object_(object), function_(function) {}

    /// `Method` is `void T::method(std::int32_t result, std::uint32_t flags, bool more) noexcept`.
    template <auto Method, typename T>
    [[nodiscard]] static constexpr Completion to(T& object) noexcept {
        return {&object,
                [](void* self, std::int32_t result, std::uint32_t flags, bool more) noexcept {
                    (static_cast<T*>(self)->*Method)(result, flags, more);
                }};
    }

    void operator()(std::int32_t result, std::uint32_t flags, bool more) const noexcept {
        function_(object_, result, flags, more);
    }

  private:
    void* object_;
    Function function_;
};

/// Work handed to a loop from another thread; owned by the caller, immovable while queued.
class Task : public boost::intrusive::list_base_hook<
                 boost::intrusive::link_mode<boost::intrusive::safe_link>> {
  public:
    using Function = void (*)(void* object) noexcept;

    Task(void* object, Function function) noexcept : object_(object), function_(function) {}
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() = default;

    /// `Method` is `void T::method() noexcept`.
    template <auto Method, typename T>
    [[nodiscard]] static Task to(T& object) noexcept {
        return Task{&object, [](void* self) noexcept { (static_cast<T*>(self)->*Method)(); }};
    }

  private:
    friend class TaskQueue;

    void* object_;
    Function function_;
};

}  // namespace cxlvm::io
