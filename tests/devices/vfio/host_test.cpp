// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/devices/vfio/fake_kernel.hpp"

namespace cxlvm::vfio {
namespace {

using test::FakeKernel;
using test::message_of;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class HostTest : public testing::Test {
  protected:
    std::string open_message(const DeviceConfig& config = {.address = "0000:41:00.0"}) {
        return message_of([&] {
            Host host(kernel_, files_);
            static_cast<void>(host.open(config));
        });
    }
    void give_device_file() {
        kernel_.folders[std::string(FakeKernel::kFolder) + "/vfio-dev"] = {"vfio3"};
        for (const char* path : {"/dev/iommu", "/dev/vfio/devices/vfio3"}) {
            kernel_.files[path] = 0;
            kernel_.real_paths[path] = path;
        }
    }
    [[nodiscard]] bool called(unsigned long request) const {
        return std::ranges::count(kernel_.calls, request) != 0;
    }

    FakeKernel kernel_;
    test::FakeFiles files_;
    std::vector<std::byte> ram_ = std::vector<std::byte>(4096);
};

TEST_F(HostTest, OpensByGroupAndTellsKvm) {
    Host host(kernel_, files_);
    const VfioDevice device = host.open({.address = "0000:41:00.0"});
    EXPECT_EQ(kernel_.asked_device, "0000:41:00.0");
    ASSERT_EQ(files_.added.size(), 1U);
    EXPECT_EQ(kernel_.opened[files_.added[0].first], "/dev/vfio/7");
    EXPECT_TRUE(called(VFIO_SET_IOMMU));
    EXPECT_EQ(host.map(0x1000, ram_, true), 0);
    EXPECT_EQ(host.unmap(0x1000, 4096), 0);
    EXPECT_EQ(kernel_.dma, (std::vector<FakeKernel::DmaCall>{{true, 0x1000, 4096, true},
                                                             {false, 0x1000, 4096, false}}));
}

TEST_F(HostTest, JoinsAGroupOnce) {
    Host host(kernel_, files_);
    const VfioDevice first = host.open({.address = "0000:41:00.0"});
    const VfioDevice second = host.open({.sysfs = "/sys/bus/pci/devices/0000:41:00.0"});
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_GROUP_SET_CONTAINER}), 1);
    EXPECT_EQ(files_.added.size(), 1U);
}

TEST_F(HostTest, TakesIommufdWhereThereIsADeviceFile) {
    give_device_file();
    Host host(kernel_, files_);
    const VfioDevice device = host.open({.address = "0000:41:00.0"});
    EXPECT_TRUE(called(abi::kBindIommufd));
    EXPECT_EQ(kernel_.attached_to, 42U);
    EXPECT_FALSE(called(VFIO_GROUP_SET_CONTAINER));
    ASSERT_EQ(files_.added.size(), 1U);
    EXPECT_EQ(kernel_.opened[files_.added[0].first], "/dev/vfio/devices/vfio3");
    EXPECT_EQ(host.map(0x1000, ram_, false), 0);
    EXPECT_EQ(kernel_.dma.back(), (FakeKernel::DmaCall{true, 0x1000, 4096, false}));
}

TEST_F(HostTest, TakesTheGroupWhereIommufdIsForbidden) {
    kernel_.real_paths["/dev/vfio/7"] = "/dev/vfio/7";
    for (const char* path : {"/dev/iommu", "/dev/vfio/devices/vfio3"}) {
        for (const int error : {EACCES, EPERM}) {
            give_device_file();
            kernel_.files[path] = -error;
            kernel_.calls.clear();
            EXPECT_EQ(open_message(), "") << path;
            EXPECT_TRUE(called(VFIO_GROUP_SET_CONTAINER));
            EXPECT_FALSE(called(abi::kBindIommufd));
        }
    }
    kernel_.files["/dev/vfio/7"] = -EACCES;
    EXPECT_THAT(open_message(), HasSubstr("chown USER /dev/vfio/7"));
}

TEST_F(HostTest, TakesGroupsWhenAskedTo) {
    give_device_file();
    EXPECT_EQ(open_message({.address = "0000:41:00.0", .iommu = IommuChoice::Group}), "");
    EXPECT_FALSE(called(abi::kBindIommufd));
}

TEST_F(HostTest, SaysThatThereIsNoDeviceFile) {
    EXPECT_THAT(open_message({.address = "0000:41:00.0", .iommu = IommuChoice::Iommufd}),
                AllOf(HasSubstr("Linux 6.6"), HasSubstr("iommu=group")));
}

