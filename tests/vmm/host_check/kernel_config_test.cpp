// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/kernel_config.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/memory/fake_tree.hpp"

namespace cxlvm::host_check {
namespace {

using cxlvm::test::FakeTree;
using Option = KernelConfig::Option;

constexpr const char* kText =
    "CONFIG_FIRST=y\n"
    "# CONFIG_CXL_BUS is not set\n"
    "CONFIG_VFIO=m\n"
    "CONFIG_VFIO_NAME=\"x\"\n"
    "CONFIG_LAST=";

void expect_parsed(const KernelConfig& config) {
    EXPECT_TRUE(config.known());
    EXPECT_EQ(config.option("FIRST"), Option::BuiltIn);
    EXPECT_EQ(config.option("VFIO"), Option::Module);
    EXPECT_EQ(config.option("CXL_BUS"), Option::Off);
    EXPECT_EQ(config.option("VFI"), Option::Off);
    EXPECT_EQ(config.option("FIO"), Option::Off);
    EXPECT_EQ(config.option("VFIO_NAME"), Option::Off);
    EXPECT_EQ(config.option("LAST"), Option::Off);
}

TEST(KernelConfig, IsUnknownWhereNothingCanBeRead) {
    const FakeTree tree;
    const KernelConfig config(tree.root());
    EXPECT_FALSE(config.known());
    EXPECT_EQ(config.option("KVM"), Option::Unknown);
    EXPECT_EQ(config.release(), "");
    EXPECT_FALSE(config.at_least(0, 1));
}

TEST(KernelConfig, ReadsTheReleasesOwnFile) {
    const FakeTree tree;
    tree.add_file("/proc/sys/kernel/osrelease", "6.1.0-49-cloud-amd64\n");
    tree.add_file("/boot/config-6.1.0-48-cloud-amd64", "CONFIG_CXL_BUS=y\n");
    tree.add_file("/boot/config-6.1.0-49-cloud-amd64", kText);
    expect_parsed(KernelConfig(tree.root()));
}

TEST(KernelConfig, ReadsTheFileBesideTheModules) {
    const FakeTree tree;
    tree.add_file("/proc/sys/kernel/osrelease", "7.2.0\n");
    tree.add_file("/lib/modules/7.2.0/config", kText);
    expect_parsed(KernelConfig(tree.root()));
}

TEST(KernelConfig, ReadsTheRunningKernelsCompressedCopy) {
    const FakeTree tree;
    tree.add_folder("/proc");
    const gzFile file = ::gzopen((tree.root() + "/proc/config.gz").c_str(), "wb");
    ASSERT_NE(file, nullptr);
    ASSERT_GT(::gzputs(file, kText), 0);
    ASSERT_EQ(::gzclose(file), Z_OK);
    expect_parsed(KernelConfig(tree.root()));
}

TEST(KernelConfig, ADamagedCopyIsNoConfiguration) {
    const FakeTree tree;
    tree.add_file("/proc/config.gz", "\x1f\x8b\x08");
    EXPECT_FALSE(KernelConfig(tree.root()).known());
}

TEST(KernelConfig, ComparesReleasesAsNumbers) {
    const FakeTree tree;
    tree.add_file("/proc/sys/kernel/osrelease", "6.12.3-rc1\n");
    const KernelConfig config(tree.root());
    EXPECT_EQ(config.release(), "6.12.3-rc1");
    EXPECT_TRUE(config.at_least(6, 12));
    EXPECT_TRUE(config.at_least(6, 2));
    EXPECT_TRUE(config.at_least(5, 19));
    EXPECT_FALSE(config.at_least(6, 13));
    EXPECT_FALSE(config.at_least(7, 0));
}

}  // namespace
}  // namespace cxlvm::host_check
