// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/image.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using test::Bytes;
using test::input_error;
using test::pattern;
using test::TemporaryFolder;
using testing::HasSubstr;

std::string failure_to_open(const std::string& path) {
    return input_error([&] { (void)Image::open(path); });
}

class ImageFile : public testing::Test {
  protected:
    TemporaryFolder folder_;
};

TEST_F(ImageFile, ReadsWhatTheFileHolds) {
    const Bytes content = pattern(10'000);
    const Image image = Image::open(folder_.write("kernel", content));
    EXPECT_EQ(image.size(), content.size());
    Bytes part(100);
    image.read(5000, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), content.begin() + 5000));
}

TEST_F(ImageFile, TakesADescriptorAndLeavesItToItsOwner) {
    const std::string path = folder_.write("kernel", pattern(100));
    const io::Fd file = io::open_file(path, O_RDONLY);
    { EXPECT_EQ(Image::open("fd=" + std::to_string(file.get())).size(), 100U); }
    EXPECT_GE(::fcntl(file.get(), F_GETFD), 0);
}

TEST_F(ImageFile, RefusesWhatIsNotARegularFile) {
    EXPECT_THAT(failure_to_open(folder_.path()), HasSubstr("is a folder"));
    EXPECT_THAT(failure_to_open("/dev/zero"), HasSubstr("/dev/zero: is a device"));
    const std::string pipe = folder_.path() + "/pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_THAT(failure_to_open(pipe), HasSubstr("is a pipe"));
    EXPECT_THAT(failure_to_open(folder_.write("nothing", {})), HasSubstr("is empty"));
    EXPECT_THAT(failure_to_open(folder_.path() + "/missing"), HasSubstr("missing"));
}

TEST_F(ImageFile, RefusesDescriptorsThatAreNone) {
    EXPECT_THAT(failure_to_open("fd="), HasSubstr("number of an open descriptor"));
    EXPECT_THAT(failure_to_open("fd=-1"), HasSubstr("number of an open descriptor"));
    EXPECT_THAT(failure_to_open("fd=3x"), HasSubstr("number of an open descriptor"));
    EXPECT_THAT(failure_to_open("fd=99999999999999999999"), HasSubstr("number of an open"));
    EXPECT_THAT(failure_to_open("fd=1000000"), HasSubstr("fd=1000000: no such descriptor is open"));
}

TEST_F(ImageFile, ReportsADescriptorThatIsForWritingOnly) {
    const std::string path = folder_.write("kernel", pattern(100));
    const io::Fd file = io::open_file(path, O_WRONLY);
    const Image image = Image::open("fd=" + std::to_string(file.get()));
    Bytes part(10);
    EXPECT_THAT(input_error([&] { image.read(0, part); }), HasSubstr("Bad file descriptor"));
}

TEST_F(ImageFile, ReportsAReadPastTheEnd) {
    const Image image = Image::open(folder_.write("kernel", pattern(100)));
    Bytes part(10);
    EXPECT_THAT(input_error([&] { image.read(95, part); }), HasSubstr("truncated"));
    EXPECT_THAT(input_error([&] { image.read(~0ULL - 2, part); }), HasSubstr("truncated"));
}

TEST_F(ImageFile, ReportsAFileThatShrinksMeanwhile) {
    const std::string path = folder_.write("kernel", pattern(100));
    const Image image = Image::open(path);
    ASSERT_EQ(::truncate(path.c_str(), 50), 0);
    Bytes part(100);
    EXPECT_THAT(input_error([&] { image.read(0, part); }), HasSubstr("became shorter"));
}

TEST_F(ImageFile, HasAnotherIdentityOnceItWasChanged) {
    const std::string path = folder_.write("kernel", pattern(100));
    const Image image = Image::open(path);
    const auto before = image.identity();
    ASSERT_TRUE(before);
    EXPECT_EQ(image.identity(), before);
    std::ofstream(path, std::ios::app) << "x";
    EXPECT_NE(image.identity(), before);
}

TEST(ImageInMemory, MayBeReadForNothing) {
    const Bytes content = pattern(10);
    EXPECT_NO_THROW(Image(content, "x").read(10, {}));
}

TEST_F(ImageFile, NamesTheOptionInMessages) {
    for (const std::string& path : {std::string("/nonexistent"), std::string("/tmp"),
                                    std::string("fd=x"), folder_.write("empty", Bytes{})}) {
        const std::string message = input_error([&] { (void)Image::open(path, "--initrd"); });
        EXPECT_THAT(message, testing::AllOf(testing::StartsWith("--initrd: "), HasSubstr(path)));
    }
}

TEST(ImageInMemory, HasNoIdentity) {
    const Bytes content = pattern(10);
    EXPECT_EQ(Image(content, "x").identity(), std::nullopt);
}

constexpr std::uint64_t kHugePage = 2U << 20;

/// Every combination of address, offset and size around the ends of a page and of a huge page must
/// give the same bytes, whether they are copied or mapped.
TEST_F(ImageFile, LoadsTheSameBytesCopiedAndMapped) {
    const Bytes content = pattern(3 * kHugePage);
    const std::string path = folder_.write("kernel", content);
    const Image ordinary = Image::open(path);
    const Image sealed(io::open_file(path, O_RDONLY), content.size(), "kernel");
    for (const std::uint64_t shift :
         std::initializer_list<std::uint64_t>{0, 1, 4096, kHugePage - 1}) {
        for (const std::uint64_t skew : std::initializer_list<std::uint64_t>{0, 8}) {
            for (const std::uint64_t size : std::initializer_list<std::uint64_t>{
                     1, 4097, 300'000, kHugePage - 1, kHugePage, kHugePage + 1}) {
                const std::uint64_t offset = 4096 + shift - std::min(shift, skew);
                SCOPED_TRACE(testing::Message() << shift << " " << skew << " " << size);
                for (const Image* const image : {&ordinary, &sealed}) {
                    for (const Placement placement : {Placement::Copied, Placement::Mapped}) {
                        GuestMemory memory(memory_of(4 * kHugePage));
                        const Gpa base(kHugePage + shift);
                        image->load(memory, base, offset, size, placement);
                        Bytes loaded(size + 2);
                        ASSERT_TRUE(memory.read(Gpa(base.value() - 1), loaded));
                        EXPECT_EQ(loaded.front(), std::byte{0});
                        EXPECT_EQ(loaded.back(), std::byte{0});
                        EXPECT_EQ(std::memcmp(loaded.data() + 1, content.data() + offset, size), 0);
                    }
                }
            }
        }
    }
}

TEST_F(ImageFile, IsNotChangedByAGuestThatWritesWhatItMaps) {
    const Bytes content = pattern(kHugePage);
    const std::string path = folder_.write("kernel", content);
    const Image mapped(io::open_file(path, O_RDONLY), content.size(), "kernel");
    GuestMemory memory(memory_of(2 * kHugePage));
    mapped.load(memory, Gpa(kHugePage), 0, content.size(), Placement::Mapped);
    ASSERT_TRUE(memory.store(Gpa(kHugePage), std::uint64_t{0}));
    Bytes again(content.size());
    mapped.read(0, again);
    EXPECT_TRUE(again == content);
}

}  // namespace
}  // namespace cxlvm::boot
