// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/items.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/memory/fake_tree.hpp"
#include "tests/vmm/host_check/item_matchers.hpp"

namespace cxlvm::host_check {
namespace {

using cxlvm::test::FakeTree;
using test::contains;
using test::expect_well_formed;
using test::item_named;

CheckItem io_uring(int error, std::optional<std::uint64_t> disabled) {
    CallFacts facts;
    facts.io_uring_error = error;
    facts.io_uring_disabled = disabled;
    const Items items = call_items(facts);
    expect_well_formed(items);
    return item_named(items, "io_uring");
}

TEST(CallItems, IoUringIsOkOrMissingWithTheRemedyForItsCause) {
    EXPECT_EQ(io_uring(0, 0).status, Status::Ok);
    struct Case {
        int error;
        std::optional<std::uint64_t> disabled;
        const char* remedy;
    };
    for (const Case& lack :
         {Case{EPERM, 2, "kernel.io_uring_disabled=0"}, Case{EPERM, 1, "kernel.io_uring_group"},
          Case{EPERM, 0, "io_uring_setup"}, Case{EPERM, std::nullopt, "io_uring_setup"},
          Case{EACCES, 0, "io_uring_setup"}, Case{ENOSYS, std::nullopt, "CONFIG_IO_URING"},
          Case{EINVAL, 0, "5.11"}, Case{ENOMEM, 0, "ulimit -l"}}) {
        const CheckItem item = io_uring(lack.error, lack.disabled);
        EXPECT_EQ(item.status, Status::Missing);
        EXPECT_TRUE(contains(item.remedy, lack.remedy)) << item.remedy;
    }
}

TEST(CallItems, UserfaultfdMayComeFromTheCallOrTheDevice) {
    CallFacts facts;
    EXPECT_EQ(item_named(call_items(facts), "userfaultfd").status, Status::Ok);
    facts.userfaultfd_error = EPERM;
    facts.unprivileged_userfaultfd = 0;
    Items items = call_items(facts);
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "userfaultfd").status, Status::Warn);
    EXPECT_TRUE(contains(item_named(items, "userfaultfd").remedy, "vm.unprivileged_userfaultfd=1"));
    EXPECT_FALSE(check_has_errors(items));
    facts.userfaultfd_device = true;
    EXPECT_EQ(item_named(call_items(facts), "userfaultfd").status, Status::Ok);
    facts.userfaultfd_device = false;
    facts.userfaultfd_error = ENOSYS;
    items = call_items(facts);
    EXPECT_TRUE(contains(item_named(items, "userfaultfd").remedy, "CONFIG_USERFAULTFD"));
}

TEST(CallItems, TheSwitchesAreReadBelowTheRoot) {
    const FakeTree tree;
    EXPECT_FALSE(gather_call_facts(tree.root()).io_uring_disabled);
    tree.add_file("/proc/sys/kernel/io_uring_disabled", "2\n");
    tree.add_file("/proc/sys/vm/unprivileged_userfaultfd", "1\n");
    tree.add_file("/dev/userfaultfd");
    const CallFacts facts = gather_call_facts(tree.root());
    EXPECT_EQ(facts.io_uring_disabled, 2U);
    EXPECT_EQ(facts.unprivileged_userfaultfd, 1U);
    EXPECT_TRUE(facts.userfaultfd_device);
}

TEST(LimitItems, LowLimitsAreWarnedOfUnlessTheyDoNotApply) {
    LimitFacts facts{.memlock = 8 << 20, .files = 256, .max_map_count = 1000};
    Items items = limit_items(facts);
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "locked memory").status, Status::Warn);
    EXPECT_TRUE(contains(item_named(items, "locked memory").found, "8 MiB"));
    EXPECT_TRUE(contains(item_named(items, "locked memory").remedy, "ulimit -l"));
    EXPECT_EQ(item_named(items, "open files").status, Status::Warn);
    EXPECT_EQ(item_named(items, "memory mappings").status, Status::Warn);

    facts = {.memlock = 8 << 20, .may_lock = true, .files = 1024, .max_map_count = 65530};
    items = limit_items(facts);
    expect_well_formed(items);
    for (const CheckItem& item : items) {
        EXPECT_EQ(item.status, Status::Ok) << item.name;
    }

    facts = {.memlock = ~std::uint64_t{0}, .files = ~std::uint64_t{0}};
    items = limit_items(facts);
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "locked memory").found, "unlimited");
    EXPECT_EQ(item_named(items, "open files").found, "unlimited");
    EXPECT_EQ(item_named(items, "memory mappings").status, Status::Info);
}

