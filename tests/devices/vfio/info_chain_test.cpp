// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/info_chain.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "devices/vfio/uapi.hpp"

namespace cxlvm::vfio {
namespace {

constexpr std::size_t kLeast = 32;

struct Info {
    void put(std::size_t at, std::uint16_t id, std::uint32_t next) {
        const vfio_info_cap_header header{.id = id, .version = 1, .next = next};
        std::memcpy(bytes.data() + at, &header, sizeof(header));
    }
    [[nodiscard]] auto walk(std::uint32_t first) const { return info_chain(bytes, first, kLeast); }
    std::vector<std::byte> bytes = std::vector<std::byte>(128);
};

TEST(InfoChain, IsEmptyWithoutAFirst) {
    const auto chain = Info().walk(0);
    ASSERT_TRUE(chain);
    EXPECT_TRUE(chain->empty());
}

TEST(InfoChain, ReachesFromEachToTheNextAndToTheEnd) {
    Info info;
    info.put(32, 1, 64);
    info.put(64, 2, 0);
    const auto chain = info.walk(32);
    ASSERT_TRUE(chain);
    ASSERT_EQ(chain->size(), 2U);
    EXPECT_EQ((*chain)[0].id, 1);
    EXPECT_EQ((*chain)[0].bytes.size(), 32U);
    EXPECT_EQ((*chain)[1].id, 2);
    EXPECT_EQ((*chain)[1].bytes.size(), 64U);
}

TEST(InfoChain, RefusesLoopsAndWhatLeadsBack) {
    Info info;
    info.put(32, 1, 32);
    EXPECT_FALSE(info.walk(32)) << "to itself";
    info.put(32, 1, 64);
    info.put(64, 2, 32);
    EXPECT_FALSE(info.walk(32)) << "to the first";
    info.put(64, 2, 68);
    EXPECT_FALSE(info.walk(32)) << "into itself";
}

TEST(InfoChain, RefusesWhatIsNotWithinTheStructure) {
    Info info;
    EXPECT_FALSE(info.walk(8)) << "in the fixed part";
    EXPECT_FALSE(info.walk(124)) << "half a header";
    EXPECT_FALSE(info.walk(128));
    EXPECT_FALSE(info.walk(0xffff'fff8));
    EXPECT_FALSE(info.walk(33)) << "misaligned";
    info.put(32, 1, 0xffff'fff8);
    EXPECT_FALSE(info.walk(32));
    info.put(32, 1, 128);
    EXPECT_FALSE(info.walk(32));
}

}  // namespace
}  // namespace cxlvm::vfio
