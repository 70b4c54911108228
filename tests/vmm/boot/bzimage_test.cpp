// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/bzimage.hpp"

#include <cstring>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using test::Bytes;
using test::default_header;
using test::input_error;
using test::make_bzimage;
using test::pack;
using test::pattern;
using testing::HasSubstr;

Bytes lz4_payload() {
    return pack(PayloadFormat::Lz4, pattern(5000));
}

template <typename Change>
Bytes with_header(Change change) {
    SetupHeader header = default_header();
    change(header);
    return make_bzimage(lz4_payload(), header);
}

BzImage parse(const Bytes& file) {
    return parse_bzimage(Image(file, "bzImage"));
}

std::string failure(const Bytes& file) {
    return input_error([&] { (void)parse(file); });
}

TEST(ParseBzImage, FindsCodeAndPayload) {
    const Bytes payload = lz4_payload();
    const Bytes file = make_bzimage(payload);
    ASSERT_TRUE(is_bzimage(Image(file, "bzImage")));
    const BzImage image = parse(file);
    EXPECT_EQ(image.code.offset, 3 * 512U);
    EXPECT_EQ(image.code.size, file.size() - 3 * 512U);
    EXPECT_EQ(image.payload.offset, 3 * 512U + 0x400);
    EXPECT_EQ(image.payload.size, payload.size());
    EXPECT_EQ(image.format, PayloadFormat::Lz4);
    EXPECT_EQ(image.unpacked_size, 5000U);
    EXPECT_TRUE(image.is_64bit());
    EXPECT_EQ(reason_against_unpacking(image), std::nullopt);
}

TEST(ParseBzImage, TakesNoSetupSectorsForFour) {
    EXPECT_EQ(parse(with_header([](auto& h) { h.setup_sects = 0; })).code.offset, 5 * 512U);
}

TEST(ParseBzImage, PassesOverASignatureBehindTheCode) {
    Bytes file = make_bzimage(lz4_payload());
    const std::uint64_t size = parse(file).code.size;
    file.resize(file.size() + 1504);
    EXPECT_EQ(parse(file).code.size, size);
}

TEST(ParseBzImage, IgnoresWhatFollowsAShortHeader) {
    const BzImage image = parse(with_header([](auto& h) {
        h.jump_offset = 0x62;  // ends before handover_offset
        h.handover_offset = 0x1234'5678;
    }));
    EXPECT_EQ(+image.header.handover_offset, 0U);
    EXPECT_NE(+image.header.init_size, 0U);
}

TEST(ParseBzImage, RefusesDamagedOnesInOneLine) {
    Bytes cut = make_bzimage(lz4_payload());
    cut.resize(cut.size() - 100);
    Bytes outside = make_bzimage(lz4_payload());
    const std::uint32_t offset = 0xffff'fff0;
    std::memcpy(outside.data() + SetupHeader::kOffset + offsetof(SetupHeader, payload_offset),
                &offset, sizeof(offset));
    struct Case {
        const char* name;
        Bytes file;
        const char* message;
    };
    const std::vector<Case> cases{
        {"old", with_header([](auto& h) { h.version = 0x0206; }), "boot protocol 2.06 is too old"},
        {"zImage", with_header([](auto& h) { h.loadflags = 0; }), "zImage"},
        {"cut", cut, "truncated bzImage"},
        {"init_size", with_header([](auto& h) { h.init_size = 16; }), "asks for 16 bytes"},
        {"payload offset", outside, "lies outside of it"},
    };
    for (const Case& bad : cases) {
        SCOPED_TRACE(bad.name);
        EXPECT_THAT(failure(bad.file),
                    testing::AllOf(testing::StartsWith("bzImage: "), HasSubstr(bad.message)));
    }
}

TEST(ParseBzImage, RefusesABombBeforeAnythingIsAllocated) {
    Bytes payload = lz4_payload();
    const std::uint32_t size = 0xffff'ffff;
    std::memcpy(payload.data() + payload.size() - sizeof(size), &size, sizeof(size));
    EXPECT_THAT(failure(make_bzimage(payload)), HasSubstr("unpacks to 4.0 GiB"));
}

TEST(IsBzImage, IsFalseForWhateverLacksTheMagic) {
    const Bytes noise = pattern(4096);
    EXPECT_FALSE(is_bzimage(Image(noise, "x")));
    EXPECT_FALSE(is_bzimage(Image(std::span(noise).first(10), "x")));
    const Bytes no_flag = with_header([](auto& h) { h.boot_flag = 0; });
    EXPECT_FALSE(is_bzimage(Image(no_flag, "x")));
}

TEST(ReasonAgainstUnpacking, NamesTheFormat) {
    for (const PayloadFormat format : {PayloadFormat::Bzip2, PayloadFormat::Lzo}) {
        const BzImage image = parse(make_bzimage(pack(format, pattern(100))));
        EXPECT_THAT(reason_against_unpacking(image).value(),
                    HasSubstr(std::string(to_string(format))));
    }
}

TEST(ReasonAgainstUnpacking, IsThereForWhatCannotBeRecognised) {
    Bytes unknown = pattern(100);
    const std::uint32_t size = 5000;
    std::memcpy(unknown.data() + unknown.size() - sizeof(size), &size, sizeof(size));
    EXPECT_THAT(reason_against_unpacking(parse(make_bzimage(unknown))).value(),
                HasSubstr("unknown format"));
    EXPECT_THAT(reason_against_unpacking(parse(make_bzimage({}))).value(),
                HasSubstr("names no payload"));
    EXPECT_THAT(
        reason_against_unpacking(parse(with_header([](auto& h) { h.xloadflags = 0; }))).value(),
        HasSubstr("no 64-bit entry"));
    EXPECT_THAT(
        reason_against_unpacking(parse(with_header([](auto& h) { h.version = 0x020b; }))).value(),
        HasSubstr("no 64-bit entry"));
}

class PlaceBzImage : public testing::Test {
  protected:
    SetupHeader header_ = default_header();  // 1 MiB at 2 MiB
};

TEST_F(PlaceBzImage, TakesThePreferredAddress) {
    const GuestMemory memory(memory_of(3U << 20));
    EXPECT_EQ(place_bzimage(header_, memory), *GpaRange::of(Gpa(0x20'0000), 0x10'0000));
}

TEST_F(PlaceBzImage, NeverGoesBelowThePreferredAddressForTheKernelWouldMoveBackUp) {
    header_.pref_address = 0x100'0000;
    header_.relocatable_kernel = 1;
    header_.kernel_alignment = 0x1000;
    const GuestMemory small(memory_of(3U << 20));
    EXPECT_EQ(place_bzimage(header_, small), std::nullopt);
    const GuestMemory large(memory_of(0x110'0000));
    EXPECT_EQ(place_bzimage(header_, large), *GpaRange::of(Gpa(0x100'0000), 0x10'0000));
}

TEST_F(PlaceBzImage, FindsNoPlaceWhereNotAllOfItIsRam) {
    const GuestMemory memory(memory_of(3U << 20));
    header_.init_size = 0x20'0000;
    EXPECT_EQ(place_bzimage(header_, memory), std::nullopt);
    header_.init_size = 0x10'0000;
    header_.pref_address = 0x8'0000;
    EXPECT_EQ(place_bzimage(header_, memory), std::nullopt);
    header_.pref_address = ~0ULL - 4096;
    EXPECT_EQ(place_bzimage(header_, memory), std::nullopt);
}

}  // namespace
}  // namespace cxlvm::boot
