// SPDX-License-Identifier: Apache-2.0
#include "io/mapping.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::io {
namespace {

Mapping::Options anonymous(std::size_t size) {
    return {
        .size = size, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS};
}

/// mincore(2) fails with ENOMEM for pages that are not mapped.
bool is_mapped(const std::byte* address) {
    unsigned char resident = 0;
    auto* const page =
        reinterpret_cast<void*>(align_down(reinterpret_cast<std::uintptr_t>(address), page_size()));
    return ::mincore(page, page_size(), &resident) == 0;
}

TEST(Mapping, IsEmptyByDefault) {
    const Mapping none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.size(), 0U);
}

TEST(Mapping, GivesTheBytesAskedForAndUnmapsThem) {
    const std::byte* address = nullptr;
    {
        const Mapping memory(anonymous(3 * page_size() + 1), "test memory");
        EXPECT_EQ(memory.size(), 3 * page_size() + 1);
        memory.bytes().front() = std::byte{1};
        memory.bytes().back() = std::byte{2};
        address = memory.bytes().data();
        EXPECT_TRUE(is_mapped(address + 3 * page_size()));
    }
    EXPECT_FALSE(is_mapped(address));
    EXPECT_FALSE(is_mapped(address + 3 * page_size()));
}

TEST(Mapping, HonoursLargeAlignmentsAndKeepsNothingAround) {
    constexpr std::size_t kAlignment = std::size_t{2} << 20;
    for (int i = 0; i < 8; ++i) {
        auto options = anonymous(5 * page_size());
        options.alignment = kAlignment;
        const Mapping memory(options, "aligned memory");
        const auto address = reinterpret_cast<std::uintptr_t>(memory.bytes().data());
        EXPECT_TRUE(is_aligned(address, kAlignment));
        for (std::byte& byte : memory.bytes()) {
            byte = std::byte{0xa5};
        }
    }
}

TEST(Mapping, AlignedMappingOfAFileShowsTheFile) {
    const Fd file(::memfd_create("mapping", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(4 * page_size())), 0);
    const Mapping plain({.size = 4 * page_size(),
                         .protection = PROT_READ | PROT_WRITE,
                         .flags = MAP_SHARED,
                         .fd = file.get()},
                        "file");
    plain.bytes()[2 * page_size()] = std::byte{42};
    const Mapping aligned({.size = page_size(),
                           .protection = PROT_READ,
                           .flags = MAP_SHARED,
                           .fd = file.get(),
                           .offset = 2 * page_size(),
                           .alignment = 1 << 20},
                          "file");
    EXPECT_EQ(aligned.bytes()[0], std::byte{42});
}

TEST(Mapping, MovingTransfersTheMemory) {
    Mapping first(anonymous(page_size()), "first");
    const std::byte* const address = first.bytes().data();
    Mapping second(anonymous(page_size()), "second");
    const std::byte* const replaced = second.bytes().data();
    second = std::move(first);
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): the state under test
    EXPECT_EQ(second.bytes().data(), address);
    EXPECT_FALSE(is_mapped(replaced));
}

TEST(Mapping, NamesTheObjectThatCouldNotBeMapped) {
    try {
        const Mapping bad({.size = page_size(), .protection = PROT_READ, .flags = MAP_SHARED},
                          "the moon");
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("the moon"), std::string::npos);
    }
}

TEST(Mapping, RefusesSizesOfZeroAndPastTheTop) {
    EXPECT_THROW(Mapping(anonymous(0), "nothing"), Error);
    EXPECT_THROW(Mapping(anonymous(SIZE_MAX), "everything"), Error);
    auto options = anonymous(page_size());
    options.alignment = SIZE_MAX / 2 + 1;
    EXPECT_THROW(Mapping(options, "too much alignment"), Error);
}

}  // namespace
}  // namespace cxlvm::io
