// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_pci/doorbells.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "io/fd.hpp"
#include "tests/devices/virtio/transport_fixture.hpp"
#include "tests/support/serve_until.hpp"

namespace cxlvm::virtio {
namespace {

/// Doorbells of a transport in use, on a loop that the test turns.
class DoorbellsTest : public TransportTest {
  protected:
    DoorbellsTest() { bring_up(); }
    ~DoorbellsTest() override {
        stop();
        EXPECT_TRUE(stopped_);
    }
    DoorbellsTest(const DoorbellsTest&) = delete;
    DoorbellsTest& operator=(const DoorbellsTest&) = delete;

    void stop() {
        if (!std::exchange(stopping_, true)) {
            doorbells_.stop(stopped_task_);
            EXPECT_TRUE(test::serve_until(loop_, [&] { return stopped_; }));
            EXPECT_TRUE(doorbells_.idle());
        }
    }
    /// Turns the loop for as often as a loop that restarts itself would need to show.
    std::size_t completions_of_many_turns() {
        std::size_t completions = 0;
        for (int turn = 0; turn < 2000 && completions < 2000; ++turn) {
            completions += loop_.run_ready();
        }
        return completions;
    }
    [[nodiscard]] int bell(std::size_t queue) const {
        return doorbells_.doorbells()[queue].eventfd;
    }
    void ring(std::size_t queue) const { ASSERT_EQ(::eventfd_write(bell(queue), 1), 0); }
    bool notifies(std::uint16_t queue) {
        return test::serve_until(loop_, [&] {
            const auto notified = device_.take_notified();
            return std::ranges::find(notified, queue) != notified.end();
        });
    }
    std::string logged() const {
        std::string text(4096, '\0');
        const ssize_t size = ::pread(file_.get(), text.data(), text.size(), 0);
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        return text;
    }
    void on_stopped() noexcept { stopped_ = true; }

    const io::Fd file_{::memfd_create("log", MFD_CLOEXEC)};
    io::Log log_{file_.get()};
    io::EventLoop loop_;
    QueueDoorbells doorbells_{transport_, loop_, log_};
    bool stopping_ = false;
    bool stopped_ = false;
    io::Task stopped_task_{io::Task::to<&DoorbellsTest::on_stopped>(*this)};
};

/// Puts in the place of a descriptor one that cannot be polled, until it is undone.
class Unpollable {
  public:
    explicit Unpollable(int fd) : fd_(fd), kept_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {
        const io::Fd refused(::open("/", O_PATH | O_CLOEXEC));
        EXPECT_EQ(::dup3(refused.get(), fd_, O_CLOEXEC), fd_);
    }
    Unpollable(const Unpollable&) = delete;
    Unpollable& operator=(const Unpollable&) = delete;
    ~Unpollable() { EXPECT_EQ(::dup3(kept_.get(), fd_, O_CLOEXEC), fd_); }

  private:
    int fd_;
    io::Fd kept_;
};

TEST_F(DoorbellsTest, PassOnEachQueuesNotifications) {
    doorbells_.start();
    ring(2);
    EXPECT_TRUE(notifies(2));
    ring(0);
    EXPECT_TRUE(notifies(0));
    EXPECT_EQ(logged(), "");
}

TEST_F(DoorbellsTest, TryAgainLaterWhereTheyCannotListen) {
    {
        const Unpollable first(bell(0));
        const Unpollable last(bell(2));
        doorbells_.start();
        EXPECT_LT(completions_of_many_turns(), 1000U) << "started again at once, for ever";
        const std::string text = logged();
        EXPECT_NE(text.find("notifications"), std::string::npos) << text;
        EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
    }
    ring(0);
    EXPECT_TRUE(notifies(0));
    ring(2);
    EXPECT_TRUE(notifies(2));
}

TEST_F(DoorbellsTest, AreHandedOverAndTakenBackWhileTheyWaitToTryAgain) {
    {
        const Unpollable broken(bell(0));
        doorbells_.start();
        (void)completions_of_many_turns();
        EXPECT_EQ(doorbells_.hand_over(0), bell(0));
    }
    ring(0);
    (void)completions_of_many_turns();
    EXPECT_TRUE(device_.take_notified().empty()) << "somebody else listens";
    doorbells_.take_back(0);
    EXPECT_TRUE(notifies(0));
}

TEST_F(DoorbellsTest, StopWhileTheyWaitToTryAgain) {
    const Unpollable broken(bell(0));
    doorbells_.start();
    (void)completions_of_many_turns();
    EXPECT_FALSE(doorbells_.idle());
    stop();
}

TEST_F(DoorbellsTest, EndWithTheLoopWhileTheyWaitToTryAgain) {
    const Unpollable broken(bell(0));
    doorbells_.start();
    (void)completions_of_many_turns();
    loop_.stop();
    loop_.run();
    EXPECT_TRUE(doorbells_.idle());
}

}  // namespace
}  // namespace cxlvm::virtio
