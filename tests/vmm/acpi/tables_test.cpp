// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

#include "devices/acpi/power.hpp"
#include "io/error.hpp"
#include "tests/vmm/acpi/acpi_fixture.hpp"
#include "vmm/acpi/dsdt.hpp"
#include "vmm/acpi/fadt.hpp"
#include "vmm/acpi/madt.hpp"
#include "vmm/acpi/mcfg.hpp"

namespace cxlvm::acpi {
namespace {

template <typename T>
T at(std::span<const std::byte> bytes, std::size_t offset) {
    T value{};
    EXPECT_LE(offset + sizeof(T), bytes.size());
    std::memcpy(&value, bytes.subspan(offset).data(), sizeof(T));
    return value;
}

std::string text_at(std::span<const std::byte> bytes, std::size_t offset, std::size_t length) {
    std::string text(length, '\0');
    std::memcpy(text.data(), bytes.subspan(offset, length).data(), length);
    return text;
}

/// Follows the pointers of a block of tables as a guest does, checking everything on the way.
std::map<std::string, std::span<const std::byte>> walk(std::span<const std::byte> image, Gpa base) {
    std::map<std::string, std::span<const std::byte>> found;
    const auto table_at = [&](std::uint64_t address) {
        const auto offset = static_cast<std::size_t>(address - base.value());
        const auto table = image.subspan(offset, at<std::uint32_t>(image, offset + 4));
        EXPECT_EQ(byte_sum(table), 0) << text_at(table, 0, 4);
        EXPECT_TRUE(found.emplace(text_at(table, 0, 4), table).second);
        return table;
    };
    EXPECT_EQ(text_at(image, 0, 8), "RSD PTR ");
    EXPECT_EQ(byte_sum(image.first(20)), 0);
    EXPECT_EQ(byte_sum(image.first(36)), 0);
    EXPECT_EQ(at<std::uint8_t>(image, 15), 2);
    EXPECT_EQ(at<std::uint32_t>(image, 20), 36U);
    const auto xsdt = table_at(at<std::uint64_t>(image, 24));
    for (std::size_t offset = 36; offset < xsdt.size(); offset += 8) {
        table_at(at<std::uint64_t>(xsdt, offset));
    }
    table_at(at<std::uint64_t>(found.at("FACP"), 140));
    return found;
}

TEST(AcpiTables, are_reached_from_the_rsdp_with_correct_checksums) {
    for (const unsigned processors : {1U, 2U, 254U, 255U, 300U, 1024U}) {
        const TableBytes image = build_tables(machine(processors), layout::kAcpiTables);
        const auto tables = walk(image, layout::kAcpiTables);
        EXPECT_LE(image.size(), layout::kAcpiTablesSize);
        EXPECT_EQ(tables.size(), 5U);
        EXPECT_TRUE(tables.contains("APIC"));
        EXPECT_TRUE(tables.contains("MCFG"));
        EXPECT_TRUE(tables.contains("DSDT"));
    }
}

TEST(AcpiTables, refuse_more_processors_than_they_have_room_for) {
    for (const unsigned processors : {4000U, 5000U}) {
        try {
            (void)build_tables(machine(processors), layout::kAcpiTables);
            FAIL() << "tables of " << processors << " processors fitted";
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Input);
            EXPECT_THAT(error.what(), testing::HasSubstr("--cpus"));
        }
    }
}

TEST(Fadt, describes_a_hardware_reduced_machine) {
    const TableBytes table = fadt(Gpa(0xe1000));
    EXPECT_EQ(table.size(), 276U);
    EXPECT_EQ(at<std::uint8_t>(table, 8), 6);
    EXPECT_EQ(at<std::uint8_t>(table, 131), 5);
    EXPECT_EQ(at<std::uint32_t>(table, 40), 0xe1000U);
    EXPECT_EQ(at<std::uint64_t>(table, 140), 0xe1000U);
    EXPECT_EQ(at<std::uint8_t>(table, 108), 0x32) << "the century in the clock's memory";
    const auto flags = at<std::uint32_t>(table, 112);
    EXPECT_TRUE(flags & 1U << 20);
    EXPECT_TRUE(flags & 1U << 10);
    const auto boot = at<std::uint16_t>(table, 109);
    EXPECT_FALSE(boot & 1U << 1) << "no keyboard controller";
    EXPECT_TRUE(boot & 1U << 2) << "no VGA";
    EXPECT_FALSE(boot & 1U << 5) << "there is a CMOS clock";
}

TEST(Fadt, names_the_registers_of_the_power_device) {
    const TableBytes table = fadt(Gpa(0xe1000));
    const auto port_at = [&table](std::size_t offset) {
        EXPECT_EQ(at<std::uint8_t>(table, offset), 1) << "I/O space";
        EXPECT_EQ(at<std::uint8_t>(table, offset + 1), 8) << "bits";
        EXPECT_EQ(at<std::uint8_t>(table, offset + 3), 1) << "byte access";
        return at<std::uint64_t>(table, offset + 4);
    };
    EXPECT_EQ(port_at(116), layout::kAcpiPort + power_offset::kReset);
    EXPECT_EQ(at<std::uint8_t>(table, 128), kResetValue);
    EXPECT_EQ(port_at(244), layout::kAcpiPort + power_offset::kSleepControl);
    EXPECT_EQ(port_at(256), layout::kAcpiPort + power_offset::kSleepStatus);
}

/// Structures of a MADT by type.
std::multimap<unsigned, std::span<const std::byte>> structures(std::span<const std::byte> madt) {
    std::multimap<unsigned, std::span<const std::byte>> found;
    for (std::size_t offset = 44; offset < madt.size();) {
        const auto length = at<std::uint8_t>(madt, offset + 1);
        found.emplace(at<std::uint8_t>(madt, offset), madt.subspan(offset, length));
        offset += length;
    }
    return found;
}

TEST(Madt, lists_processors_with_their_index_as_uid) {
    const TableBytes table = madt(std::vector<std::uint32_t>{0, 1, 4, 5});
    const auto found = structures(table);
    ASSERT_EQ(found.count(0), 4U);
    unsigned uid = 0;
    for (auto [it, end] = found.equal_range(0); it != end; ++it, ++uid) {
        EXPECT_EQ(at<std::uint8_t>(it->second, 2), uid);
        EXPECT_EQ(at<std::uint8_t>(it->second, 3), (std::array{0, 1, 4, 5}[uid]));
        EXPECT_EQ(at<std::uint32_t>(it->second, 4), 1U);
    }
    EXPECT_EQ(at<std::uint32_t>(table, 40), 0U) << "no 8259";
    EXPECT_EQ(at<std::uint32_t>(table, 36), layout::kLocalApic.value());
}

TEST(Madt, uses_x2apic_structures_above_id_254_only) {
    const TableBytes table = madt(std::vector<std::uint32_t>{253, 254, 255, 256});
    const auto found = structures(table);
    EXPECT_EQ(found.count(0), 2U);
    ASSERT_EQ(found.count(9), 2U);
    const auto first = found.find(9)->second;
    EXPECT_EQ(at<std::uint32_t>(first, 4), 255U);
    EXPECT_EQ(at<std::uint32_t>(first, 8), 1U);
    EXPECT_EQ(at<std::uint32_t>(first, 12), 2U);
    EXPECT_EQ(found.count(0xa), 1U);
    EXPECT_EQ(structures(madt(std::vector<std::uint32_t>{0})).count(0xa), 0U);
}

TEST(Madt, has_one_io_apic_from_interrupt_0_on) {
    const TableBytes table = madt(std::vector<std::uint32_t>{0});
    const auto found = structures(table);
    ASSERT_EQ(found.count(1), 1U);
    EXPECT_EQ(at<std::uint32_t>(found.find(1)->second, 4), layout::kIoApic.value());
    EXPECT_EQ(at<std::uint32_t>(found.find(1)->second, 8), 0U);
    EXPECT_EQ(found.count(2), 0U);
}

TEST(Mcfg, names_only_the_buses_that_exist) {
    const TableBytes table = mcfg(3);
    EXPECT_EQ(table.size(), 60U);
    EXPECT_EQ(at<std::uint64_t>(table, 44), layout::kEcam.value());
    EXPECT_EQ(at<std::uint16_t>(table, 52), 0U);
    EXPECT_EQ(at<std::uint8_t>(table, 54), 0U);
    EXPECT_EQ(at<std::uint8_t>(table, 55), 3U);
}

TEST(AcpiTables, name_the_buses_of_all_host_bridges) {
    AcpiConfig config = machine(1);
    config.host_bridges.front().last_bus = 2;
    config.host_bridges.push_back(config.host_bridges.front());
    config.host_bridges.back().first_bus = 3;
    config.host_bridges.back().last_bus = 9;
    const TableBytes image = build_tables(config, layout::kAcpiTables);
    EXPECT_EQ(at<std::uint8_t>(walk(image, layout::kAcpiTables).at("MCFG"), 55), 9U);
}

TEST(Dsdt, begins_with_the_soft_off_package) {
    const TableBytes table = dsdt(machine(1));
    EXPECT_EQ(text_at(table, 36, 6), "\x08\\_S5_");
    EXPECT_EQ(at<std::uint8_t>(table, 42), 0x12);
    EXPECT_EQ(at<std::uint8_t>(table, 46), kSleepTypeS5);
}

}  // namespace
}  // namespace cxlvm::acpi
