// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/aml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cxlvm::acpi::aml {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<std::uint8_t> bytes_of(const Term& term) {
    return {term.bytes().begin(), term.bytes().end()};
}

std::vector<std::uint8_t> bytes_of(const char* text) {
    std::vector<std::uint8_t> bytes;
    for (; *text != '\0'; ++text) {
        bytes.push_back(static_cast<std::uint8_t>(*text));
    }
    return bytes;
}

TEST(PackageLength, counts_itself_and_grows_at_each_edge) {
    EXPECT_THAT(bytes_of(package_length(0)), ElementsAre(0x01));
    EXPECT_THAT(bytes_of(package_length(62)), ElementsAre(0x3f));
    EXPECT_THAT(bytes_of(package_length(63)), ElementsAre(0x41, 0x04));  // 65
    EXPECT_THAT(bytes_of(package_length(0xffd)), ElementsAre(0x4f, 0xff));
    EXPECT_THAT(bytes_of(package_length(0xffe)), ElementsAre(0x81, 0x00, 0x01));  // 0x1001
    EXPECT_THAT(bytes_of(package_length(0xffffc)), ElementsAre(0x8f, 0xff, 0xff));
    EXPECT_THAT(bytes_of(package_length(0xffffd)), ElementsAre(0xc1, 0x00, 0x00, 0x01));
    EXPECT_THAT(bytes_of(package_length(0xffffffb)), ElementsAre(0xcf, 0xff, 0xff, 0xff));
}

TEST(PackageLengthDeathTest, refuses_what_cannot_be_encoded) {
    EXPECT_DEATH((void)package_length(0xffffffc), "256 MiB");
    EXPECT_DEATH((void)package_length(SIZE_MAX), "256 MiB");
}

TEST(FieldLength, does_not_count_itself) {
    EXPECT_THAT(bytes_of(field_length(0)), ElementsAre(0x00));
    EXPECT_THAT(bytes_of(field_length(0x3f)), ElementsAre(0x3f));
    EXPECT_THAT(bytes_of(field_length(0x40)), ElementsAre(0x40, 0x04));
    EXPECT_THAT(bytes_of(field_length(0xfff)), ElementsAre(0x4f, 0xff));
    EXPECT_THAT(bytes_of(field_length(0x1000)), ElementsAre(0x80, 0x00, 0x01));
}

TEST(NameString, pads_segments_and_prefixes_paths) {
    EXPECT_EQ(bytes_of(name_string("GED")), bytes_of("GED_"));
    EXPECT_EQ(bytes_of(name_string("\\_S5")), bytes_of("\\_S5_"));
    EXPECT_EQ(bytes_of(name_string("^^A.BCDE")), bytes_of("^^\x2e"
                                                          "A___BCDE"));
    EXPECT_EQ(bytes_of(name_string("\\_SB.PCI0.S00")), bytes_of("\\\x2f\x03_SB_PCI0S00_"));
    EXPECT_THAT(bytes_of(name_string("\\")), ElementsAre('\\', 0));
    EXPECT_THAT(bytes_of(name_string("")), ElementsAre(0));
}

TEST(NameStringDeathTest, refuses_what_is_no_name) {
    EXPECT_DEATH((void)name_string("ABCDE"), "too long");
    EXPECT_DEATH((void)name_string("A..B"), "too long");
    EXPECT_DEATH((void)name_string("abc"), "character");
    EXPECT_DEATH((void)name_string("0AB"), "character");
}

TEST(Integer, takes_the_shortest_encoding) {
    EXPECT_THAT(bytes_of(integer(0)), ElementsAre(0x00));
    EXPECT_THAT(bytes_of(integer(1)), ElementsAre(0x01));
    EXPECT_THAT(bytes_of(integer(2)), ElementsAre(0x0a, 2));
    EXPECT_THAT(bytes_of(integer(0xff)), ElementsAre(0x0a, 0xff));
    EXPECT_THAT(bytes_of(integer(0x100)), ElementsAre(0x0b, 0x00, 0x01));
    EXPECT_THAT(bytes_of(integer(0x10000)), ElementsAre(0x0c, 0, 0, 1, 0));
    EXPECT_THAT(bytes_of(integer(0x1'0000'0000)), ElementsAre(0x0e, 0, 0, 0, 0, 1, 0, 0, 0));
}

TEST(Data, has_the_bytes_that_the_compiler_writes) {
    EXPECT_THAT(bytes_of(eisa_id("PNP0A08")), ElementsAre(0x0c, 0x41, 0xd0, 0x0a, 0x08));
    EXPECT_THAT(bytes_of(eisa_id("PNP0501")), ElementsAre(0x0c, 0x41, 0xd0, 0x05, 0x01));
    EXPECT_THAT(bytes_of(string("AB")), ElementsAre(0x0d, 'A', 'B', 0));
    EXPECT_THAT(bytes_of(uuid("33DB4D5B-1FF7-401C-9657-7441C03DD766")),
                ElementsAre(0x11, 0x13, 0x0a, 0x10, 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                            0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66));
    EXPECT_THAT(bytes_of(package({integer(5), integer(0)})),
                ElementsAre(0x12, 0x05, 0x02, 0x0a, 0x05, 0x00));
}

TEST(Objects, nest_with_lengths_that_cover_their_content) {
    EXPECT_THAT(bytes_of(scope("\\_SB", {device("A", {name("_UID", integer(1))})})),
                ElementsAreArray(std::vector<int>{0x10, 0x13, 0x5c, '_', 'S', 'B', '_',  //
                                                  0x5b, 0x82, 0x0b, 'A', '_', '_', '_',  //
                                                  0x08, '_',  'U',  'I', 'D', 0x01}));
    EXPECT_THAT(bytes_of(method("_EVT", 1, {give_back(argument(0))})),
                ElementsAre(0x14, 0x08, '_', 'E', 'V', 'T', 0x09, 0xa4, 0x68));
    EXPECT_THAT(bytes_of(io_region("R", 0x604, 1)),
                ElementsAre(0x5b, 0x80, 'R', '_', '_', '_', 0x01, 0x0b, 0x04, 0x06, 0x01));
    EXPECT_THAT(bytes_of(field("R", {{"F", 8}})),
                ElementsAre(0x5b, 0x81, 0x0b, 'R', '_', '_', '_', 0x41, 'F', '_', '_', '_', 8));
    EXPECT_THAT(bytes_of(create_dword_field(argument(3), 8, "CDW3")),
                ElementsAre(0x8a, 0x6b, 0x0a, 0x08, 'C', 'D', 'W', '3'));
}

TEST(Statements, put_operands_in_the_order_of_the_language) {
    EXPECT_THAT(bytes_of(bit_and(local(0), integer(1), local(1))),
                ElementsAre(0x7b, 0x60, 0x01, 0x61));
    EXPECT_THAT(bytes_of(bit_or(local(0), integer(0), Term())),
                ElementsAre(0x7d, 0x60, 0x00, 0x00));
    EXPECT_THAT(bytes_of(store(integer(1), local(7))), ElementsAre(0x70, 0x01, 0x67));
    EXPECT_THAT(bytes_of(if_then(logical_not(equal(local(0), argument(6))), {give_back(local(0))})),
                ElementsAre(0xa0, 0x07, 0x92, 0x93, 0x60, 0x6e, 0xa4, 0x60));
    EXPECT_THAT(bytes_of(otherwise({notify(name_string("PWRB"), 0x80)})),
                ElementsAre(0xa1, 0x08, 0x86, 'P', 'W', 'R', 'B', 0x0a, 0x80));
}

}  // namespace
}  // namespace cxlvm::acpi::aml
