// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/disk_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include "io/error.hpp"

namespace cxlvm::virtio::block {
namespace {

class DiskFileTest : public testing::Test {
  protected:
    void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::string make_file(const char* name, std::uint64_t size) const {
        std::string path = folder_ + "/" + name;
        const io::Fd file = io::open_file(path, O_CREAT | O_RDWR, 0600);
        EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
        return path;
    }
    /// The message with which a disk is refused; fails the test when it is not, or as a fault of
    /// another kind.
    static std::string refusal(const DiskConfig& config, io::Fault fault = io::Fault::Input) {
        try {
            const DiskFile disk(config);
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), fault) << error.what();
            return error.what();
        }
        ADD_FAILURE() << config.path << " was taken";
        return {};
    }
    static bool contains(const std::string& text, const std::string& part) {
        return text.find(part) != std::string::npos;
    }

    std::string folder_ = "/tmp/cxlvm-disk.XXXXXX";
};

TEST_F(DiskFileTest, TellsWhatItIs) {
    const DiskFile disk({.path = make_file("disk", 1 << 20)});
    EXPECT_EQ(disk.sectors(), 2048U);
    EXPECT_FALSE(disk.read_only());
    EXPECT_FALSE(disk.is_block_device());
    EXPECT_EQ(disk.alignment(), 1U);
    EXPECT_EQ(disk.block_size(), 512U);
    EXPECT_EQ(disk.buffered_fd(), disk.fd());
    EXPECT_EQ(::fcntl(disk.fd(), F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
}

TEST_F(DiskFileTest, OneWriterOrManyReaders) {
    const std::string path = make_file("disk", 4096);
    {
        const DiskFile writer({.path = path});
        EXPECT_TRUE(contains(refusal({.path = path}), "another VM or program uses it"));
        EXPECT_TRUE(contains(refusal({.path = path, .read_only = true}), "writes to it"));
    }
    const DiskFile reader({.path = path, .read_only = true});
    const DiskFile other({.path = path, .read_only = true});
    EXPECT_TRUE(reader.read_only());
    EXPECT_TRUE(contains(refusal({.path = path}), "another VM or program uses it"));
}

TEST_F(DiskFileTest, TwoDisksOfOneMachineAreTwoFiles) {
    const std::string path = make_file("disk", 4096);
    const std::string link = folder_ + "/link";
    ASSERT_EQ(::symlink("disk", link.c_str()), 0);
    const io::Fd file = io::open_file(path, O_RDWR);
    const io::Fd copy = file.duplicate();
    const std::string descriptor = "fd=" + std::to_string(file.get());
    const std::string second = "fd=" + std::to_string(copy.get());
    const auto refused = [](std::initializer_list<DiskConfig> disks) -> std::string {
        std::vector<BlockConfig> configs;
        for (const DiskConfig& disk : disks) {
            configs.push_back({.disk = disk});
        }
        try {
            check_distinct(configs);
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Input);
            return error.what();
        }
        return {};
    };
    EXPECT_TRUE(
        contains(refused({{.path = path}, {.path = path}}), "--disk: " + path + ": given twice"));
    EXPECT_TRUE(contains(refused({{.path = path}, {.path = "x"}, {.path = link}}),
                         "--disk: " + link + ": the same file as " + path));
    EXPECT_TRUE(
        contains(refused({{.path = path, .read_only = true}, {.path = path}}), "readonly to both"));
    EXPECT_TRUE(contains(refused({{.path = descriptor}, {.path = second}}), "the same file as"))
        << "whose lock is one and the same";
    EXPECT_EQ(refused({{.path = path, .read_only = true}, {.path = link, .read_only = true}}), "");
    EXPECT_EQ(refused({{.path = path}, {.path = make_file("other", 4096)}}), "");
    EXPECT_EQ(refused({{.path = folder_ + "/none"}, {.path = folder_ + "/none"}}), "")
        << "what is not there is refused when it is opened";
}

TEST_F(DiskFileTest, RefusesWhatCanBeNoDisk) {
    EXPECT_TRUE(contains(refusal({.path = make_file("empty", 0)}), "truncate -s 1G"));
    const std::string odd = refusal({.path = make_file("odd", 1000)});
    EXPECT_TRUE(contains(odd, "--disk: " + folder_ + "/odd")) << odd;
    EXPECT_TRUE(contains(odd, "truncate -s 1024 FILE")) << odd;
    EXPECT_TRUE(contains(refusal({.path = folder_, .read_only = true}), "neither a file"));
    EXPECT_TRUE(contains(refusal({.path = "/dev/null"}), "neither a file"));
    EXPECT_TRUE(contains(refusal({.path = folder_ + "/none"}), "--disk: cannot open"));
    const std::string fifo = folder_ + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_TRUE(contains(refusal({.path = fifo, .read_only = true}), "neither a file"));
}

TEST_F(DiskFileTest, TakesADescriptorOfSomebodyElse) {
    const std::string path = make_file("disk", 4096);
    const io::Fd file = io::open_file(path, O_RDWR);
    {
        const DiskFile disk({.path = "fd=" + std::to_string(file.get())});
        EXPECT_EQ(disk.sectors(), 8U);
        EXPECT_NE(disk.fd(), file.get());
    }
    const io::Fd reading = io::open_file(path, O_RDONLY);
    const std::string name = "fd=" + std::to_string(reading.get());
    EXPECT_TRUE(contains(refusal({.path = name}), "add readonly"));
}

TEST_F(DiskFileTest, ADescriptorForReadingIsADiskForReading) {
    const io::Fd file = io::open_file(make_file("disk", 4096), O_RDONLY);
    const DiskFile disk({.path = "fd=" + std::to_string(file.get()), .read_only = true});
    EXPECT_EQ(disk.sectors(), 8U);
}

TEST_F(DiskFileTest, DirectTransfersAreAlignedAndAFileWithoutStaysAtHand) {
    const std::string path = make_file("disk", 1 << 16);
    if (!io::Fd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC))) {
        GTEST_SKIP() << "the file system of /tmp has no direct I/O";
    }
    const DiskFile disk({.path = path, .direct = true});
    EXPECT_NE(::fcntl(disk.fd(), F_GETFL) & O_DIRECT, 0);
    EXPECT_EQ(::fcntl(disk.buffered_fd(), F_GETFL) & O_DIRECT, 0);
    EXPECT_NE(disk.fd(), disk.buffered_fd());
    EXPECT_GE(disk.alignment(), 512U);
    EXPECT_LE(disk.alignment(), 4096U);
    EXPECT_EQ(disk.alignment() & (disk.alignment() - 1), 0U);
    EXPECT_EQ(disk.block_size(), disk.alignment());
    EXPECT_TRUE(contains(refusal({.path = path}), "another VM or program uses it"));
}

TEST_F(DiskFileTest, DirectIsRefusedWhereThereIsNone) {
    // A file of 4 KiB, as fstat(2) has it, on a file system that never had direct I/O.
    const DiskConfig config{.path = "/sys/kernel/uevent_seqnum", .read_only = true, .direct = true};
    EXPECT_TRUE(contains(refusal(config), "leave out direct"));
}

}  // namespace
}  // namespace cxlvm::virtio::block
