// SPDX-License-Identifier: Apache-2.0
#include "memory/address_space.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tests/memory/fake_memory.hpp"

namespace cxlvm {
namespace {

using test::kPage;
using test::read_value;
using test::write_value;

// Answers with its own identity, and knows which offsets it may ever be asked for.
class IdentityHandler final : public IoHandler {
  public:
    IdentityHandler(std::uint64_t identity, std::uint64_t size)
        : identity_(identity), size_(size) {}
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        if (offset + data.size() > size_) {
            strayed.store(true, std::memory_order_relaxed);
        }
        std::memcpy(data.data(), &identity_, std::min(data.size(), sizeof(identity_)));
        return IoStatus::Ok;
    }
    IoStatus write(std::uint64_t, std::span<const std::byte>) noexcept override {
        return IoStatus::Ok;
    }

    std::atomic<bool> strayed{false};

  private:
    std::uint64_t identity_;
    std::uint64_t size_;
};

// One writer moves regions, each within a window of its own, while readers look them up. A reader
// may find a window's region or nothing, but never another's, and never with a wrong offset.
TEST(AddressSpaceStress, LookupsNeverSeeATornTableWhileRegionsComeAndGo) {
    constexpr std::uint64_t kWindow = 0x10000;
    constexpr std::uint64_t kSize = 0x1000;
    constexpr std::size_t kRegions = 24;
    constexpr int kChanges = 20000;

    AddressSpace space(kRegions);
    std::vector<std::unique_ptr<IdentityHandler>> handlers;
    std::vector<std::unique_ptr<Region>> regions;
    for (std::size_t i = 0; i < kRegions; ++i) {
        handlers.push_back(std::make_unique<IdentityHandler>(i, kSize));
        regions.push_back(std::make_unique<Region>("moving", kSize, *handlers.back()));
    }

    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint64_t> found{0};
    std::vector<std::jthread> readers;
    for (unsigned seed = 0; seed < 2; ++seed) {
        readers.emplace_back([&, seed] {
            std::mt19937_64 random(seed);
            while (!done.load(std::memory_order_relaxed)) {
                const std::uint64_t window = random() % kRegions;
                const std::uint64_t address = window * kWindow + random() % (kWindow - 8);
                std::uint64_t identity = 0;
                if (read_value(space, address, identity) == IoStatus::Ok) {
                    found.fetch_add(1, std::memory_order_relaxed);
                    if (identity != window) {
                        wrong.fetch_add(1, std::memory_order_relaxed);
                    }
                }
            }
        });
    }

    std::mt19937_64 random(99);
    for (int i = 0; i < kChanges; ++i) {
        Region& region = *regions[random() % kRegions];
        const auto window = static_cast<std::uint64_t>(
            std::ranges::find_if(regions, [&](const auto& r) { return r.get() == &region; }) -
            regions.begin());
        if (region.mapped()) {
            space.unmap(region);
        } else {
            const std::uint64_t base = window * kWindow + random() % (kWindow / kSize) * kSize;
            EXPECT_FALSE(space.map(region, base));
        }
    }
    done = true;
    readers.clear();
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_GT(found.load(), 0U);
    for (const auto& handler : handlers) {
        EXPECT_FALSE(handler->strayed.load());
    }
}

TEST(AddressSpaceStress, ARegionThatStaysIsFoundByEveryLookup) {
    constexpr int kChanges = 20000;
    AddressSpace space(8);
    IdentityHandler handler(0x1234, 0x1000);
    Region stays("stays", 0x1000, handler);
    ASSERT_FALSE(space.map(stays, 0x8000));
    IdentityHandler other(1, 0x1000);
    Region below("below", 0x1000, other);
    Region above("above", 0x1000, other);

    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> missed{0};
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            while (!done.load(std::memory_order_relaxed)) {
                std::uint64_t identity = 0;
                if (read_value(space, 0x8ff8, identity) != IoStatus::Ok || identity != 0x1234) {
                    missed.fetch_add(1, std::memory_order_relaxed);
                }
            }
        });
    }
    for (int i = 0; i < kChanges; ++i) {
        EXPECT_FALSE(space.map(below, 0x1000));
        EXPECT_FALSE(space.map(above, 0x9000));
        space.unmap(below);
        space.unmap(above);
    }
    done = true;
    readers.clear();
    EXPECT_EQ(missed.load(), 0U);
}

// Accesses of a register's width are single ones: half of a store is never seen.
TEST(AddressSpaceStress, AlignedAccessesToMemoryAreNotTorn) {
    io::Mapping page = test::anonymous_pages(1);
    AddressSpace space(1);
    Region memory("memory", {.host = page.bytes()});
    ASSERT_FALSE(space.map(memory, 0));
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> torn{0};
    std::jthread reader([&] {
        while (!done.load(std::memory_order_relaxed)) {
            std::uint64_t value = 0;
            if (read_value(space, 8, value) != IoStatus::Ok ||
                (value != 0 && value != ~std::uint64_t{0})) {
                torn.fetch_add(1, std::memory_order_relaxed);
            }
        }
    });
    for (int i = 0; i < 50000; ++i) {
        ASSERT_EQ(write_value(space, 8, i % 2 == 0 ? ~std::uint64_t{0} : std::uint64_t{0}),
                  IoStatus::Ok);
    }
    done = true;
    reader.join();
    EXPECT_EQ(torn.load(), 0U);
}

TEST(AddressSpaceStress, ThreadsMayMapAndUnmapTheirOwnRegionsAtOnce) {
    io::Mapping pages = test::anonymous_pages(2);
    AddressSpace space(2);
    test::FakeListener listener;
    space.add_listener(listener);
    std::vector<std::jthread> threads;
    std::atomic<int> failures{0};
    for (std::uint64_t i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] {
            Region region("memory", {.host = pages.bytes().subspan(i * kPage, kPage)});
            for (int round = 0; round < 5000; ++round) {
                if (space.map(region, i * 0x10000)) {
                    failures.fetch_add(1);
                }
                space.unmap(region);
            }
        });
    }
    threads.clear();
    EXPECT_EQ(failures.load(), 0);
    EXPECT_EQ(listener.count, 2U * 5000 * 2);
    EXPECT_EQ(space.region_count(), 0U);
    space.remove_listener(listener);
}

}  // namespace
}  // namespace cxlvm
