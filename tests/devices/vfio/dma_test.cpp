// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/dma_listener.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/vfio/memlock.hpp"
#include "memory/address_space.hpp"
#include "tests/devices/vfio/fake_kernel.hpp"
#include "tests/memory/fake_memory.hpp"

namespace cxlvm::vfio {
namespace {

using cxlvm::test::anonymous_pages;
using cxlvm::test::kPage;
using testing::HasSubstr;

class FakeSpace final : public DmaSpace {
  public:
    int map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept override {
        if (error != 0) {
            return error;
        }
        mapped[iova] = {host.data(), host.size(), writable};
        return 0;
    }
    int unmap(std::uint64_t iova, std::uint64_t size) noexcept override {
        return mapped[iova].size == size && mapped.erase(iova) == 1 ? 0 : ENOENT;
    }
    struct Mapped {
        std::byte* host = nullptr;
        std::uint64_t size = 0;
        bool writable = false;
    };
    std::map<std::uint64_t, Mapped> mapped;
    int error = 0;
};

class DmaListenerTest : public testing::Test {
  protected:
    io::Log log_{2, io::LogLevel::Off};
    FakeSpace dma_;
    DmaListener listener_{dma_, log_};
    io::Mapping pages_ = anonymous_pages(4);
    AddressSpace space_{8};
};

TEST_F(DmaListenerTest, MapsRamWhereTheGuestHasItAndTakesItBack) {
    Region low("ram", {.host = pages_.bytes().first(2 * kPage), .ram = true});
    Region high("ram", {.host = pages_.bytes().subspan(2 * kPage), .read_only = true, .ram = true});
    ASSERT_FALSE(space_.map(low, 0));
    ASSERT_FALSE(space_.map(high, 0x1'0000'0000));
    space_.add_listener(listener_);
    ASSERT_EQ(dma_.mapped.size(), 2U);
    EXPECT_EQ(dma_.mapped[0].host, pages_.bytes().data());
    EXPECT_EQ(dma_.mapped[0].size, 2 * kPage);
    EXPECT_TRUE(dma_.mapped[0].writable);
    EXPECT_FALSE(dma_.mapped[0x1'0000'0000].writable);
    space_.remove_listener(listener_);
    EXPECT_TRUE(dma_.mapped.empty());
}

TEST_F(DmaListenerTest, LeavesDeviceMemoryAlone) {
    Region bar("bar", {.host = pages_.bytes()});
    space_.add_listener(listener_);
    ASSERT_FALSE(space_.map(bar, 0x10'0000));
    EXPECT_TRUE(dma_.mapped.empty());
    space_.unmap(bar);
    space_.remove_listener(listener_);
}

TEST_F(DmaListenerTest, RefusesWhatTheIommuRefuses) {
    Region ram("ram", {.host = pages_.bytes(), .ram = true});
    ASSERT_FALSE(space_.map(ram, 0));
    for (const int error : {ENOMEM, EINVAL, ENOSPC, EFAULT, EEXIST}) {
        dma_.error = error;
        EXPECT_THAT(test::message_of([&] { space_.add_listener(listener_); }),
                    HasSubstr(io::errno_text(error)));
    }
    EXPECT_TRUE(dma_.mapped.empty());
}

TEST(Memlock, LetsThroughWhatFitsOrIsExempt) {
    constexpr std::uint64_t kRam = 256ULL << 20;
    const auto refused = [](const MemlockLimit& limit) {
        return test::message_of([&] { check_memlock(limit, kRam); });
    };
    EXPECT_EQ(refused({.bytes = std::nullopt, .exempt = false}), "");
    EXPECT_EQ(refused({.bytes = kRam, .exempt = false}), "");
    EXPECT_EQ(refused({.bytes = 0, .exempt = true}), "");
    EXPECT_THAT(refused({.bytes = 8ULL << 20, .exempt = false}),
                testing::AllOf(HasSubstr("256 MiB"), HasSubstr("8 MiB"), HasSubstr("ulimit -l"),
                               HasSubstr("LimitMEMLOCK")));
}

}  // namespace
}  // namespace cxlvm::vfio
