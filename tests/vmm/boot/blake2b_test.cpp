// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/blake2b.hpp"

#include <algorithm>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::bytes_of;
using test::pattern;

std::string hash(std::span<const std::byte> bytes) {
    return to_hex(Blake2b::of(bytes));
}

// Reference values: `b2sum -l 256` of GNU coreutils.
TEST(Blake2b, HashesKnownMessages) {
    EXPECT_EQ(hash({}), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    EXPECT_EQ(hash(bytes_of("abc")),
              "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST(Blake2b, HashesMessagesAroundTheSizeOfABlock) {
    EXPECT_EQ(hash(bytes_of(std::string(127, 'x'))),
              "32afe327aece2cc8275e868be2ea929410f47bcfbac87d8197d92c972a290d3d");
    EXPECT_EQ(hash(bytes_of(std::string(128, 'x'))),
              "164ffb7089bae6f5a62fb0795e751dc9e88eac92e1a5b2fafe93a25abf2d9c3b");
    EXPECT_EQ(hash(bytes_of(std::string(129, 'x'))),
              "03b0758fa71d249c846c2304a2b9996e6ae66ffa7e5528f9e612e089a360fc8d");
    EXPECT_EQ(hash(bytes_of(std::string(1000, 'x'))),
              "ab75119ede14ef06ebf31f745fb655ed006cccfe8054c635308a557f7c9beaba");
}

TEST(Blake2b, GivesTheSameDigestHoweverTheMessageIsCut) {
    const auto message = pattern(1000);
    const Digest whole = Blake2b::of(message);
    for (const std::size_t step : {1U, 7U, 127U, 128U, 129U, 256U, 999U}) {
        Blake2b hash;
        for (std::size_t at = 0; at < message.size(); at += step) {
            hash.update(std::span(message).subspan(at, std::min(step, message.size() - at)));
        }
        EXPECT_EQ(hash.finish(), whole) << step;
    }
}

}  // namespace
}  // namespace cxlvm::boot
