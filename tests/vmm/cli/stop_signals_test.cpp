// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/stop_signals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "io/event_loop.hpp"

namespace cxlvm::cli {
namespace {

/// Writes down what it is asked, and stops the loop when told to.
class Recorder final : public StopTarget {
  public:
    Recorder(io::EventLoop& loop, std::size_t stop_after) : loop_(loop), stop_after_(stop_after) {}
    void request_power_off() noexcept override { record('p'); }
    void stop() noexcept override { record('s'); }
    void suspend() noexcept override { record('z'); }
    void resume() noexcept override { record('c'); }
    void terminal_resized() noexcept override { record('w'); }
    [[nodiscard]] const std::string& calls() const { return calls_; }

  private:
    void record(char call) noexcept {
        calls_ += call;
        if (calls_.size() == stop_after_) {
            loop_.stop();
        }
    }

    io::EventLoop& loop_;
    std::size_t stop_after_;
    std::string calls_;
};

/// What the target was asked for by `signals`, each sent once the one before has been read.
std::string calls_for(std::initializer_list<int> signals, bool raw_terminal) {
    const BlockedSignals blocked;
    io::EventLoop loop;
    Recorder recorder(loop, signals.size());
    const StopSignals reader(blocked, loop, recorder, raw_terminal);
    std::size_t sent = 0;
    for (const int signal : signals) {
        ::kill(::getpid(), signal);
        ++sent;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (sent < signals.size() && recorder.calls().size() < sent &&
               std::chrono::steady_clock::now() < deadline) {
            loop.run_ready();
        }
    }
    loop.run();
    return recorder.calls();
}

TEST(StopSignals, PressThePowerButtonThenEndTheVm) {
    EXPECT_EQ(calls_for({SIGTERM}, false), "p");
    EXPECT_EQ(calls_for({SIGTERM, SIGTERM}, false), "ps");
    EXPECT_EQ(calls_for({SIGHUP, SIGTERM}, true), "ps");
}

TEST(StopSignals, EndTheVmAtOnceOnAnInterrupt) {
    EXPECT_EQ(calls_for({SIGINT}, false), "s");
}

TEST(StopSignals, AnInterruptCountsLikeTermWhenCtrlCBelongsToTheGuest) {
    EXPECT_EQ(calls_for({SIGINT}, true), "p");
    EXPECT_EQ(calls_for({SIGINT, SIGINT}, true), "ps");
}

TEST(StopSignals, TakeTheTerminalAgainWhenTheProgramIsContinued) {
    EXPECT_EQ(calls_for({SIGCONT}, true), "c");
}

TEST(StopSignals, TellOfTheTerminalsSizeAndEndNothing) {
    EXPECT_EQ(calls_for({SIGWINCH, SIGTERM}, true), "wp");
}

TEST(StopSignals, RememberWhichSignalAskedForTheEnd) {
    const BlockedSignals blocked;
    io::EventLoop loop;
    Recorder recorder(loop, 2);
    const StopSignals reader(blocked, loop, recorder, false);
    EXPECT_EQ(reader.last_signal(), 0);
    ::kill(::getpid(), SIGCONT);
    ::kill(::getpid(), SIGHUP);
    loop.run();
    EXPECT_EQ(reader.last_signal(), SIGHUP);
}

TEST(BlockedSignals, TellOfAnEndThatWasAskedForBeforeAnybodyReadsThem) {
    const BlockedSignals blocked;
    blocked.check();
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        ::kill(::getpid(), signal);
        try {
            blocked.check();
            ADD_FAILURE() << "nothing was thrown for signal " << signal;
        } catch (const Interrupted& interrupted) {
            EXPECT_EQ(interrupted.signal, signal);
        }
    }
    blocked.check();
}

TEST(BlockedSignals, DoNotKillUsWhenTheyCameTooLate) {
    {
        const BlockedSignals blocked;
        ::kill(::getpid(), SIGTERM);
        ::kill(::getpid(), SIGINT);
    }
    SUCCEED() << "still here";
}

TEST(BlockedSignals, PutBackTheMaskAndWhatTheyIgnored) {
    sigset_t before;
    sigset_t after;
    struct sigaction ignored {};
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    {
        const BlockedSignals blocked;
        for (const int signal : {SIGPIPE, SIGXFSZ}) {
            ::sigaction(signal, nullptr, &ignored);
            EXPECT_EQ(ignored.sa_handler, SIG_IGN) << signal;
        }
    }
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
        ::sigaction(signal, nullptr, &ignored);
        EXPECT_EQ(ignored.sa_handler, SIG_DFL) << signal;
    }
    EXPECT_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

}  // namespace
}  // namespace cxlvm::cli
