// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/cache_sweep.hpp"

#include <gmock/gmock.h>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::int64_t kNow = 1'000 * kDay;
constexpr std::uint64_t kNoLimit = ~0ULL;

Digest digest(std::string_view text) {
    return Blake2b::of(test::bytes_of(text));
}
std::string name(std::string_view kernel) {
    return to_hex(digest(kernel));
}
std::string seal(std::string_view kernel) {
    return name(kernel) + ".seal";
}
std::string record(std::string_view file) {
    return "file-" + name(file);
}

/// A listing that tests fill.
struct Listing {
    /// A kernel of `size` bytes in all, stored so many days ago.
    void add_kernel(std::string_view kernel, std::uint64_t size, std::int64_t days) {
        files.push_back({.name = name(kernel), .size = size, .modified = kNow - days * kDay});
        files.push_back({.name = seal(kernel), .size = 0, .modified = kNow - days * kDay});
    }
    void add_record(std::string_view file, std::string_view kernel, std::int64_t days) {
        files.push_back({.name = record(file),
                         .size = 0,
                         .modified = kNow - days * kDay,
                         .payload = digest(kernel)});
    }
    void add_other(const std::string& other) {
        files.push_back({.name = other, .size = 1000, .modified = kNow - 900 * kDay});
    }
    std::vector<std::string> sweep(std::uint64_t limit = kNoLimit,
                                   std::string_view keep = "just stored") const {
        return files_to_remove(files, {.now = kNow, .size_limit = limit, .keep = digest(keep)});
    }

    std::vector<CacheFile> files;
};

TEST(CacheSweep, LeavesAloneWhateverIsNotNamedAsItsOwn) {
    Listing listing;
    const std::string hex = name("a");
    for (const std::string& other :
         {std::string("notes.txt"), std::string("file-"), std::string("file-notes"),
          std::string("x.seal"), std::string(".seal"), std::string(), hex.substr(1), hex + "0",
          "g" + hex.substr(1), "A" + hex.substr(1), hex + ".seal.seal", hex + ".txt",
          "file-" + hex + ".seal", "file-" + hex.substr(1), "-" + hex}) {
        listing.add_other(other);
    }
    EXPECT_THAT(listing.sweep(0), IsEmpty());
}

TEST(CacheSweep, RemovesKernelsThatNoRecordLeadsToAfterADay) {
    Listing listing;
    listing.add_kernel("orphan", 10, 2);
    listing.add_kernel("fresh", 10, 0);
    listing.add_kernel("used", 10, 500);
    listing.add_record("f", "used", 89);
    EXPECT_THAT(listing.sweep(), UnorderedElementsAre(name("orphan"), seal("orphan")));
}

TEST(CacheSweep, RemovesRecordsAfterNinetyDaysAndTheirKernelsWithThem) {
    Listing listing;
    listing.add_kernel("old", 10, 500);
    listing.add_record("f", "old", 91);
    listing.add_kernel("used", 10, 500);
    listing.add_record("g", "used", 91);
    listing.add_record("h", "used", 1);
    EXPECT_THAT(listing.sweep(),
                UnorderedElementsAre(record("f"), name("old"), seal("old"), record("g")));
}

TEST(CacheSweep, RemovesTheLeastRecentlyUsedUntilTheRestFits) {
    Listing listing;
    listing.add_kernel("a", 100, 50);
    listing.add_record("fa", "a", 5);
    listing.add_kernel("b", 100, 1);
    listing.add_record("fb", "b", 9);
    listing.add_record("fb2", "b", 20);
    listing.add_kernel("c", 100, 40);
    listing.add_record("fc", "c", 3);
    EXPECT_THAT(listing.sweep(300), IsEmpty());
    EXPECT_THAT(listing.sweep(299),
                UnorderedElementsAre(name("b"), seal("b"), record("fb"), record("fb2")));
    EXPECT_THAT(listing.sweep(199),
                UnorderedElementsAre(name("b"), seal("b"), record("fb"), record("fb2"), name("a"),
                                     seal("a"), record("fa")));
}

TEST(CacheSweep, KeepsTheKernelThatWasJustStoredHoweverLargeItIs) {
    Listing listing;
    listing.add_kernel("a", 100, 0);
    listing.add_record("fa", "a", 0);
    listing.add_kernel("large", 1000, 2);
    EXPECT_THAT(listing.sweep(500, "large"),
                UnorderedElementsAre(name("a"), seal("a"), record("fa")));
}

}  // namespace
}  // namespace cxlvm::boot
