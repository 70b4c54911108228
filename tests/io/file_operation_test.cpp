// SPDX-License-Identifier: Apache-2.0
#include "io/file_operation.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/io/loop_support.hpp"

namespace cxlvm::io {
namespace {

using test::Recorded;
using test::serve_until;

class FileOperationTest : public testing::Test {
  protected:
    /// Runs what `operation.op` was told to do; returns its result.
    int result_of(Recorded<FileOp>& operation) {
        loop_.start(operation.op);
        serve_until(loop_, [&] { return operation.op.idle(); });
        return operation.record.results.back().value;
    }
    static iovec segment(std::string& text) { return {text.data(), text.size()}; }
    [[nodiscard]] std::string content(std::size_t size) const {
        std::string text(size, '?');
        const ssize_t count = ::pread(file_.get(), text.data(), size, 0);
        text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return text;
    }
    void put(const std::string& text) const {
        ASSERT_EQ(::pwrite(file_.get(), text.data(), text.size(), 0),
                  static_cast<ssize_t>(text.size()));
    }

    EventLoop loop_{{.entries = 8, .name = "test"}};
    Fd file_ = open_file("/tmp", O_TMPFILE | O_RDWR, 0600);
    Recorded<FileOp> operation_;
};

TEST_F(FileOperationTest, WritesFromAndReadsIntoSeveralSegments) {
    std::string one = "abc";
    std::string two = "defgh";
    const std::array<iovec, 2> out{segment(one), segment(two)};
    operation_.op.write(file_.get(), out, 2);
    EXPECT_EQ(result_of(operation_), 8);
    EXPECT_EQ(content(16), std::string("\0\0abcdefgh", 10));

    std::string first(4, '.');
    std::string second(4, '.');
    const std::array<iovec, 2> in{segment(first), segment(second)};
    operation_.op.read(file_.get(), in, 3);
    EXPECT_EQ(result_of(operation_), 7) << "the file ends before the second segment does";
    EXPECT_EQ(first, "bcde");
    EXPECT_EQ(second, "fgh.");
    operation_.op.read(file_.get(), in, 10);
    EXPECT_EQ(result_of(operation_), 0);
    EXPECT_EQ(::lseek(file_.get(), 0, SEEK_CUR), 0);
}

TEST_F(FileOperationTest, OfTooManySegmentsTheFirstAreTransferred) {
    std::string data(FileOp::kMaxSegments + 10, 'x');
    std::vector<iovec> segments;
    for (char& byte : data) {
        segments.push_back({&byte, 1});
    }
    operation_.op.write(file_.get(), segments, 0);
    EXPECT_EQ(result_of(operation_), static_cast<int>(FileOp::kMaxSegments));
    EXPECT_EQ(content(data.size()).size(), FileOp::kMaxSegments);
}

TEST_F(FileOperationTest, Syncs) {
    put("data");
    operation_.op.sync(file_.get());
    EXPECT_EQ(result_of(operation_), 0);
    const test::Pipe pipe;
    operation_.op.sync(pipe.writer.get());
    EXPECT_EQ(result_of(operation_), -EINVAL) << "a pipe has nothing to be synced to";
}

TEST_F(FileOperationTest, AllocatesAndPunchesHoles) {
    file_.reset(::memfd_create("test file", MFD_CLOEXEC));  // whatever /tmp is made of
    operation_.op.allocate(file_.get(), 0, 0, 8192);
    ASSERT_EQ(result_of(operation_), 0);
    struct stat status {};
    ASSERT_EQ(::fstat(file_.get(), &status), 0);
    EXPECT_EQ(status.st_size, 8192);
    put(std::string(8192, 'x'));
    operation_.op.allocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096);
    EXPECT_EQ(result_of(operation_), 0);
    EXPECT_EQ(content(8192), std::string(4096, 'x') + std::string(4096, '\0'));
}

TEST_F(FileOperationTest, ErrorsAreResults) {
    std::string text = "x";
    const std::array<iovec, 1> segments{segment(text)};
    operation_.op.read(-1, segments, 0);
    EXPECT_EQ(result_of(operation_), -EBADF);
    const Fd read_only = open_file("/proc/self/exe", O_RDONLY);
    operation_.op.write(read_only.get(), segments, 0);
    EXPECT_EQ(result_of(operation_), -EBADF);
}

}  // namespace
}  // namespace cxlvm::io