TEST_F(HostTest, TakesBackWhatOneOfTwoRefuses) {
    Host host(kernel_, files_);
    const VfioDevice by_group = host.open({.address = "0000:41:00.0"});
    give_device_file();
    const VfioDevice by_file = host.open({.address = "0000:41:00.0"});
    kernel_.answers[abi::kIoasMap] = -ENOMEM;
    EXPECT_EQ(host.map(0x1000, ram_, true), ENOMEM);
    EXPECT_EQ(kernel_.dma, (std::vector<FakeKernel::DmaCall>{{true, 0x1000, 4096, true},
                                                             {false, 0x1000, 4096, false}}));
}

TEST_F(HostTest, SaysHowToBindADevice) {
    kernel_.links[std::string(FakeKernel::kFolder) + "/driver"] = "nvme";
    EXPECT_THAT(open_message(), AllOf(HasSubstr("the driver nvme"), HasSubstr("driver_override"),
                                      HasSubstr("/driver/unbind"), HasSubstr("drivers_probe")));
    kernel_.links.erase(std::string(FakeKernel::kFolder) + "/driver");
    EXPECT_THAT(open_message(), AllOf(HasSubstr("no driver"), testing::Not(HasSubstr("unbind"))));
}

TEST_F(HostTest, TakesVariantsOfTheDriver) {
    kernel_.links[std::string(FakeKernel::kFolder) + "/driver"] = "mlx5_vfio_pci";
    EXPECT_EQ(open_message(), "");
}

TEST_F(HostTest, SaysThatThereIsNoSuchDevice) {
    EXPECT_THAT(open_message({.address = "0000:42:00.0"}),
                AllOf(HasSubstr("0000:42:00.0"), HasSubstr("lspci")));
    EXPECT_THAT(open_message({.sysfs = "/sys/nothing"}), HasSubstr("/sys/nothing"));
}

TEST_F(HostTest, SaysThatThereIsNoIommu) {
    kernel_.links.erase(std::string(FakeKernel::kFolder) + "/iommu_group");
    EXPECT_THAT(open_message(), AllOf(HasSubstr("0000:41:00.0"), HasSubstr("intel_iommu=on")));
}

TEST_F(HostTest, NamesTheGroupMatesThatTheHostUses) {
    kernel_.group_flags = 0;
    const std::string mates = std::string(FakeKernel::kFolder) + "/iommu_group/devices";
    kernel_.folders[mates] = {"0000:40:01.0", "0000:41:00.0", "0000:41:00.1"};
    kernel_.links[mates + "/0000:40:01.0/driver"] = "pcieport";
    kernel_.links[mates + "/0000:41:00.0/driver"] = "vfio-pci";
    kernel_.links[mates + "/0000:41:00.1/driver"] = "snd_hda_intel";
    EXPECT_THAT(open_message(), AllOf(HasSubstr("0000:41:00.1 (snd_hda_intel)"),
                                      testing::Not(HasSubstr("pcieport"))));
}

TEST_F(HostTest, SaysWhyTheContainerIsNotToBeHad) {
    for (const auto& [error, text] : std::map<int, const char*>{
             {ENOENT, "modprobe vfio-pci"}, {EACCES, "readable"}, {EMFILE, "vfio"}}) {
        kernel_.files["/dev/vfio/vfio"] = -error;
        EXPECT_THAT(open_message(), AllOf(HasSubstr("/dev/vfio/vfio"), HasSubstr(text)));
    }
}

TEST_F(HostTest, SaysWhyTheGroupIsNotToBeHad) {
    for (const auto& [error, text] : std::map<int, const char*>{{EBUSY, "another program"},
                                                                {EACCES, "chown USER /dev/vfio/7"},
                                                                {ENOENT, "no device"}}) {
        kernel_.files["/dev/vfio/7"] = -error;
        EXPECT_THAT(open_message(), AllOf(HasSubstr("/dev/vfio/7"), HasSubstr(text)));
    }
}

TEST_F(HostTest, NamesTheDeviceForEachRequestOfTheGroupThatFails) {
    for (const unsigned long request :
         std::array<unsigned long, 4>{VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER,
                                      VFIO_SET_IOMMU, VFIO_GROUP_GET_DEVICE_FD}) {
        for (const int error : {EPERM, EBUSY, EINVAL, ENODEV, ENOMEM, ENOTTY}) {
            kernel_.answers = {{request, -error}};
            EXPECT_THAT(open_message(),
                        AllOf(HasSubstr("0000:41:00.0"), HasSubstr(io::errno_text(error))));
        }
    }
    kernel_.answers = {{VFIO_SET_IOMMU, -EPERM}};
    EXPECT_THAT(open_message(), HasSubstr("allow_unsafe_interrupts"));
}

