// SPDX-License-Identifier: Apache-2.0
#include "vmm/vm_config.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {
namespace {

/// A change that makes a good configuration a bad one, and a word that the message has to have.
struct BadCase {
    const char* name;
    const char* word;
    std::function<void(VmConfig&)> spoil;
};

std::ostream& operator<<(std::ostream& out, const BadCase& bad) {
    return out << bad.name;
}

class BadConfigTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadConfigTest, IsRefusedAsInputInOneLineThatNamesTheOption) {
    VmConfig config;
    GetParam().spoil(config);
    try {
        validate(config);
        FAIL() << "was accepted";
    } catch (const io::Error& error) {
        const std::string what = error.what();
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_NE(what.find(GetParam().word), std::string::npos) << what;
        EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Options, BadConfigTest,
    testing::Values(
        BadCase{"NoCpu", "cpus", [](VmConfig& c) { c.cpus.count = 0; }},
        BadCase{"AbsurdCpus", "cpus", [](VmConfig& c) { c.cpus.count = 1000000; }},
        BadCase{"TooManyCores", "cpus", [](VmConfig& c) { c.cpus.cores = 3; }},
        BadCase{"WrongProduct", "cpus",
                [](VmConfig& c) { c.cpus = {.count = 8, .sockets = 2, .cores = 2, .threads = 1}; }},
        BadCase{"ProductThatWraps", "cpus",
                [](VmConfig& c) {
                    c.cpus = {.count = 1, .sockets = 0x10001, .cores = 0xffff, .threads = 0xffff};
                }},
        BadCase{"DiskWithoutPath", "--disk: path is missing",
                [](VmConfig& c) { c.disks.emplace_back(); }},
        BadCase{"NetOfNothing", "--net: say what", [](VmConfig& c) { c.nets.emplace_back(); }},
        BadCase{"NetOfTwoThings", "--net: say what",
                [](VmConfig& c) { c.nets = {{.tap = "t", .passt = ""}}; }},
        BadCase{"NetWithAGroupsAddress", "--net: mac=",
                [](VmConfig& c) {
                    c.nets = {{.tap = "t", .mac = virtio::net::MacAddress{{1, 2, 3, 4, 5, 6}}}};
                }},
        BadCase{"VsockWithoutCid", "--vsock: cid is missing",
                [](VmConfig& c) { c.vsock = {.cid = 0, .path = "s"}; }},
        BadCase{"VsockOfTheHost", "--vsock: cid is reserved",
                [](VmConfig& c) { c.vsock = {.cid = 2, .path = "s"}; }},
        BadCase{"VsockOfAnybody", "--vsock: cid is reserved",
                [](VmConfig& c) { c.vsock = {.cid = 0xffff'ffff, .path = "s"}; }},
        BadCase{"VsockWithoutPath", "--vsock: path is missing",
                [](VmConfig& c) { c.vsock = {.cid = 3}; }},
        BadCase{"BurstWithoutRate", "--disk: ops-burst=3",
                [](VmConfig& c) {
                    c.disks.push_back(
                        {.disk = {.path = "d"}, .rates = {.operations = {.burst = 3}}});
                }},
        BadCase{"BalloonBesideAPassedDevice", "--balloon: with a passed device",
                [](VmConfig& c) {
                    c.balloon = {.target = 4096};
                    c.devices = {{.address = "0000:41:00.0"}};
                }},
        BadCase{"DeviceWithoutAName", "--device: name one device",
                [](VmConfig& c) { c.devices.emplace_back(); }},
        BadCase{"DeviceThatIsNoAddress", "--device: vfio=41:00.0: no PCI address",
                [](VmConfig& c) { c.devices = {{.address = "41:00.0"}}; }},
        BadCase{"BalloonOfAllMemory", "--balloon: a target of",
                [](VmConfig& c) { c.balloon = {.target = c.memory.size}; }},
        BadCase{"TargetOnHugePages", "leave out hugepages",
                [](VmConfig& c) {
                    c.memory.backing = PageBacking::Huge2M;
                    c.balloon = {.target = 4096};
                }},
        BadCase{"ReportingOnHugePages", "leave out hugepages",
                [](VmConfig& c) {
                    c.memory.size = 1ULL << 30;
                    c.memory.backing = PageBacking::Huge1G;
                    c.balloon = {.reporting = true};
                }},
        BadCase{"ConsoleWithoutPath", "--console: file and unix need a path",
                [](VmConfig& c) {
                    c.console = SerialConfig{.kind = SerialConfig::Kind::Unix, .path = {}};
                }},
        BadCase{"TwoOnStandardInput", "--console: standard input",
                [](VmConfig& c) { c.console.emplace(); }},
        BadCase{"TwoOnOnePath", "--console: /s: the serial port has it",
                [](VmConfig& c) {
                    c.serial = {.kind = SerialConfig::Kind::Unix, .path = "/s"};
                    c.console = c.serial;
                }},
        BadCase{"NoMemory", "memory", [](VmConfig& c) { c.memory.size = 0; }},
        BadCase{"LittleMemory", "memory", [](VmConfig& c) { c.memory.size = 4096; }},
        BadCase{"AbsurdMemory", "memory",
                [](VmConfig& c) { c.memory.size = ~std::uint64_t{4095}; }},
        BadCase{"OddMemory", "memory", [](VmConfig& c) { c.memory.size += 1; }},
        BadCase{"OddForHugePages", "memory",
                [](VmConfig& c) {
                    c.memory.size = 3ULL << 20;
                    c.memory.backing = PageBacking::Huge2M;
                }},
        BadCase{"OddForGiganticPages", "memory",
                [](VmConfig& c) { c.memory.backing = PageBacking::Huge1G; }},
        BadCase{"AbsurdNode", "memory", [](VmConfig& c) { c.memory.numa_node = 1024; }},
        BadCase{"InitrdWithoutKernel", "initrd", [](VmConfig& c) { c.boot.initrds = {"x"}; }},
        BadCase{"NamelessInitrd", "initrd",
                [](VmConfig& c) {
                    c.boot.kernel = "k";
                    c.boot.initrds = {""};
                }},
        BadCase{"ProtocolWithoutKernel", "boot",
                [](VmConfig& c) { c.boot.protocol = BootProtocol::Pvh; }},
        BadCase{"LongCommandLine", "cmdline",
                [](VmConfig& c) { c.boot.cmdline = std::string(layout::kCommandLineSize, 'x'); }},
        BadCase{"ZeroInCommandLine", "cmdline",
                [](VmConfig& c) { c.boot.cmdline = std::string("a\0b", 3); }},
        BadCase{"FileWithoutPath", "serial",
                [](VmConfig& c) { c.serial.kind = SerialConfig::Kind::File; }},
        BadCase{"SocketWithoutPath", "serial",
                [](VmConfig& c) { c.serial.kind = SerialConfig::Kind::Unix; }},
        BadCase{"PathThatIsNotUsed", "serial", [](VmConfig& c) { c.serial.path = "/tmp/x"; }},
        BadCase{"NoDevice", "kvm", [](VmConfig& c) { c.kvm.clear(); }}),
    [](const auto& test) { return test.param.name; });

TEST(VmConfig, ABalloonThatOnlyTellsGoesWithHugePages) {
    VmConfig config;
    config.memory.backing = PageBacking::Huge2M;
    config.balloon = {.statistics = std::chrono::seconds(1)};
    EXPECT_NO_THROW(validate(config));
}

TEST(VmConfig, AConsoleMayHaveWhatTheSerialPortLeaves) {
    VmConfig config;
    config.serial.kind = SerialConfig::Kind::Null;
    config.console.emplace();
    config.rng.emplace();
    config.balloon = {.target = config.memory.size - 4096};
    EXPECT_NO_THROW(validate(config));
}

TEST(VmConfig, TheDefaultIsValid) {
    EXPECT_NO_THROW(validate(VmConfig{}));
}

TEST(VmConfig, ATopologyWhoseProductIsTheCountIsValid) {
    VmConfig config;
    config.cpus = {.count = 12, .sockets = 2, .cores = 3, .threads = 2};
    EXPECT_NO_THROW(validate(config));
}

TEST(VmConfig, TheLongestCommandLineIsValid) {
    VmConfig config;
    config.boot.cmdline = std::string(layout::kCommandLineSize - 1, 'x');
    EXPECT_NO_THROW(validate(config));
}

}  // namespace
}  // namespace cxlvm
