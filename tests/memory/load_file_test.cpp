// SPDX-License-Identifier: Apache-2.0
#include "memory/guest_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "io/error.hpp"
#include "tests/memory/fake_tree.hpp"

namespace cxlvm {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSize = 64 * kPage;

std::byte pattern(std::uint64_t offset) {
    return static_cast<std::byte>((offset * 7 + offset / kPage + 1) & 0xff);
}

class LoadFile : public ::testing::TestWithParam<PageBacking> {
  protected:
    static constexpr std::uint64_t kFileSize = 10 * kPage + 123;

    LoadFile() {
        std::string text;
        for (std::uint64_t i = 0; i < kFileSize; ++i) {
            text.push_back(static_cast<char>(pattern(i)));
        }
        tree_.add_file("/image", text);
        file_ = io::open_file(tree_.root() + "/image", O_RDONLY);
    }

    static GuestMemory make(PageBacking backing) {
        GuestMemoryConfig config;
        config.size = kSize;
        config.backing = backing;
        return GuestMemory(config);
    }

    [[nodiscard]] std::vector<std::byte> file_bytes() const {
        std::vector<std::byte> bytes(kFileSize);
        EXPECT_EQ(::pread(file_.get(), bytes.data(), bytes.size(), 0),
                  static_cast<ssize_t>(kFileSize));
        return bytes;
    }

    test::FakeTree tree_;
    io::Fd file_;
    GuestMemory memory_ = make(GetParam());
};

TEST_P(LoadFile, PutsTheBytesInPlaceAndZeroesTheRestOfTheLastPage) {
    for (const std::uint64_t offset : {std::uint64_t{0}, 2 * kPage}) {
        for (const std::uint64_t size :
             {std::uint64_t{1}, kPage - 1, kPage, kPage + 1, 3 * kPage + 5, kFileSize - offset}) {
            // What was there before must not show.
            const auto all = memory_.span(Gpa(0), kSize);
            ASSERT_TRUE(all);
            std::ranges::fill(*all, std::byte{0xee});
            memory_.load_file(Gpa(4 * kPage), file_, offset, size, "image");
            const std::uint64_t end = (size + kPage - 1) / kPage * kPage;
            for (std::uint64_t i = 0; i < end; ++i) {
                ASSERT_EQ((*all)[4 * kPage + i], i < size ? pattern(offset + i) : std::byte{0})
                    << offset << " " << size << " " << i;
            }
            EXPECT_EQ((*all)[4 * kPage - 1], std::byte{0xee});
            EXPECT_EQ((*all)[4 * kPage + end], std::byte{0xee});
        }
    }
}

TEST_P(LoadFile, WritesNeverReachTheFile) {
    const std::vector<std::byte> before = file_bytes();
    memory_.load_file(Gpa(0), file_, 0, kFileSize, "image");
    const auto bytes = memory_.span(Gpa(0), kFileSize);
    ASSERT_TRUE(bytes);
    std::ranges::fill(*bytes, std::byte{0});
    EXPECT_EQ(file_bytes(), before);
}

TEST_P(LoadFile, NothingIsLoadedForSizeZero) {
    memory_.load_file(Gpa(0), file_, 0, 0, "image");
    EXPECT_EQ(memory_.load<std::uint8_t>(Gpa(0)), 0);
}

TEST_P(LoadFile, FitsUpToTheLastPageOfTheMemoryAndNoFurther) {
    memory_.load_file(Gpa(kSize - 2 * kPage), file_, 0, 2 * kPage, "image");
    EXPECT_EQ(memory_.load<std::byte>(memory_.last()), pattern(2 * kPage - 1));
    EXPECT_THROW(memory_.load_file(Gpa(kSize - 2 * kPage), file_, 0, 2 * kPage + 1, "image"),
                 io::Error);
}

TEST_P(LoadFile, RefusesWhatDoesNotFitAndNamesTheFile) {
    struct Case {
        std::uint64_t base;
        std::uint64_t offset;
        std::uint64_t size;
    };
    constexpr std::uint64_t kTop = ~std::uint64_t{0};
    for (const Case& bad :
         {Case{1, 0, kPage}, Case{0, 1, kPage}, Case{kSize, 0, 1}, Case{0, 0, kSize + 1},
          Case{0, 0, kTop}, Case{0, 0, kTop - kPage}, Case{kTop - kPage + 1, 0, kPage},
          Case{0, 0, kFileSize + 1}, Case{0, 11 * kPage, 1}, Case{0, kTop - kPage + 1, kPage}}) {
        try {
            memory_.load_file(Gpa(bad.base), file_, bad.offset, bad.size, "the image");
            ADD_FAILURE() << bad.base << " " << bad.offset << " " << bad.size;
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Input) << error.what();
            EXPECT_NE(std::string(error.what()).find("the image"), std::string::npos);
        }
    }
    const auto all = memory_.span(Gpa(0), kSize);
    ASSERT_TRUE(all);
    EXPECT_TRUE(std::ranges::all_of(*all, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_P(LoadFile, APipeIsNotAFileToLoad) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const io::Fd reader(ends[0]);
    const io::Fd writer(ends[1]);
    EXPECT_THROW(memory_.load_file(Gpa(0), reader, 0, kPage, "pipe"), io::Error);
}

INSTANTIATE_TEST_SUITE_P(GuestMemory, LoadFile,
                         ::testing::Values(PageBacking::Shared, PageBacking::Anonymous,
                                           PageBacking::Transparent));

// What is mapped changes with the file until it is written: proof that the pages are the file's
// own, shared with everybody who maps it.
TEST(LoadFileOverlay, SharesThePagesOfTheFileUntilTheyAreWritten) {
    const test::FakeTree tree;
    tree.add_file("/image", std::string(4 * kPage, 'a'));
    const io::Fd file = io::open_file(tree.root() + "/image", O_RDWR);
    GuestMemoryConfig config;
    config.size = kSize;
    for (const PageBacking backing : {PageBacking::Anonymous, PageBacking::Transparent}) {
        config.backing = backing;
        GuestMemory memory(config);
        ASSERT_EQ(::pwrite(file.get(), "aaaa", 4, kPage), 4);
        memory.load_file(Gpa(0), file, 0, 4 * kPage, "image");
        EXPECT_EQ(memory.load<char>(Gpa(kPage)), 'a');
        ASSERT_EQ(::pwrite(file.get(), "b", 1, kPage), 1);
        EXPECT_EQ(memory.load<char>(Gpa(kPage)), 'b') << "still the file's page";
        ASSERT_TRUE(memory.store(Gpa(kPage + 1), 'x'));
        ASSERT_EQ(::pwrite(file.get(), "c", 1, kPage), 1);
        EXPECT_EQ(memory.load<char>(Gpa(kPage)), 'b') << "a copy since the write";
    }
}

TEST(LoadFileOverlay, IsPrivateOncePrefaulted) {
    const test::FakeTree tree;
    tree.add_file("/image", std::string(4 * kPage, 'a'));
    const io::Fd file = io::open_file(tree.root() + "/image", O_RDWR);
    GuestMemoryConfig config;
    config.size = kSize;
    GuestMemory memory(config);
    memory.load_file(Gpa(0), file, 0, 4 * kPage, "image");
    memory.prefault({});
    ASSERT_EQ(::pwrite(file.get(), "b", 1, 0), 1);
    EXPECT_EQ(memory.load<char>(Gpa(0)), 'a');
}

}  // namespace
}  // namespace cxlvm
