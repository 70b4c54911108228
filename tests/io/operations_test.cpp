// SPDX-License-Identifier: Apache-2.0
#include "io/operations.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>

#include "tests/io/loop_support.hpp"

namespace cxlvm::io {
namespace {

using namespace std::chrono_literals;
using test::Pipe;
using test::put;
using test::Recorded;
using test::serve_for;
using test::serve_until;

class OperationsTest : public testing::Test {
  protected:
    EventLoop loop_{{.entries = 8, .name = "test"}};
    std::array<std::byte, 16> buffer_{};
};

TEST_F(OperationsTest, ReadAndWriteAtOffsetsLeaveTheFilePositionAlone) {
    const Fd file = open_file("/tmp", O_TMPFILE | O_RDWR, 0600);
    const std::array<std::byte, 4> data{std::byte{'a'}, std::byte{'b'}, std::byte{'c'},
                                        std::byte{'d'}};
    Recorded<WriteOp> write;
    loop_.start(write.op.set(file.get(), data, 100));
    serve_until(loop_, [&] { return write.op.idle(); });
    EXPECT_EQ(write.record.only(), 4);
    Recorded<ReadOp> read;
    loop_.start(read.op.set(file.get(), buffer_, 102));
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.only(), 2);
    EXPECT_EQ(buffer_[0], std::byte{'c'});
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 0);
}

TEST_F(OperationsTest, TheCurrentPositionMovesWithEachWriteAndRead) {
    const Fd file = open_file("/tmp", O_TMPFILE | O_RDWR, 0600);
    const std::array<std::byte, 3> data{std::byte{'x'}, std::byte{'y'}, std::byte{'z'}};
    for (int i = 0; i < 2; ++i) {
        Recorded<WriteOp> write;
        loop_.start(write.op.set(file.get(), data));
        serve_until(loop_, [&] { return write.op.idle(); });
        EXPECT_EQ(write.record.only(), 3);
    }
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 6);
    ASSERT_EQ(::lseek(file.get(), 4, SEEK_SET), 4);
    Recorded<ReadOp> read;
    loop_.start(read.op.set(file.get(), buffer_));
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.only(), 2);
    loop_.start(read.op.set(file.get(), buffer_));
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.results.back().value, 0) << "the end of the file";
}

TEST_F(OperationsTest, PollReportsTheEventsThatCameTrue) {
    const Pipe pipe;
    Recorded<PollOp> poll;
    loop_.start(poll.op.set(pipe.reader.get(), POLLIN));
    serve_for(loop_, 2ms);
    EXPECT_FALSE(poll.op.idle());
    put(pipe.writer, "x");
    serve_until(loop_, [&] { return poll.op.idle(); });
    EXPECT_EQ(poll.record.only(), POLLIN);
}

TEST_F(OperationsTest, ATimeoutExpiresNoEarlierThanAsked) {
    Recorded<TimeoutOp> timer;
    const auto start = std::chrono::steady_clock::now();
    loop_.start(timer.op.set(20ms));
    serve_until(loop_, [&] { return timer.op.idle(); });
    EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
    EXPECT_EQ(timer.record.only(), -ETIME);
}

TEST_F(OperationsTest, ATimeoutInThePastExpiresAtOnce) {
    Recorded<TimeoutOp> timer;
    loop_.start(timer.op.set(-5s));
    serve_until(loop_, [&] { return timer.op.idle(); });
    EXPECT_EQ(timer.record.only(), -ETIME);
}

TEST_F(OperationsTest, ATimeoutCanBeCancelledAndSetAgain) {
    Recorded<TimeoutOp> timer;
    loop_.start(timer.op.set(1h + 5ns));
    loop_.run_ready();
    loop_.cancel(timer.op);
    serve_until(loop_, [&] { return timer.op.idle(); });
    EXPECT_EQ(timer.record.only(), -ECANCELED);
    loop_.start(timer.op.set(0s));
    serve_until(loop_, [&] { return timer.op.idle(); });
    EXPECT_EQ(timer.record.results.back().value, -ETIME);
}

/// A listening socket in the abstract namespace.
class Listener {
  public:
    Listener() : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un any{};
        any.sun_family = AF_UNIX;
        const auto* const name = reinterpret_cast<const sockaddr*>(&any);
        EXPECT_EQ(::bind(socket_.get(), name, sizeof(sa_family_t)), 0);
        EXPECT_EQ(::listen(socket_.get(), 16), 0);
    }
    int fd() const { return socket_.get(); }
    Fd connect() const {
        sockaddr_un address{};
        socklen_t size = sizeof address;
        auto* const name = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(::getsockname(socket_.get(), name, &size), 0);
        Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::connect(client.get(), name, size), 0);
        return client;
    }

  private:
    Fd socket_;
};