TEST_F(HostTest, SaysWhyAGroupDoesNotJoin) {
    kernel_.answers = {{VFIO_GROUP_SET_CONTAINER, -EINVAL}};
    EXPECT_THAT(open_message(), AllOf(HasSubstr("another program"), Not(HasSubstr("IOMMU does"))));
    kernel_.answers.clear();
    Host host(kernel_, files_);
    const VfioDevice first = host.open({.address = "0000:41:00.0"});
    kernel_.links[std::string(FakeKernel::kFolder) + "/iommu_group"] = "8";
    kernel_.files["/dev/vfio/8"] = 0;
    kernel_.answers = {{VFIO_GROUP_SET_CONTAINER, -EINVAL}};
    EXPECT_THAT(message_of([&] { static_cast<void>(host.open({.address = "0000:41:00.0"})); }),
                AllOf(HasSubstr("/dev/vfio/8"), HasSubstr("another program"),
                      HasSubstr("IOMMU does not go with")));
}

TEST_F(HostTest, RefusesAnotherInterfaceOfVfio) {
    kernel_.answers = {{VFIO_GET_API_VERSION, 1}};
    EXPECT_THAT(open_message(), HasSubstr("interface version 1"));
    kernel_.answers = {{VFIO_CHECK_EXTENSION, 0}};
    EXPECT_THAT(open_message(), HasSubstr("modprobe vfio_iommu_type1"));
}

TEST_F(HostTest, NamesTheDeviceForEachRequestOfIommufdThatFails) {
    give_device_file();
    for (const unsigned long request : {abi::kIoasAlloc, abi::kBindIommufd, abi::kAttachIommufd}) {
        for (const int error : {EPERM, EBUSY, EINVAL, ENODEV, ENOMEM, ENOTTY, EOPNOTSUPP}) {
            kernel_.answers = {{request, -error}};
            EXPECT_THAT(open_message(),
                        AllOf(HasSubstr("--device"), HasSubstr(io::errno_text(error))));
        }
    }
    kernel_.answers.clear();
    kernel_.files["/dev/iommu"] = -EACCES;
    EXPECT_THAT(open_message({.address = "0000:41:00.0", .iommu = IommuChoice::Iommufd}),
                AllOf(HasSubstr("/dev/iommu"), HasSubstr("readable"), HasSubstr("iommu=group")));
    EXPECT_THAT(open_message(), HasSubstr("/dev/iommu")) << "there is no group's file";
    kernel_.files["/dev/iommu"] = 0;
    kernel_.files["/dev/vfio/devices/vfio3"] = -EBUSY;
    EXPECT_THAT(open_message(), AllOf(HasSubstr("vfio3"), HasSubstr("another program")));
}

TEST_F(HostTest, TakesADescriptorThatSomebodyElseOpened) {
    give_device_file();
    const io::Fd file(FakeKernel::new_descriptor());
    EXPECT_EQ(open_message({.descriptor = "fd=" + std::to_string(file.get())}), "");
    EXPECT_EQ(kernel_.attached_to, 42U);
    EXPECT_THAT(open_message({.descriptor = "fd=9999"}), HasSubstr("9999"));
}

TEST(DeviceConfig, NamesOneDevice) {
    const auto refused = [](const DeviceConfig& config) {
        return message_of([&] { validate(config); });
    };
    EXPECT_EQ(refused({.address = "0000:41:00.0"}), "");
    EXPECT_EQ(refused({.sysfs = "/sys/x"}), "");
    EXPECT_THAT(refused({}), HasSubstr("name one device"));
    EXPECT_THAT(refused({.address = "0000:41:00.0", .sysfs = "x"}), HasSubstr("name one device"));
    for (const char* address : {"41:00.0", "0000:41:00", "0000:41:00.0 ", "0000:4g:00.0", "x"}) {
        EXPECT_THAT(refused({.address = address}), HasSubstr("no PCI address"));
    }
    EXPECT_THAT(refused({.descriptor = "fd=3", .iommu = IommuChoice::Group}),
                HasSubstr("iommu=group"));
    EXPECT_EQ(name_of({.address = "0000:41:00.0"}), "0000:41:00.0");
    EXPECT_EQ(name_of({.address = "0000:41:00.0", .id = "gpu"}), "gpu");
}

}  // namespace
}  // namespace cxlvm::vfio
