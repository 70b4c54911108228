// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "devices/token_bucket.hpp"
#include "io/event_loop.hpp"
#include "io/operations.hpp"

namespace cxlvm {

/// What a device may do in a second. Plain data.
struct RateLimits {
    TokenBucket::Config bytes{};
    TokenBucket::Config operations{};
    friend bool operator==(const RateLimits&, const RateLimits&) = default;
};

/// Throws io::Error (Input) that names `option`, for rates and bursts that no bucket takes, and for
/// a burst without its rate. The keys are rate, rate-burst, ops and ops-burst.
void validate(const RateLimits& limits, std::string_view option);

/// Holds the requests of a device, those of all its queues together, to its rates. Those that have
/// to wait stand in one line; a queue has one place in it and goes to its end for each request, so
/// that the queues take turns.
///
/// The loop's thread, but for construction and destruction. Nothing allocates.
class Throttle {
  public:
    using Time = TokenBucket::Time;
    using Clock = Time (*)() noexcept;

    struct Cost {
        std::uint64_t bytes = 0;
        std::uint64_t operations = 0;
    };

    static Time monotonic() noexcept { return std::chrono::steady_clock::now(); }

    /// A place in the line, and whom to call when its turn has come.
    class Waiter : public boost::intrusive::list_base_hook<
                       boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
      public:
        /// `Method` is `void T::method() noexcept`.
        template <auto Method, typename T>
        [[nodiscard]] static Waiter to(T& object) noexcept {
            return Waiter(&object, [](void* self) noexcept { (static_cast<T*>(self)->*Method)(); });
        }
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() = default;

      private:
        friend class Throttle;
        Waiter(void* object, io::Task::Function function) noexcept
            : object_(object), function_(function) {}

        void* object_;
        io::Task::Function function_;
        Cost cost_;
    };

    /// The clock is CLOCK_MONOTONIC unless another one is given. The loop outlives this, which must
    /// be idle when it is destroyed.
    Throttle(const RateLimits& limits, io::EventLoop& loop, Clock clock = monotonic) noexcept;
    Throttle(const Throttle&) = delete;
    Throttle& operator=(const Throttle&) = delete;
    ~Throttle() = default;

    /// True: the request may go on, and is paid for. False: `waiter`, which must not be waiting,
    /// is called when that is so.
    [[nodiscard]] bool admit(const Cost& cost, Waiter& waiter) noexcept {
        return !limited_ || admit_limited(cost, waiter);
    }
    /// Gives up a place in the line, if there is one. Nothing is paid.
    void leave(Waiter& waiter) noexcept;
    /// Nobody waits, and no timer runs.
    [[nodiscard]] bool idle() const noexcept { return line_.empty() && timer_.idle(); }
    /// Called each time that the timer has ended and nobody waits any longer.
    void on_idle(io::Task::Function function, void* object) noexcept {
        idle_function_ = function;
        idle_object_ = object;
    }

  private:
    using Line = boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>>;

    [[nodiscard]] bool admit_limited(const Cost& cost, Waiter& waiter) noexcept;
    /// Takes what `cost` says when all of it may be taken.
    [[nodiscard]] bool pay(const Cost& cost) noexcept;
    /// Lets those in front go on, as far as there are tokens.
    void serve() noexcept;
    void start_timer() noexcept;
    void on_timer(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    // Configuration.
    const bool limited_;
    // Wiring.
    io::EventLoop& loop_;
    const Clock clock_;
    io::Task::Function idle_function_ = nullptr;
    void* idle_object_ = nullptr;
    // State.
    TokenBucket bytes_;
    TokenBucket operations_;
    Line line_;
    bool serving_ = false;
    bool timer_cancelled_ = false;  ///< by us: nobody waits any longer
    io::TimeoutOp timer_{io::Completion::to<&Throttle::on_timer>(*this)};
};

}  // namespace cxlvm
