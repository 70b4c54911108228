// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/vm_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/vmm/config/expect_input_error.hpp"

namespace cxlvm::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

VmConfig parse(std::string_view name, std::string_view text) {
    VmConfig vm;
    for (const Option<VmConfig>& option : vm_options()) {
        if (option.name == name) {
            parse_option(option, "--" + std::string(name), text, vm);
            return vm;
        }
    }
    ADD_FAILURE() << name << " is not in the table";
    return vm;
}

TEST(VmOptions, AreSortedByNameAndEveryKeySaysWhatItIs) {
    const auto options = vm_options();
    const std::vector<std::string_view> all = names(options);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    for (const Option<VmConfig>& option : options) {
        EXPECT_FALSE(option.help.empty()) << option.name;
        for (const Key<VmConfig>& key : option.keys) {
            EXPECT_EQ(key.help.empty(), option.is_plain()) << option.name << "," << key.name;
        }
    }
}

TEST(VmOptions, GiveBackTheDefaultsThatTheyReset) {
    VmConfig vm;
    vm.cpus.count = 7;
    vm.memory.size = 1;
    vm.boot = {"k", {"i"}, "c", BootProtocol::Pvh, false};
    vm.serial = {SerialConfig::Kind::File, "f"};
    vm.shutdown_timeout = 1;
    vm.kvm = "x";
    for (const Option<VmConfig>& option : vm_options()) {
        option.reset(vm);
        for (const Key<VmConfig>& key : option.keys) {
            EXPECT_EQ(key.get(vm), key.get(VmConfig{})) << option.name << "," << key.name;
        }
    }
}

TEST(VmOptions, TakeWhatTheyGiveBack) {
    const std::vector<std::pair<std::string_view, std::string_view>> cases = {
        {"boot", "pvh"},         {"cmdline", "a b=c,d"},
        {"cmdline", ""},         {"cpus", "8,sockets=2,cores=2,threads=2"},
        {"initrd", "i"},         {"kernel", "k"},
        {"kvm", "fd=3"},         {"memory", "3G,thp"},
        {"memory", "1G,shared"}, {"memory", "2M,hugepages=2M,prefault,numa=0"},
        {"serial", "unix=/s"},   {"serial", "pty"},
        {"serial", "file=a,,b"}, {"serial", "null"},
        {"no-cache", "true"},    {"shutdown-timeout", "0"},
    };
    for (const auto& [name, text] : cases) {
        const VmConfig first = parse(name, text);
        VmConfig second;
        for (const Option<VmConfig>& option : vm_options()) {
            option.reset(second);
            for (const Key<VmConfig>& key : option.keys) {
                for (const std::string& value : key.get(first)) {
                    key.set(second, Value{option.name, key.name, value});
                }
            }
        }
        for (const Option<VmConfig>& option : vm_options()) {
            for (const Key<VmConfig>& key : option.keys) {
                EXPECT_EQ(key.get(first), key.get(second))
                    << name << " " << text << " " << key.name;
            }
        }
    }
}

TEST(VmOptions, SetWhatTheirNamesSay) {
    EXPECT_EQ(parse("kernel", "vmlinuz").boot.kernel, "vmlinuz");
    EXPECT_THAT(parse("initrd", "a,b").boot.initrds, ElementsAre("a,b"));
    EXPECT_EQ(parse("cmdline", "console=ttyS0 a,b").boot.cmdline, "console=ttyS0 a,b");
    EXPECT_EQ(parse("cmdline", "").boot.cmdline, "") << "no words, and not the default";
    EXPECT_EQ(VmConfig{}.boot.cmdline, std::nullopt);
    EXPECT_EQ(parse("boot", "bzimage").boot.protocol, BootProtocol::BzImage);
    EXPECT_FALSE(parse("no-cache", "true").boot.cache);
    EXPECT_EQ(parse("cpus", "4,threads=2").cpus.count, 4U);
    EXPECT_EQ(parse("cpus", "4,threads=2").cpus.threads, 2U);
    EXPECT_EQ(parse("memory", "512M").memory.size, 512ULL << 20);
    EXPECT_EQ(parse("memory", "1G,hugepages=1G").memory.backing, PageBacking::Huge1G);
    EXPECT_EQ(parse("memory", "shared").memory.backing, PageBacking::Shared);
    EXPECT_TRUE(parse("memory", "1G,prefault").memory.prefault);
    EXPECT_EQ(parse("memory", "1G,numa=1").memory.numa_node, 1U);
    EXPECT_EQ(parse("serial", "null").serial.kind, SerialConfig::Kind::Null);
    EXPECT_EQ(parse("serial", "file=out").serial.path, "out");
    EXPECT_EQ(parse("shutdown-timeout", "5").shutdown_timeout, 5U);
    EXPECT_EQ(parse("kvm", "/dev/other").kvm, "/dev/other");
}

TEST(VmOptions, RefuseWhatContradictsItself) {
    EXPECT_THAT(input_error([] { (void)parse("memory", "1G,thp,hugepages=2M"); }),
                HasSubstr("--memory: hugepages=2M"));
    EXPECT_THAT(input_error([] { (void)parse("serial", "null,file=x"); }), HasSubstr("--serial"));
}

TEST(VmOptions, RefuseValuesOutOfBounds) {
    EXPECT_THAT(input_error([] { (void)parse("cpus", "0"); }), HasSubstr("--cpus: count=0"));
    EXPECT_THAT(input_error([] { (void)parse("memory", "0"); }), HasSubstr("--memory: size=0"));
    EXPECT_THAT(input_error([] { (void)parse("memory", "1G,hugepages=4M"); }), HasSubstr("2M, 1G"));
    EXPECT_THAT(input_error([] { (void)parse("boot", "uefi"); }), HasSubstr("--boot: 'uefi'"));
    EXPECT_THAT(input_error([] { (void)parse("kernel", ""); }), HasSubstr("--kernel"));
    EXPECT_THAT(input_error([] { (void)parse("shutdown-timeout", "soon"); }),
                HasSubstr("--shutdown-timeout"));
}

}  // namespace
}  // namespace cxlvm::config
