// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/items.hpp"

#include <gtest/gtest.h>

#include "tests/memory/fake_tree.hpp"
#include "tests/vmm/host_check/item_matchers.hpp"

namespace cxlvm::host_check {
namespace {

using cxlvm::test::FakeTree;
using test::contains;
using test::expect_well_formed;
using test::item_named;

Items device_items(const FakeTree& tree) {
    const KernelConfig kernel(tree.root());
    Items items = assignment_items(tree.root(), kernel);
    for (CheckItem& item : accelerator_items(tree.root(), kernel)) {
        items.push_back(std::move(item));
    }
    expect_well_formed(items);
    EXPECT_FALSE(check_has_errors(items)) << "no device is needed to run a VM";
    return items;
}

TEST(DeviceItems, EveryLackOfABareHostHasARemedy) {
    const FakeTree tree;
    for (const CheckItem& item : device_items(tree)) {
        EXPECT_NE(item.status, Status::Ok) << item.name;
        EXPECT_FALSE(item.remedy.empty()) << item.name;
    }
}

TEST(DeviceItems, TheIommusRemedyIsTheProcessorsOwn) {
    const FakeTree tree;
    tree.add_file("/proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
    EXPECT_TRUE(contains(item_named(device_items(tree), "IOMMU").remedy, "intel_iommu=on"));
    tree.add_file("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
    EXPECT_TRUE(contains(item_named(device_items(tree), "IOMMU").remedy, "without amd_iommu=off"));
    tree.add_folder("/sys/kernel/iommu_groups");
    EXPECT_EQ(item_named(device_items(tree), "IOMMU").status, Status::Warn);
    tree.add_folder("/sys/kernel/iommu_groups/0");
    tree.add_folder("/sys/kernel/iommu_groups/1");
    EXPECT_EQ(item_named(device_items(tree), "IOMMU").status, Status::Ok);
    EXPECT_EQ(item_named(device_items(tree), "IOMMU").found, "groups: 2");
}

TEST(DeviceItems, VfioNeedsTheContainerAndTheDriverAndListsItsGroups) {
    const FakeTree tree;
    tree.add_file("/dev/vfio/vfio");
    EXPECT_EQ(item_named(device_items(tree), "VFIO").status, Status::Warn);
    EXPECT_EQ(item_named(device_items(tree), "VFIO").remedy, "modprobe vfio-pci");
    tree.add_folder("/sys/bus/pci/drivers/vfio-pci");
    EXPECT_EQ(item_named(device_items(tree), "VFIO").status, Status::Ok);
    EXPECT_TRUE(contains(item_named(device_items(tree), "VFIO").found, "no device bound"));
    tree.add_file("/dev/vfio/12");
    tree.add_file("/dev/vfio/7");
    tree.add_folder("/dev/vfio/devices");
    EXPECT_EQ(item_named(device_items(tree), "VFIO").found, "vfio-pci, groups 12, 7");
    EXPECT_EQ(item_named(device_items(tree), "VFIO cdev").status, Status::Ok);
}

TEST(DeviceItems, WhatShowsItselfIsOkWhateverTheConfigurationSays) {
    const FakeTree tree;
    tree.add_file("/dev/iommu");
    tree.add_file("/dev/udmabuf");
    tree.add_folder("/sys/bus/cxl/devices/root0");
    tree.add_folder("/sys/class/infiniband/mlx5_0");
    const Items items = device_items(tree);
    for (const char* const name : {"iommufd", "udmabuf", "CXL", "RDMA devices"}) {
        EXPECT_EQ(item_named(items, name).status, Status::Ok) << name;
    }
    EXPECT_EQ(item_named(items, "CXL").found, "devices on the CXL bus: 1");
    EXPECT_EQ(item_named(items, "RDMA devices").found, "mlx5_0");
}

TEST(DeviceItems, TheConfigurationDecidesWhatDoesNotShowItself) {
    const FakeTree tree;
    tree.add_file("/proc/sys/kernel/osrelease", "7.2.0\n");
    tree.add_file("/boot/config-7.2.0",
                  "CONFIG_VFIO_PCI_DMABUF=y\nCONFIG_PCIE_TPH=y\nCONFIG_CXL_BUS=m\n"
                  "CONFIG_IOMMUFD=m\n# CONFIG_VFIO_DEVICE_CDEV is not set\n");
    const Items items = device_items(tree);
    EXPECT_EQ(item_named(items, "VFIO dma-buf export").status, Status::Ok);
    EXPECT_EQ(item_named(items, "PCIe TPH").status, Status::Ok);
    EXPECT_EQ(item_named(items, "CXL").remedy, "modprobe cxl_acpi");
    EXPECT_EQ(item_named(items, "iommufd").remedy, "modprobe iommufd");
    EXPECT_TRUE(contains(item_named(items, "VFIO cdev").remedy, "CONFIG_VFIO_DEVICE_CDEV"));
    EXPECT_EQ(item_named(items, "VFIO").remedy, "a kernel with CONFIG_VFIO_PCI");
}

TEST(DeviceItems, WithoutAConfigurationTheReleaseGivesAnAnswerThatSaysSo) {
    const FakeTree tree;
    tree.add_file("/proc/sys/kernel/osrelease", "6.18.9\n");
    CheckItem item = item_named(device_items(tree), "VFIO dma-buf export");
    EXPECT_EQ(item.status, Status::Info);
    EXPECT_TRUE(contains(item.found, "6.18.9 is older than 6.19")) << item.found;
    item = item_named(device_items(tree), "PCIe TPH");
    EXPECT_EQ(item.status, Status::Info);
    EXPECT_TRUE(contains(item.found, "perhaps: 6.18.9 is new enough")) << item.found;
}

}  // namespace
}  // namespace cxlvm::host_check
