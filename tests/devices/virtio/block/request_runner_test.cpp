// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/request_runner.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tests/devices/virtio/block/disk_support.hpp"

namespace cxlvm::virtio::block {
namespace {

using test::DiskImage;
using test::serve_until;

constexpr std::uint64_t kSectors = 4096;

class RequestRunnerTest : public testing::Test, public RequestRunner::Owner {
  protected:
    struct End {
        RequestStatus status;
        int error;
        friend bool operator==(const End&, const End&) = default;
    };

    void request_done(RequestRunner& runner, RequestStatus status, int error) noexcept override {
        EXPECT_EQ(&runner, &runner_);
        EXPECT_TRUE(runner.idle());
        EXPECT_FALSE(end_.has_value()) << "told twice";
        end_ = {status, error};
    }
    /// Starts what request() says, and waits for its end.
    End run(bool write_through = false) {
        end_.reset();
        if (const auto status = runner_.start(write_through)) {
            EXPECT_FALSE(end_.has_value());
            return {*status, 0};
        }
        EXPECT_TRUE(serve_until(loop_, [&] { return end_.has_value(); }));
        return end_.value_or(End{RequestStatus::Unsupported, -1});
    }
    /// A transfer at `offset` of `text_`, in elements of `element` bytes.
    void transfer(RequestType type, std::uint64_t offset, std::size_t element) {
        segments_.clear();
        for (std::size_t done = 0; done < text_.size(); done += element) {
            segments_.push_back({text_.data() + done, std::min(element, text_.size() - done)});
        }
        Request& request = runner_.request();
        request.type = type;
        request.offset = offset;
        request.data = segments_;
        request.bytes = text_.size();
        request.range_count = 0;
    }
    void ranges(RequestType type, std::initializer_list<ByteRange> list) {
        Request& request = runner_.request();
        request.type = type;
        request.data = {};
        request.range_count = 0;
        for (const ByteRange& range : list) {
            request.range_storage[request.range_count++] = range;
        }
    }

    /// What the runner says of a failure, without the reason.
    [[nodiscard]] std::string failure() const {
        const RequestRunner::Failure failure = runner_.failure(0);
        return failure.what +
               (failure.offset ? " at " + std::to_string(*failure.offset) : std::string());
    }
    /// From now on what is behind the disk's descriptor can be neither written nor flushed.
    void break_disk() const {
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        const io::Fd reader(ends[0]);
        const io::Fd writer(ends[1]);
        ASSERT_EQ(::dup2(reader.get(), disk_.fd()), disk_.fd());
    }

    struct Other final : RequestRunner::Owner {
        void request_done(RequestRunner& /*runner*/, RequestStatus ended,
                          int /*error*/) noexcept override {
            status = ended;
        }
        std::optional<RequestStatus> status;
    };

    static constexpr End kOk{RequestStatus::Ok, 0};

