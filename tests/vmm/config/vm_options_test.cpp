// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/vm_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/vmm/config/expect_input_error.hpp"
#include "vmm/config/disk_option.hpp"
#include "vmm/config/net_option.hpp"

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
    vm.disks = {{.disk = {.path = "d", .read_only = true, .direct = true}, .id = "i", .queues = 2}};
    vm.vsock = {.cid = 3, .path = "s"};
    vm.nets = {{.tap = "t",
                .fds = {3},
                .passt = "p",
                .mac = virtio::net::MacAddress{{2}},
                .mtu = 99,
                .queues = 2,
                .vhost = true,
                .vhost_fds = {4}}};
    vm.console = SerialConfig{.kind = SerialConfig::Kind::Pty, .path = {}};
    vm.rng = {.source = "s"};
    vm.devices = {{.address = "a", .sysfs = "s", .iommu = vfio::IommuChoice::Group, .id = "i"}};
    vm.balloon = {.target = 1, .deflate_on_oom = true, .reporting = true};
    for (const Option<VmConfig>& option : vm_options()) {
        option.reset(vm);
        for (const Key<VmConfig>& key : option.keys) {
            EXPECT_EQ(key.get(vm), key.get(VmConfig{})) << option.name << "," << key.name;
        }
        if (option.elements != nullptr) {
            EXPECT_EQ(option.elements->count(vm), 0U) << option.name;
        }
    }
}

