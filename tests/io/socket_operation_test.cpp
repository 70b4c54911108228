// SPDX-License-Identifier: Apache-2.0
#include "io/socket_operation.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/io/loop_support.hpp"

namespace cxlvm::io {
namespace {

using test::Recorded;
using test::serve_for;
using test::serve_until;
using Wait = SocketOp::Wait;

class SocketOperationTest : public testing::Test {
  protected:
    void SetUp() override {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        near_.reset(ends[0]);
        far_.reset(ends[1]);
    }
    int result_of(Recorded<SocketOp>& operation) {
        loop_.start(operation.op);
        serve_until(loop_, [&] { return operation.op.idle(); });
        return operation.record.results.back().value;
    }
    static iovec segment(std::string& text) { return {text.data(), text.size()}; }

    EventLoop loop_{{.entries = 8, .name = "test"}};
    Fd near_;
    Fd far_;
    Recorded<SocketOp> operation_;
};

TEST_F(SocketOperationTest, SendsFromAndReceivesIntoSeveralSegments) {
    std::string one = "abc";
    std::string two = "defgh";
    const std::array<iovec, 2> out{segment(one), segment(two)};
    operation_.op.send(near_.get(), out, Wait::Yes);
    EXPECT_EQ(result_of(operation_), 8);
    std::string first(2, '.');
    std::string second(10, '.');
    const std::array<iovec, 2> in{segment(first), segment(second)};
    operation_.op.receive(far_.get(), in, Wait::No);
    EXPECT_EQ(result_of(operation_), 8);
    EXPECT_EQ(first + second, "abcdefgh....");
    near_.reset();
    operation_.op.receive(far_.get(), in, Wait::No);
    EXPECT_EQ(result_of(operation_), 0);
}

TEST_F(SocketOperationTest, EndsOrWaitsWhenThereIsNothing) {
    std::string text(4, '.');
    const std::array<iovec, 1> segments{segment(text)};
    operation_.op.receive(near_.get(), segments, Wait::No);
    EXPECT_EQ(result_of(operation_), -EAGAIN);
    loop_.start(operation_.op.receive(near_.get(), segments, Wait::Yes));
    serve_for(loop_, std::chrono::milliseconds(2));
    EXPECT_FALSE(operation_.op.idle());
    test::put(far_, "late");
    serve_until(loop_, [&] { return operation_.op.idle(); });
    EXPECT_EQ(text, "late");
}

TEST_F(SocketOperationTest, EndsOrWaitsWhenThereIsNoRoom) {
    std::string text(1 << 20, 'x');
    const std::array<iovec, 1> segments{segment(text)};
    operation_.op.send(near_.get(), segments, Wait::No);
    EXPECT_GT(result_of(operation_), 0);
    operation_.op.send(near_.get(), segments, Wait::No);
    EXPECT_EQ(result_of(operation_), -EAGAIN);
    loop_.start(operation_.op.send(near_.get(), segments, Wait::Yes));
    serve_for(loop_, std::chrono::milliseconds(2));
    EXPECT_FALSE(operation_.op.idle());
    loop_.cancel(operation_.op);
    serve_until(loop_, [&] { return operation_.op.idle(); });
    EXPECT_TRUE(operation_.op.cancel_requested());
}

TEST_F(SocketOperationTest, ErrorsAreResultsAndNoSignals) {
    std::string text = "x";
    const std::array<iovec, 1> segments{segment(text)};
    far_.reset();
    operation_.op.send(near_.get(), segments, Wait::Yes);
    EXPECT_EQ(result_of(operation_), -EPIPE);
    const Fd file = open_file("/proc/self/exe", O_RDONLY);
    operation_.op.receive(file.get(), segments, Wait::Yes);
    EXPECT_EQ(result_of(operation_), -ENOTSOCK);
}

}  // namespace
}  // namespace cxlvm::io
