// SPDX-License-Identifier: Apache-2.0
// The reference compiler reads our tables back and compiles what it read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/vmm/acpi/acpi_fixture.hpp"
#include "vmm/acpi/dsdt.hpp"
#include "vmm/acpi/fadt.hpp"
#include "vmm/acpi/madt.hpp"
#include "vmm/acpi/mcfg.hpp"
#include "vmm/acpi/root.hpp"

namespace cxlvm::acpi {
namespace {

namespace fs = std::filesystem;

class AcpiCompiler : public testing::Test {
  protected:
    void SetUp() override {
        if (run("command -v iasl") != 0) {
            GTEST_SKIP() << "iasl is missing (apt-get install acpica-tools)";
        }
        std::string pattern = (fs::temp_directory_path() / "cxlvm-acpi-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override {
        if (!folder_.empty()) {
            fs::remove_all(folder_);
        }
    }

    /// Disassembles `table` and compiles the result (-oa: without optimizing names);
    /// returns the text and everything that was said.
    std::string round_trip(const TableBytes& table, const std::string& name) {
        const fs::path aml = folder_ / (name + ".aml");
        std::ofstream file(aml, std::ios::binary);
        for (const std::byte byte : table) {
            file.put(std::to_integer<char>(byte));
        }
        file.close();
        EXPECT_EQ(run("iasl -d " + aml.string()), 0);
        const fs::path source = folder_ / (name + ".dsl");
        EXPECT_EQ(run("iasl -oa -tc -p " + (folder_ / "again").string() + " " + source.string()),
                  0);
        std::ifstream text(source);
        std::ostringstream all;
        all << text.rdbuf() << output();
        return all.str();
    }
    TableBytes recompiled() {
        std::ifstream file(folder_ / "again.aml", std::ios::binary);
        TableBytes bytes;
        for (char c = 0; file.get(c);) {
            bytes.push_back(static_cast<std::byte>(c));
        }
        return bytes;
    }

  private:
    int run(const std::string& command) {
        const std::string log = folder_.empty() ? "/dev/null" : (folder_ / "log").string();
        // NOLINTNEXTLINE(bugprone-command-processor,cert-env33-c): a fixed command on our own files
        return std::system((command + " >>" + log + " 2>&1").c_str());
    }
    std::string output() {
        std::ifstream log(folder_ / "log");
        std::ostringstream all;
        all << log.rdbuf();
        return all.str();
    }

    fs::path folder_;
};

TEST_F(AcpiCompiler, accepts_the_dsdt_without_a_warning) {
    for (const unsigned processors : {1U, 300U}) {
        const TableBytes table = dsdt(machine(processors));
        const std::string text = round_trip(table, "dsdt");
        EXPECT_THAT(text, testing::HasSubstr("0 Errors, 0 Warnings"));
        EXPECT_THAT(text, testing::Not(testing::HasSubstr("ACPI Error")));
        // The header names its compiler; all behind it must come back byte by byte.
        const TableBytes again = recompiled();
        ASSERT_EQ(again.size(), table.size());
        EXPECT_TRUE(std::equal(table.begin() + 36, table.end(), again.begin() + 36));
    }
}

TEST_F(AcpiCompiler, reads_the_wires_of_the_root_bus_as_they_are_meant) {
    AcpiConfig config = machine(1);
    EXPECT_THAT(round_trip(dsdt(config), "without"), testing::Not(testing::HasSubstr("_PRT")));
    config.host_bridges.front().devices = 31;
    config.host_bridges.front().last_bus = 5;
    const TableBytes table = dsdt(config);
    const std::string text = round_trip(table, "dsdt");
    EXPECT_THAT(text, testing::HasSubstr("0 Errors, 0 Warnings"));
    EXPECT_THAT(text, testing::HasSubstr("_PRT, Package (0x1F)"));
    EXPECT_THAT(text, testing::ContainsRegex("0x0005, *// Range Maximum"));
    EXPECT_THAT(text, testing::ContainsRegex("0x0001FFFF, *\n *Zero, *\n *Zero, *\n *0x11"));
    EXPECT_THAT(text, testing::ContainsRegex("0x001FFFFF, *\n *Zero, *\n *Zero, *\n *0x17"));
    const TableBytes again = recompiled();
    ASSERT_EQ(again.size(), table.size());
    EXPECT_TRUE(std::equal(table.begin() + 36, table.end(), again.begin() + 36));
}

TEST_F(AcpiCompiler, reads_each_host_bridge_with_numbers_windows_and_wires_of_its_own) {
    AcpiConfig config = machine(1);
    config.host_bridges.front().last_bus = 2;
    config.host_bridges.push_back({.first_bus = 3,
                                   .last_bus = 5,
                                   .devices = 2,
                                   .mmio32 = *GpaRange::of(Gpa(0xd000'0000), 0x1000'0000),
                                   .mmio64 = *GpaRange::of(Gpa(0xc0'0000'0000), 0x20'0000'0000)});
    const TableBytes table = dsdt(config);
    const std::string text = round_trip(table, "dsdt");
    EXPECT_THAT(text, testing::HasSubstr("0 Errors, 0 Warnings"));
    const std::size_t second = text.find("Device (PCI1)");
    ASSERT_NE(second, std::string::npos);
    const std::string before = text.substr(0, second);
    const std::string behind = text.substr(second, text.find("Device (MBRD)") - second);
    EXPECT_THAT(before, testing::HasSubstr("WordIO"));
    EXPECT_THAT(before, testing::ContainsRegex("0x0002, *// Range Maximum"));
    EXPECT_THAT(before, testing::Not(testing::HasSubstr("_PRT")));
    EXPECT_THAT(behind, testing::Not(testing::HasSubstr("WordIO")));
    EXPECT_THAT(behind, testing::HasSubstr("Name (_UID, One)"));
    EXPECT_THAT(behind, testing::HasSubstr("Name (_SEG, Zero)"));
    EXPECT_THAT(behind, testing::HasSubstr("Name (_BBN, 0x03)"));
    EXPECT_THAT(behind, testing::HasSubstr("Method (_OSC"));
    EXPECT_THAT(behind, testing::ContainsRegex("0x0003, *// Range Minimum"));
    EXPECT_THAT(behind, testing::ContainsRegex("0x0005, *// Range Maximum"));
    EXPECT_THAT(behind, testing::ContainsRegex("0xD0000000, *// Range Minimum"));
    EXPECT_THAT(behind, testing::ContainsRegex("0x000000C000000000, *// Range Minimum"));
    EXPECT_THAT(behind, testing::ContainsRegex("0x000000DFFFFFFFFF, *// Range Maximum"));
    EXPECT_THAT(behind, testing::HasSubstr("_PRT, Package (0x02)"));
    EXPECT_THAT(behind, testing::ContainsRegex("0x0001FFFF, *\n *Zero, *\n *Zero, *\n *0x12"));
    const TableBytes again = recompiled();
    ASSERT_EQ(again.size(), table.size());
    EXPECT_TRUE(std::equal(table.begin() + 36, table.end(), again.begin() + 36));
}

TEST_F(AcpiCompiler, accepts_as_many_host_bridges_as_there_are_names_for) {
    AcpiConfig config = machine(1);
    config.host_bridges.resize(kMaxHostBridges, config.host_bridges.front());
    const std::string text = round_trip(dsdt(config), "dsdt");
    EXPECT_THAT(text, testing::HasSubstr("0 Errors, 0 Warnings"));
    EXPECT_THAT(text, testing::HasSubstr("Device (PCIF)"));
}

TEST_F(AcpiCompiler, reads_the_data_tables_as_they_are_meant) {
    const std::string fixed = round_trip(fadt(Gpa(0xe1000)), "fadt");
    EXPECT_THAT(fixed, testing::HasSubstr("Hardware Reduced (V5) : 1"));
    EXPECT_THAT(fixed, testing::HasSubstr("Sleep Control Register"));
    EXPECT_THAT(fixed, testing::HasSubstr("Hypervisor ID : 0000004D564C5843"));
    const auto config = machine(300);
    const std::string apic = round_trip(madt(config.apic_ids), "madt");
    EXPECT_THAT(apic, testing::HasSubstr("Processor x2Apic ID : 0000012B"));
    EXPECT_THAT(apic, testing::HasSubstr("[Local x2APIC NMI]"));
    EXPECT_THAT(round_trip(mcfg(0), "mcfg"), testing::HasSubstr("00000000E0000000"));
    EXPECT_THAT(round_trip(xsdt(std::array{Gpa(0xe2000), Gpa(0xe3000)}), "xsdt"),
                testing::HasSubstr("00000000000E3000"));
    for (const std::string& said : {fixed, apic}) {
        EXPECT_THAT(said, testing::Not(testing::HasSubstr("Error    ")));
        EXPECT_THAT(said, testing::Not(testing::HasSubstr("Warning ")));
        EXPECT_THAT(said, testing::Not(testing::HasSubstr("Invalid")));
    }
}

}  // namespace
}  // namespace cxlvm::acpi