TEST(VmOptions, TakeWhatTheyGiveBack) {
    const std::vector<std::pair<std::string_view, std::string_view>> cases = {
        {"balloon", "1G,reporting"},
        {"balloon", "deflate-on-oom,statistics=60"},
        {"console", "unix=/s"},
        {"console", "stdio"},
        {"rng", ""},
        {"rng", "fd=3"},
        {"boot", "pvh"},
        {"cmdline", "a b=c,d"},
        {"cmdline", ""},
        {"cpus", "8,sockets=2,cores=2,threads=2"},
        {"device", "0000:41:00.0"},
        {"device", "vfio=0000:41:00.0,iommu=iommufd,bus=far,integrated,id=gpu"},
        {"device", "sysfs=/sys/bus/pci/devices/0000:41:00.0,iommu=group"},
        {"device", "fd=3"},
        {"disk", "a,,b,readonly"},
        {"disk", "fd=3,direct,queues=4,id=root,root-port"},
        {"disk", "d,rate=10M,rate-burst=1G,ops=50,ops-burst=7"},
        {"initrd", "i"},
        {"kernel", "k"},
        {"kvm", "fd=3"},
        {"memory", "3G,thp"},
        {"memory", "1G,shared"},
        {"memory", "2M,hugepages=2M,prefault,numa=0"},
        {"serial", "unix=/s"},
        {"serial", "pty"},
        {"serial", "file=a,,b"},
        {"serial", "null"},
        {"no-cache", "true"},
        {"shutdown-timeout", "0"},
        {"vsock", "cid=4294967294,path=a=b"},
        {"vsock", "7,path=/s"},
        {"net", "passt"},
        {"net", "socket=/run/a,,b,mtu=1400"},
        {"net", "tap=t,queues=4"},
        {"net", "fd=3:4:5,mac=02:00:00:00:00:ff"},
        {"net", "tap=t,vhost"},
        {"net", "fd=3:4,vhost-fd=5:6"},
    };
    for (const auto& [name, text] : cases) {
        const VmConfig first = parse(name, text);
        VmConfig second;
        for (const Option<VmConfig>& option : vm_options()) {
            option.reset(second);
            if (option.elements != nullptr) {
                if (option.elements->count(first) == 0) {
                    continue;
                }
                option.elements->add(second);
            }
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
            if (option.elements != nullptr) {
                EXPECT_EQ(option.elements->count(first), option.elements->count(second)) << name;
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
    const RateLimits rates =
        parse("disk", "d,rate=1M,rate-burst=2M,ops=3,ops-burst=4").disks[0].rates;
    EXPECT_EQ(rates, (RateLimits{.bytes = {.rate = 1 << 20, .burst = 2 << 20},
                                 .operations = {.rate = 3, .burst = 4}}));
    EXPECT_EQ(parse("disk", "d").disks.at(0).rates, RateLimits{});
    EXPECT_EQ(parse("shutdown-timeout", "5").shutdown_timeout, 5U);
    EXPECT_EQ(parse("kvm", "/dev/other").kvm, "/dev/other");
    EXPECT_EQ(parse("vsock", "cid=5,path=s").vsock->cid, 5U);
    EXPECT_EQ(parse("vsock", "cid=5,path=s").vsock->path, "s");
}

TEST(VmOptions, AddAnElementEachTimeToAListThatRepeats) {
    VmConfig vm;
    for (const char* const text :
         {"root.img,queues=3", "data.img,id=data,direct", "path=fd=5,readonly"}) {
        parse_option(kDiskOption, "--disk", text, vm);
    }
    ASSERT_EQ(vm.disks.size(), 3U);
    EXPECT_EQ(vm.disks[0].disk.path, "root.img");
    EXPECT_EQ(vm.disks[0].queues, 3U);
    EXPECT_FALSE(vm.disks[0].disk.direct);
    EXPECT_EQ(vm.disks[1].id, "data");
    EXPECT_TRUE(vm.disks[1].disk.direct);
    EXPECT_EQ(vm.disks[1].queues, 1U) << "nothing of the disk before";
    EXPECT_EQ(vm.disks[2].disk.path, "fd=5");
    EXPECT_TRUE(vm.disks[2].disk.read_only);
    const VmConfig only = kDiskOption.elements->only(vm, 1);
    ASSERT_EQ(only.disks.size(), 1U);
    EXPECT_EQ(only.disks[0].id, "data");
}

TEST(VmOptions, SayWhatANetworkDeviceIsConnectedTo) {
    VmConfig vm;
    for (const char* const text :
         {"tap=vm0,mac=02:00:00:00:00:01,queues=3", "fd=5:6,mtu=9000", "passt", "socket=/s"}) {
        parse_option(kNetOption, "--net", text, vm);
    }
    ASSERT_EQ(vm.nets.size(), 4U);
    EXPECT_EQ(vm.nets[0].tap, "vm0");
    EXPECT_EQ(vm.nets[0].mac, virtio::net::parse_mac("02:00:00:00:00:01"));
    EXPECT_EQ(vm.nets[0].queues, 3U);
    EXPECT_THAT(vm.nets[1].fds, ElementsAre(5, 6));
    EXPECT_EQ(vm.nets[1].mtu, 9000);
    EXPECT_EQ(vm.nets[1].tap, "");
    EXPECT_EQ(vm.nets[2].passt, "");
    EXPECT_EQ(vm.nets[3].passt, "/s");
    EXPECT_EQ(parse("net", "socket=/s,passt").nets.at(0).passt, "/s") << "in either order";
    EXPECT_EQ(parse("net", "passt=false,tap=t").nets.at(0).passt, std::nullopt);
    EXPECT_FALSE(parse("net", "tap=t").nets.at(0).uses_vhost());
    EXPECT_TRUE(parse("net", "tap=t,vhost").nets.at(0).uses_vhost());
    EXPECT_TRUE(parse("net", "tap=t,vhost-fd=3").nets.at(0).uses_vhost());
}

TEST(VmOptions, ThatMayBeAbsentAreThereOnceTheyAreGiven) {
    EXPECT_FALSE(VmConfig{}.rng.has_value());
    EXPECT_EQ(parse("rng", "").rng.value().source, "");
    EXPECT_EQ(parse("rng", "/dev/hwrng").rng.value().source, "/dev/hwrng");
    EXPECT_FALSE(VmConfig{}.balloon.has_value());
    EXPECT_EQ(parse("balloon", "").balloon.value().target, 0U);
    const auto balloon = parse("balloon", "64M,reporting,statistics=5").balloon.value();
    EXPECT_EQ(balloon.target, 64ULL << 20);
    EXPECT_TRUE(balloon.reporting);
    EXPECT_FALSE(balloon.deflate_on_oom);
    EXPECT_EQ(balloon.statistics, std::chrono::seconds(5));
    EXPECT_FALSE(VmConfig{}.console.has_value());
    EXPECT_EQ(parse("console", "pty").console.value().kind, SerialConfig::Kind::Pty);
    EXPECT_EQ(parse("console", "file=out").console.value().path, "out");
    EXPECT_EQ(parse("console", "pty").serial.kind, SerialConfig::Kind::Stdio);
    EXPECT_THAT(input_error([] { (void)parse("console", ""); }), HasSubstr("needs a value"));
    EXPECT_THAT(input_error([] { (void)parse("console", "null=false"); }), HasSubstr("null=false"));
}

TEST(VmOptions, PutEveryDeviceWhereItIsToBe) {
    EXPECT_EQ(parse("host-bridge", "far").host_bridges.at(0).id, "far");
    EXPECT_EQ(parse("host-bridge", "id=far").host_bridges.at(0).id, "far");
    for (const char* const suffix : {"bus=far,root-port", "root-port,bus=far"}) {
        const std::string keys = suffix;
        const std::array places{parse("disk", "d," + keys).disks.at(0).place,
                                parse("net", "passt," + keys).nets.at(0).place,
                                parse("vsock", "cid=3,path=s," + keys).vsock.value().place,
                                parse("console", "pty," + keys).console.value().place,
                                parse("console", keys + ",unix=s").console.value().place,
                                parse("rng", keys).rng.value().place,
                                parse("balloon", "1M," + keys).balloon.value().place};
        for (const PciPlace& place : places) {
            EXPECT_EQ(place.bus, "far");
            EXPECT_TRUE(place.root_port);
        }
    }
    EXPECT_THAT(input_error([] { (void)parse("serial", "pty,root-port"); }),
                HasSubstr("root-port"));
    EXPECT_THAT(input_error([] { (void)parse("console", "root-port"); }),
                HasSubstr("give one of stdio, null, file, pty, unix, too"));
    EXPECT_THAT(input_error([] { (void)parse("console", "pty,null,root-port"); }),
                HasSubstr("exclude one another"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,bus="); }), HasSubstr("--disk: bus"));
    EXPECT_THAT(input_error([] { (void)parse("host-bridge", ""); }), HasSubstr("needs a value"));
}

TEST(VmOptions, TakeAFileThatStandsAloneWhateverItsNameIs) {
    EXPECT_EQ(parse("disk", "fd=5,readonly").disks.at(0).disk.path, "fd=5");
    EXPECT_EQ(parse("disk", "./a=b.img").disks.at(0).disk.path, "./a=b.img");
    EXPECT_EQ(parse("disk", "path=a=b").disks.at(0).disk.path, "a=b");
    EXPECT_THAT(input_error([] { (void)parse("disk", "pth=a.img"); }), HasSubstr("'path'"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "a.img,fd=5"); }), HasSubstr("'fd'"));
    EXPECT_THAT(input_error([] { (void)parse("memory", "fd=5"); }), HasSubstr("'fd'"));
}

TEST(VmOptions, RefuseWhatContradictsItself) {
    EXPECT_THAT(input_error([] { (void)parse("memory", "1G,thp,hugepages=2M"); }),
                HasSubstr("--memory: hugepages=2M"));
    EXPECT_THAT(input_error([] { (void)parse("serial", "null,file=x"); }), HasSubstr("--serial"));
}

TEST(VmOptions, RefuseValuesOutOfBounds) {
    EXPECT_THAT(input_error([] { (void)parse("cpus", "0"); }), HasSubstr("--cpus: count=0"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,queues=0"); }),
                HasSubstr("--disk: queues=0"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,queues=65"); }), HasSubstr("64"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,rate=0"); }), HasSubstr("rate=0"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,ops=0"); }), HasSubstr("ops=0"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,ops=5K"); }), HasSubstr("ops=5K"));
    EXPECT_THAT(input_error([] { (void)parse("balloon", "statistics=0"); }), HasSubstr("from 1"));
    EXPECT_THAT(input_error([] { (void)parse("balloon", "target=0"); }), HasSubstr("target=0"));
    EXPECT_THAT(input_error([] { (void)parse("disk", "d,ro"); }), HasSubstr("--disk: 'ro'"));
    EXPECT_THAT(input_error([] { (void)parse("net", "tap0"); }), HasSubstr("--net: 'tap0'"));
    EXPECT_THAT(input_error([] { (void)parse("net", "fd=3:"); }), HasSubstr("--net: fd"));
    EXPECT_THAT(input_error([] { (void)parse("net", "fd=-1"); }), HasSubstr("--net: fd=-1"));
    EXPECT_THAT(input_error([] { (void)parse("net", "fd=2147483648"); }), HasSubstr("2147483647"));
    EXPECT_THAT(input_error([] { (void)parse("net", "passt,mac=02:00"); }),
                HasSubstr("--net: mac=02:00: give six bytes"));
    EXPECT_THAT(input_error([] { (void)parse("net", "tap=t,mtu=67"); }), HasSubstr("68"));
    EXPECT_THAT(input_error([] { (void)parse("net", "tap=t,mtu=65536"); }), HasSubstr("65535"));
    EXPECT_THAT(input_error([] { (void)parse("net", "tap=t,queues=17"); }), HasSubstr("16"));
    EXPECT_THAT(input_error([] { (void)parse("memory", "0"); }), HasSubstr("--memory: size=0"));
    EXPECT_THAT(input_error([] { (void)parse("memory", "1G,hugepages=4M"); }), HasSubstr("2M, 1G"));
    EXPECT_THAT(input_error([] { (void)parse("boot", "uefi"); }), HasSubstr("--boot: 'uefi'"));
    EXPECT_THAT(input_error([] { (void)parse("kernel", ""); }), HasSubstr("--kernel"));
    EXPECT_THAT(input_error([] { (void)parse("shutdown-timeout", "soon"); }),
                HasSubstr("--shutdown-timeout"));
}

}  // namespace
}  // namespace cxlvm::config
