// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/payload.hpp"

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::Bytes;
using test::input_error;
using test::pack;
using test::pattern;

class Payload : public testing::TestWithParam<PayloadFormat> {
  protected:
    /// Compressible, and longer than one block of lz4.
    static Bytes content() {
        Bytes bytes(9U << 20);
        const Bytes part = pattern(50'000);
        std::copy(part.begin(), part.end(), bytes.begin() + 1000);
        std::copy(part.begin(), part.end(), bytes.end() - 60'000);
        return bytes;
    }
    std::string failure(std::span<const std::byte> packed, std::size_t size) const {
        Bytes out(size);
        return input_error([&] { unpack(GetParam(), packed, out, "the-kernel"); });
    }
};

INSTANTIATE_TEST_SUITE_P(All, Payload,
                         testing::Values(PayloadFormat::Gzip, PayloadFormat::Xz,
                                         PayloadFormat::Lzma, PayloadFormat::Lz4,
                                         PayloadFormat::Zstd),
                         [](const auto& format) { return std::string(to_string(format.param)); });

TEST_P(Payload, UnpacksWhatWasPacked) {
    const Bytes bytes = content();
    const Bytes packed = pack(GetParam(), bytes);
    EXPECT_EQ(identify_payload(packed), GetParam());
    EXPECT_TRUE(can_unpack(GetParam()));
    Bytes out(bytes.size());
    unpack(GetParam(), packed, out, "the-kernel");
    EXPECT_TRUE(out == bytes);
}

TEST_P(Payload, RefusesATruncatedOne) {
    const Bytes bytes = content();
    const Bytes packed = pack(GetParam(), bytes);
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{3}, std::size_t{20}, packed.size() / 2, packed.size() - 9}) {
        EXPECT_THAT(failure(std::span(packed).first(size), bytes.size()),
                    testing::AllOf(testing::StartsWith("the-kernel: the "),
                                   testing::HasSubstr("payload is damaged")));
    }
}

TEST_P(Payload, RefusesOneThatIsLongerThanItSays) {
    const Bytes bytes = content();
    EXPECT_THAT(failure(pack(GetParam(), bytes), bytes.size() - 1),
                testing::HasSubstr("payload is damaged"));
}

TEST_P(Payload, RefusesOneThatIsShorterThanItSays) {
    const Bytes bytes = content();
    EXPECT_THAT(failure(pack(GetParam(), bytes), bytes.size() + 1),
                testing::HasSubstr("payload is damaged"));
}

TEST_P(Payload, WritesNothingBehindTheOutputOfABomb) {
    const Bytes bomb = pack(GetParam(), Bytes(32U << 20));
    Bytes memory(8192, std::byte{0x5a});
    EXPECT_THAT(
        input_error([&] { unpack(GetParam(), bomb, std::span(memory).first(4096), "the-kernel"); }),
        testing::HasSubstr("payload is damaged"));
    for (std::size_t i = 4096; i < memory.size(); ++i) {
        ASSERT_EQ(memory[i], std::byte{0x5a}) << i;
    }
}

TEST(PayloadFormats, AreKnownByNameEvenIfNotUnpacked) {
    for (const PayloadFormat format : {PayloadFormat::Bzip2, PayloadFormat::Lzo}) {
        const Bytes packed = pack(format, Bytes(100));
        EXPECT_EQ(identify_payload(packed), format);
        EXPECT_FALSE(can_unpack(format));
        Bytes out(100);
        EXPECT_THAT(input_error([&] { unpack(format, packed, out, "the-kernel"); }),
                    testing::AllOf(testing::HasSubstr(std::string(to_string(format))),
                                   testing::HasSubstr("--boot bzimage")));
    }
}

TEST(PayloadFormats, AreNotSeenInOtherBytes) {
    EXPECT_EQ(identify_payload(pattern(6)), std::nullopt);
    EXPECT_EQ(identify_payload({}), std::nullopt);
    EXPECT_EQ(identify_payload(test::bytes_of("\x1f")), std::nullopt);
}

}  // namespace
}  // namespace cxlvm::boot