    io::EventLoop loop_{{.entries = 8, .name = "test"}};
    DiskImage image_{kSectors};
    DiskFile disk_{image_.config()};
    Zeros zeros_;
    std::string text_;
    std::vector<iovec> segments_;
    std::optional<End> end_;
    Other other_;
    RequestRunner runner_{loop_, disk_, zeros_, *this};
};

TEST_F(RequestRunnerTest, Reads) {
    for (const std::size_t element : {512U, 100U, 4096U}) {
        text_.assign(1024, '.');
        transfer(RequestType::In, 512, element);
        EXPECT_EQ(run(), kOk);
        EXPECT_EQ(text_, std::string(512, 'b') + std::string(512, 'c'));
    }
}

TEST_F(RequestRunnerTest, Writes) {
    for (const bool write_through : {false, true}) {
        text_ = std::string(600, write_through ? 'X' : 'Y') + std::string(424, 'Z');
        transfer(RequestType::Out, 512, 300);
        EXPECT_EQ(run(write_through), kOk);
        EXPECT_EQ(image_.get(512, 1024), text_);
    }
    EXPECT_EQ(image_.get(0, 512), std::string(512, 'a'));
    EXPECT_EQ(image_.get(1536, 512), std::string(512, 'd'));
}

TEST_F(RequestRunnerTest, MoreSegmentsThanTheKernelTakesAreTransferredInParts) {
    text_.assign(io::FileOp::kMaxSegments * 2 + 512, '.');
    transfer(RequestType::In, 0, 1);
    EXPECT_EQ(run(), kOk);
    EXPECT_EQ(text_, image_.get(0, text_.size()));
}

TEST_F(RequestRunnerTest, ATransferOfNothingNeedsNoIo) {
    text_.clear();
    transfer(RequestType::In, 0, 512);
    EXPECT_EQ(runner_.start(false), RequestStatus::Ok);
    transfer(RequestType::Out, 0, 512);
    EXPECT_EQ(runner_.start(false), RequestStatus::Ok);
}

TEST_F(RequestRunnerTest, AFileThatBecameShorterIsAnErrorOfItsReader) {
    ASSERT_EQ(::ftruncate(image_.fd(), 1000), 0);
    text_.assign(1024, '.');
    transfer(RequestType::In, 512, 512);
    EXPECT_EQ(run(), (End{RequestStatus::IoError, 0}));
    EXPECT_EQ(failure(), "read at 1000");
    EXPECT_STREQ(runner_.failure(0).why, "the file has become shorter than the disk");
}

TEST_F(RequestRunnerTest, SaysWhatFailedAndWhere) {
    break_disk();
    transfer(RequestType::Flush, 0, 512);
    EXPECT_EQ(run(), (End{RequestStatus::IoError, EINVAL}));
    EXPECT_EQ(failure(), "flush");
    EXPECT_STREQ(runner_.failure(EIO).why, std::strerror(EIO));
    text_.assign(512, '.');
    transfer(RequestType::Out, 1024, 512);
    EXPECT_EQ(run(), (End{RequestStatus::IoError, EBADF}));
    EXPECT_EQ(failure(), "write at 1024");
    EXPECT_STRNE(runner_.failure(0).why, "the file has become shorter than the disk");
    ranges(RequestType::Discard, {{512, 1024, false}});
    EXPECT_EQ(run(), (End{RequestStatus::IoError, EBADF}));
    EXPECT_EQ(failure(), "discard at 512");
    ranges(RequestType::WriteZeroes, {{4096, 1024, false}});
    EXPECT_EQ(run(), (End{RequestStatus::IoError, EBADF}));
    EXPECT_EQ(failure(), "write of zeroes at 4096");
}

TEST_F(RequestRunnerTest, Flushes) {
    transfer(RequestType::Flush, 0, 512);
    EXPECT_EQ(run(), kOk);
}

TEST_F(RequestRunnerTest, ErrorsOfTheHostAreToldWithTheirNumber) {
    // The kernel refuses an offset that no file has.
    text_.assign(512, 'x');
    transfer(RequestType::Out, std::uint64_t{1} << 63, 512);
    EXPECT_EQ(run(), (End{RequestStatus::IoError, EINVAL}));
}

TEST_F(RequestRunnerTest, WritesZeroesInEachRange) {
    for (const bool unmap : {false, true}) {
        image_.put(0, std::string(20 * 512, 'x'));
        ranges(RequestType::WriteZeroes, {{512, 1024, unmap}, {8 * 512, 512, unmap}});
        EXPECT_EQ(run(true), kOk);
        EXPECT_EQ(image_.get(0, 512), std::string(512, 'x'));
        EXPECT_EQ(image_.get(512, 1024), std::string(1024, '\0'));
        EXPECT_EQ(image_.get(3 * 512, 5 * 512), std::string(std::size_t{5} * 512, 'x'));
        EXPECT_EQ(image_.get(8 * 512, 512), std::string(512, '\0'));
    }
}

TEST_F(RequestRunnerTest, WritesTheZeroesThatTheHostCannotMake) {
    // Files in memory know no FALLOC_FL_ZERO_RANGE.
    const io::Fd memory(::memfd_create("test disk", MFD_CLOEXEC));
    constexpr std::size_t kSize = std::size_t{4} << 20;
    const std::string content(kSize, 'x');
    ASSERT_EQ(::pwrite(memory.get(), content.data(), kSize, 0), static_cast<ssize_t>(kSize));
    ASSERT_NE(::fallocate(memory.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 512), 0);
    const DiskFile disk({.path = "fd=" + std::to_string(memory.get())});
    RequestRunner runner(loop_, disk, zeros_, other_);
    Request& request = runner.request();
    request.type = RequestType::WriteZeroes;
    request.range_storage[0] = {512, (std::size_t{3} << 20) + 512, false};
    request.range_storage[1] = {kSize - 512, 512, false};
    request.range_count = 2;
    ASSERT_EQ(runner.start(false), std::nullopt);
    ASSERT_TRUE(serve_until(loop_, [&] { return other_.status.has_value(); }));
    EXPECT_EQ(other_.status, RequestStatus::Ok);
    std::string found(kSize, '?');
    ASSERT_EQ(::pread(memory.get(), found.data(), kSize, 0), static_cast<ssize_t>(kSize));
    std::string expected = content;
    expected.replace(512, (std::size_t{3} << 20) + 512, (std::size_t{3} << 20) + 512, '\0');
    expected.replace(kSize - 512, 512, 512, '\0');
    EXPECT_TRUE(found == expected);
}

TEST_F(RequestRunnerTest, DiscardsLeaveTheSizeAlone) {
    ranges(RequestType::Discard, {{0, 4096, false}, {(kSectors - 8) * 512, 4096, false}});
    EXPECT_EQ(run(), kOk);
    struct stat status {};
    ASSERT_EQ(::fstat(image_.fd(), &status), 0);
    EXPECT_EQ(status.st_size, static_cast<off_t>(kSectors * 512));
}

TEST_F(RequestRunnerTest, NoRangesNeedNoIo) {
    ranges(RequestType::Discard, {});
    EXPECT_EQ(runner_.start(false), RequestStatus::Ok);
}

TEST_F(RequestRunnerTest, OneThatIsCancelledEnds) {
    text_.assign(512, '.');
    transfer(RequestType::In, 0, 512);
    ASSERT_EQ(runner_.start(false), std::nullopt);
    runner_.cancel();
    ASSERT_TRUE(serve_until(loop_, [&] { return end_.has_value(); }));
    EXPECT_TRUE(runner_.idle());
    EXPECT_EQ(run(), kOk) << "and can be used again";
}

}  // namespace
}  // namespace cxlvm::virtio::block