TEST_F(OperationsTest, AcceptGivesACloseOnExecDescriptor) {
    const Listener listener;
    Recorded<AcceptOp> accept;
    loop_.start(accept.op.set(listener.fd(), false));
    const Fd client = listener.connect();
    serve_until(loop_, [&] { return accept.op.idle(); });
    const Fd server(accept.record.only());
    ASSERT_TRUE(server);
    EXPECT_NE(::fcntl(server.get(), F_GETFD) & FD_CLOEXEC, 0);
    put(client, "hi");
    EXPECT_EQ(::read(server.get(), buffer_.data(), 2), 2);
}

TEST_F(OperationsTest, MultishotAcceptTakesOneClientAfterAnother) {
    const Listener listener;
    Recorded<AcceptOp> accept;
    loop_.start(accept.op.set(listener.fd(), true));
    for (std::size_t i = 1; i <= 5; ++i) {
        const Fd client = listener.connect();
        serve_until(loop_, [&] { return accept.record.results.size() >= i; });
        const Fd server(accept.record.results.back().value);
        EXPECT_TRUE(server);
        EXPECT_TRUE(accept.record.results.back().more);
    }
    loop_.cancel(accept.op);
    serve_until(loop_, [&] { return accept.op.idle(); });
    EXPECT_EQ(accept.record.results.back(), (test::Result{-ECANCELED, false}));
}

struct Wakes {
    void wake() noexcept {
        ++count;
        if (then) {
            then();
        }
    }
    int count = 0;
    std::function<void()> then;
};

TEST_F(OperationsTest, WakeNotifiesForEachSignalUntilCancelled) {
    const EventFd event("test");
    Wakes wakes;
    WakeOp wake = WakeOp::to<&Wakes::wake>(loop_, event, wakes);
    loop_.start(wake);
    for (int i = 1; i <= 10; ++i) {
        event.signal();
        serve_until(loop_, [&] { return wakes.count == i; });
    }
    loop_.cancel(wake);
    serve_until(loop_, [&] { return wake.idle(); });
    event.signal();
    serve_for(loop_, 2ms);
    EXPECT_EQ(wakes.count, 10);
}

TEST_F(OperationsTest, WakeTreatsSignalsThatComeTogetherAsOne) {
    const EventFd event("test");
    Wakes wakes;
    WakeOp wake = WakeOp::to<&Wakes::wake>(loop_, event, wakes);
    event.signal();
    event.signal();
    loop_.start(wake);
    serve_until(loop_, [&] { return wakes.count == 1; });
    serve_for(loop_, 2ms);
    EXPECT_EQ(wakes.count, 1);
    EXPECT_EQ(event.drain(), 0U);
    loop_.cancel(wake);
    serve_until(loop_, [&] { return wake.idle(); });
}

TEST_F(OperationsTest, WakeMayBeCancelledWhileASignalIsOnItsWay) {
    for (int i = 0; i < 100; ++i) {
        const EventFd event("test");
        Wakes wakes;
        WakeOp wake = WakeOp::to<&Wakes::wake>(loop_, event, wakes);
        loop_.start(wake);
        if (i % 2 == 0) {
            loop_.run_ready();
        }
        event.signal();
        loop_.cancel(wake);
        serve_until(loop_, [&] { return wake.idle(); });
        EXPECT_LE(wakes.count, 1);
    }
}

TEST_F(OperationsTest, WakeMayBeCancelledFromItsNotification) {
    const EventFd event("test");
    Wakes wakes;
    WakeOp wake = WakeOp::to<&Wakes::wake>(loop_, event, wakes);
    wakes.then = [&] { loop_.cancel(wake); };
    loop_.start(wake);
    event.signal();
    serve_until(loop_, [&] { return wake.idle(); });
    EXPECT_EQ(wakes.count, 1);
}

TEST_F(OperationsTest, WakeEndsWhenTheLoopStops) {
    const EventFd event("test");
    Wakes wakes;
    WakeOp wake = WakeOp::to<&Wakes::wake>(loop_, event, wakes);
    wakes.then = [&] { loop_.stop(); };
    event.signal();
    loop_.start(wake);
    loop_.run();
    EXPECT_TRUE(wake.idle());
    EXPECT_EQ(wakes.count, 1);
}

}  // namespace
}  // namespace cxlvm::io