TEST(LimitItems, TheCapabilityToLockIsReadFromTheStatus) {
    const FakeTree tree;
    EXPECT_FALSE(gather_limit_facts(tree.root()).may_lock);
    tree.add_file("/proc/self/status", "Name:\tx\nCapEff:\t0000000000004000\n");
    EXPECT_TRUE(gather_limit_facts(tree.root()).may_lock);
    tree.add_file("/proc/self/status", "CapPrm:\tffffffffffffffff\nCapEff:\tffffffffffffbfff\n");
    EXPECT_FALSE(gather_limit_facts(tree.root()).may_lock);
    tree.add_file("/proc/self/status", "CapEff:\t");
    EXPECT_FALSE(gather_limit_facts(tree.root()).may_lock);
    tree.add_file("/proc/sys/vm/max_map_count", "262144\n");
    EXPECT_EQ(gather_limit_facts(tree.root()).max_map_count, 262144U);
}

TEST(MemoryItems, OfAnEmptyTreeSayWhatIsUnknown) {
    const FakeTree tree;
    const Items items = memory_items(tree.root());
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "huge pages of 1 GiB").status, Status::Info);
    EXPECT_EQ(item_named(items, "transparent huge pages").status, Status::Info);
    EXPECT_FALSE(check_has_errors(items));
}

TEST(MemoryItems, CountHugePagesAndNameWhereToReserveThem) {
    const FakeTree tree;
    const std::string small = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    const std::string large = "/sys/kernel/mm/hugepages/hugepages-1048576kB/";
    tree.add_file(small + "nr_hugepages", "512\n");
    tree.add_file(small + "free_hugepages", "500\n");
    tree.add_file(small + "resv_hugepages", "100\n");
    tree.add_file(large + "nr_hugepages", "0\n");
    tree.add_file("/sys/devices/system/node/has_memory", "0-1\n");
    tree.add_file("/proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 1048576 kB\n");
    const Items items = memory_items(tree.root());
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "huge pages of 2 MiB").status, Status::Ok);
    EXPECT_EQ(item_named(items, "huge pages of 2 MiB").found, "400 free of 512");
    EXPECT_TRUE(contains(item_named(items, "huge pages of 1 GiB").remedy, large + "nr_hugepages"));
    EXPECT_TRUE(contains(item_named(items, "huge pages of 1 GiB").remedy, "hugepagesz=1G"));
    EXPECT_EQ(item_named(items, "NUMA nodes").found, "2 with memory: 0, 1");
    EXPECT_EQ(item_named(items, "memory").found, "1 GiB available; a guest may have up to 4 GiB");
}

TEST(MemoryItems, TransparentHugePagesAreTheChosenMode) {
    const FakeTree tree;
    const std::string control = "/sys/kernel/mm/transparent_hugepage/enabled";
    tree.add_file(control, "always [madvise] never\n");
    CheckItem item = item_named(memory_items(tree.root()), "transparent huge pages");
    EXPECT_EQ(item.status, Status::Ok);
    EXPECT_EQ(item.found, "madvise");
    tree.add_file(control, "always madvise [never]\n");
    item = item_named(memory_items(tree.root()), "transparent huge pages");
    EXPECT_EQ(item.status, Status::Warn);
    EXPECT_TRUE(contains(item.remedy, control));
    tree.add_file(control, "]nonsense[\n");
    item = item_named(memory_items(tree.root()), "transparent huge pages");
    EXPECT_EQ(item.status, Status::Info);
}

TEST(NetworkItems, NameTheModuleOfWhatIsNotThere) {
    const FakeTree tree;
    Items items = network_items(tree.root());
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "tun").remedy, "modprobe tun");
    EXPECT_EQ(item_named(items, "vhost-net").remedy, "modprobe vhost_net");
    tree.add_file("/dev/net/tun");
    tree.add_file("/dev/vhost-net");
    items = network_items(tree.root());
    expect_well_formed(items);
    EXPECT_EQ(item_named(items, "tun").status, Status::Ok);
    EXPECT_EQ(item_named(items, "vhost-net").status, Status::Ok);
}

}  // namespace
}  // namespace cxlvm::host_check
