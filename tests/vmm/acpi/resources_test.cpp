// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/resources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cxlvm::acpi::aml {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<std::uint8_t> bytes_of(const Term& term) {
    return {term.bytes().begin(), term.bytes().end()};
}

TEST(Resources, describe_ports_memory_and_interrupts_of_a_device) {
    EXPECT_THAT(bytes_of(io_ports(0x3f8, 8)),
                ElementsAre(0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08));
    EXPECT_THAT(bytes_of(fixed_memory(0xe000'0000, 0x1000'0000)),
                ElementsAre(0x86, 0x09, 0x00, 0x01, 0, 0, 0, 0xe0, 0, 0, 0, 0x10));
    EXPECT_THAT(bytes_of(edge_interrupt(0x0403'0201)),
                ElementsAre(0x89, 0x06, 0x00, 0x03, 0x01, 0x01, 0x02, 0x03, 0x04));
}

TEST(Resources, describe_the_windows_of_a_bridge) {
    EXPECT_THAT(bytes_of(bus_window(0, 255)),
                ElementsAreArray({0x88, 0x0d, 0x00, 0x02, 0x0c, 0x00, 0, 0, 0, 0, 0xff, 0x00, 0, 0,
                                  0x00, 0x01}));
    EXPECT_THAT(bytes_of(io_window(0xd00, 0xffff)),
                ElementsAreArray({0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03, 0, 0, 0x00, 0x0d, 0xff, 0xff,
                                  0, 0, 0x00, 0xf3}));
    EXPECT_THAT(
        bytes_of(memory_window_32(*GpaRange::of(Gpa(0xc000'0000), 0x2000'0000))),
        ElementsAreArray({0x87, 0x17, 0x00, 0x00, 0x0c, 0x01, 0, 0, 0, 0, 0, 0,   0, 0xc0,  //
                          0xff, 0xff, 0xff, 0xdf, 0,    0,    0, 0, 0, 0, 0, 0x20}));
    EXPECT_THAT(
        bytes_of(memory_window_64(*GpaRange::of(Gpa(0x40'0000'0000), 0x10'0000'0000))),
        ElementsAreArray(
            {0x8a, 0x2b, 0x00, 0x00, 0x0c, 0x01, 0, 0, 0,    0,    0,    0,    0,    0,  //
             0,    0,    0,    0,    0x40, 0,    0, 0, 0xff, 0xff, 0xff, 0xff, 0x4f, 0, 0, 0,
             0,    0,    0,    0,    0,    0,    0, 0, 0,    0,    0,    0,    0x10, 0, 0, 0}));
}

TEST(ResourcesDeathTest, keep_the_small_window_below_4_gib) {
    EXPECT_DEATH((void)memory_window_32(*GpaRange::of(Gpa(0xffff'f000), 0x1001)), "4 GiB");
}

TEST(Resources, end_with_a_tag_inside_a_buffer) {
    EXPECT_THAT(bytes_of(resource_template({})), ElementsAre(0x11, 0x05, 0x0a, 0x02, 0x79, 0x00));
    const auto ports = bytes_of(resource_template({io_ports(0x505, 1)}));
    EXPECT_THAT(ports, ElementsAreArray({0x11, 0x0d, 0x0a, 0x0a, 0x47, 0x01, 0x05, 0x05, 0x05, 0x05,
                                         0x01, 0x01, 0x79, 0x00}));
}

}  // namespace
}  // namespace cxlvm::acpi::aml
