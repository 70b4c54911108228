// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/vfio_device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/devices/vfio/fake_kernel.hpp"

namespace cxlvm::vfio {
namespace {

using test::append;
using test::FakeKernel;
using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t kPage = 4096;

VfioDevice open_device(FakeKernel& kernel) {
    return {kernel, io::Fd(FakeKernel::new_descriptor()), "0000:41:00.0"};
}

std::vector<std::byte> sparse(std::vector<RegionArea> areas, std::uint32_t next = 0) {
    std::vector<std::byte> bytes;
    abi::SparseMmap head{};
    head.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1, .next = next};
    head.nr_areas = static_cast<std::uint32_t>(areas.size());
    bytes.resize(sizeof(head));
    std::memcpy(bytes.data(), &head, sizeof(head));
    for (const RegionArea& area : areas) {
        append(bytes, vfio_region_sparse_mmap_area{.offset = area.offset, .size = area.size});
    }
    return bytes;
}

TEST(VfioDevice, DescribesRegionsAndInterrupts) {
    FakeKernel kernel;
    kernel.set_bar(0, 1U << 20);
    kernel.irqs[1].first = 4;
    kernel.irqs[2] = {2048, VFIO_IRQ_INFO_EVENTFD};
    const VfioDevice device = open_device(kernel);
    EXPECT_TRUE(device.resettable());
    EXPECT_EQ(device.region(0).size, 1U << 20);
    EXPECT_EQ(device.region(0).mappable, (std::vector<RegionArea>{{0, 1U << 20}}));
    EXPECT_TRUE(device.region(0).writable);
    EXPECT_EQ(device.region(1).size, 0U);
    EXPECT_EQ(device.region(99).size, 0U);
    EXPECT_TRUE(device.irqs(VfioDevice::Irqs::Intx).automasked);
    EXPECT_EQ(device.irqs(VfioDevice::Irqs::Msi).count, 4U);
    EXPECT_FALSE(device.irqs(VfioDevice::Irqs::Msi).resizable);
    EXPECT_TRUE(device.irqs(VfioDevice::Irqs::Msix).resizable);
}

TEST(VfioDevice, TakesTheSparseAreasInOrder) {
    FakeKernel kernel;
    kernel.set_bar(2, 16 * kPage);
    kernel.regions[2].capabilities =
        sparse({{8 * kPage, kPage}, {0, 2 * kPage}, {4 * kPage, 0}}, 96);
    kernel.regions[2].capabilities.resize(64);
    vfio_region_info_cap_type type{};
    type.header = {.id = VFIO_REGION_INFO_CAP_TYPE, .version = 1, .next = 0};
    type.type = 0x8000'1e98;
    type.subtype = 2;
    append(kernel.regions[2].capabilities, type);
    kernel.regions[2].first = 32;
    const VfioDevice device = open_device(kernel);
    EXPECT_EQ(device.region(2).mappable,
              (std::vector<RegionArea>{{0, 2 * kPage}, {8 * kPage, kPage}}));
    ASSERT_TRUE(device.region(2).type);
    EXPECT_EQ(device.region(2).type->type, 0x8000'1e98U);
    EXPECT_EQ(device.region(2).type->subtype, 2U);
}

TEST(VfioDevice, MapsNothingOfASparseRegionWithoutAreas) {
    FakeKernel kernel;
    kernel.set_bar(2, 16 * kPage);
    kernel.regions[2].capabilities = sparse({});
    kernel.regions[2].first = 32;
    EXPECT_TRUE(open_device(kernel).region(2).mappable.empty());
}

TEST(VfioDevice, MapsNothingOfLessThanAPage) {
    FakeKernel kernel;
    kernel.set_bar(2, 16);
    EXPECT_TRUE(open_device(kernel).region(2).mappable.empty());
}

TEST(VfioDevice, NamesTheDeviceAndTheRequestThatFails) {
    for (const auto& [request, name] :
         std::map<unsigned long, const char*>{{VFIO_DEVICE_GET_INFO, "GET_INFO"},
                                              {VFIO_DEVICE_GET_REGION_INFO, "REGION_INFO"},
                                              {VFIO_DEVICE_GET_IRQ_INFO, "IRQ_INFO"}}) {
        for (const int error : {EFAULT, ENOMEM, ENOTTY, EIO, ENODEV}) {
            FakeKernel kernel;
            kernel.answers[request] = -error;
            EXPECT_THAT(message_of([&] { open_device(kernel); }),
                        AllOf(HasSubstr("0000:41:00.0"), HasSubstr(name),
                              HasSubstr(io::errno_text(error))));
        }
    }
}

TEST(VfioDevice, LacksWhatTheKernelCallsInvalid) {
    FakeKernel kernel;
    kernel.answers[VFIO_DEVICE_GET_REGION_INFO] = -EINVAL;
    kernel.answers[VFIO_DEVICE_GET_IRQ_INFO] = -EINVAL;
    const VfioDevice device = open_device(kernel);
    EXPECT_EQ(device.region(0).size, 0U);
    EXPECT_EQ(device.irqs(VfioDevice::Irqs::Intx).count, 0U);
}

TEST(VfioDevice, RefusesWhatIsNoPciDevice) {
    FakeKernel kernel;
    kernel.device_flags = VFIO_DEVICE_FLAGS_PLATFORM;
    EXPECT_THAT(message_of([&] { open_device(kernel); }), HasSubstr("not as a PCI device"));
}

TEST(VfioDevice, RefusesAbsurdNumbers) {
    for (const std::uint32_t regions : {0U, 7U, 65U, ~0U}) {
        FakeKernel kernel;
        kernel.region_count = regions;
        EXPECT_THAT(message_of([&] { open_device(kernel); }), HasSubstr("contradicts itself"));
    }
    FakeKernel many;
    many.irqs[2].first = 2049;
    EXPECT_THAT(message_of([&] { open_device(many); }), HasSubstr("2049 interrupts"));
    for (const auto& [size, offset] : std::map<std::uint64_t, std::uint64_t>{
             {~std::uint64_t{0}, 0}, {kPage, ~std::uint64_t{0}}, {1, std::uint64_t{1} << 63}}) {
        FakeKernel kernel;
        kernel.regions[0].size = size;
        kernel.regions[0].offset = offset;
        EXPECT_THAT(message_of([&] { open_device(kernel); }), HasSubstr("region 0 has"));
    }
}

TEST(VfioDevice, RefusesCapabilitiesThatLie) {
    const auto refused = [](std::vector<std::byte> capabilities, std::uint32_t first,
                            std::uint32_t argsz = 0) {
        FakeKernel kernel;
        kernel.set_bar(0, 16 * kPage);
        kernel.regions[0].capabilities = std::move(capabilities);
        kernel.regions[0].first = first;
        kernel.regions[0].argsz = argsz;
        return message_of([&] { open_device(kernel); });
    };
    EXPECT_EQ(refused(sparse({{0, kPage}}), 32), "");
    EXPECT_THAT(refused(sparse({{0, kPage}}, 32), 32), HasSubstr("no chain")) << "a loop";
    EXPECT_THAT(refused(sparse({{0, kPage}}), 4096), HasSubstr("no chain"));
    EXPECT_THAT(refused(sparse({{0, kPage}}), 8), HasSubstr("no chain"));
    EXPECT_THAT(refused(sparse({{0, 17 * kPage}}), 32), HasSubstr("not within it"));
    EXPECT_THAT(refused(sparse({{16 * kPage, kPage}}), 32), HasSubstr("not within it"));
    EXPECT_THAT(refused(sparse({{~std::uint64_t{0}, kPage}}), 32), HasSubstr("not within it"));
    EXPECT_THAT(refused(sparse({{1, kPage}}), 32), HasSubstr("not within it"));
    EXPECT_THAT(refused(sparse({{0, kPage + 1}}), 32), HasSubstr("not within it"));
    EXPECT_THAT(refused(sparse({{0, 2 * kPage}, {kPage, kPage}}), 32), HasSubstr("not within it"));
    auto many = sparse({{0, kPage}});
    many[8] = std::byte{0xff};
    EXPECT_THAT(refused(many, 32), HasSubstr("not within it")) << "more areas than bytes";
    EXPECT_THAT(refused(sparse({}), 32, 1U << 20), HasSubstr("bytes")) << "a size without end";
    EXPECT_THAT(refused(sparse({}), 32, ~0U), HasSubstr("bytes"));
}

TEST(VfioDevice, CountsAShortTransferAsNone) {
    FakeKernel kernel;
    kernel.set_bar(0, kPage);
    const VfioDevice device = open_device(kernel);
    std::array<std::byte, 4> data{};
    EXPECT_TRUE(device.read(device.region(0), 0, data));
    EXPECT_EQ(device.write(device.region(0), 0, data), 0);
    kernel.short_by = 1;
    EXPECT_FALSE(device.read(device.region(0), 0, data));
    EXPECT_EQ(device.write(device.region(0), 0, data), EIO);
}

TEST(VfioDevice, DoesNotAskForWhatIsOutsideOfARegion) {
    FakeKernel kernel;
    kernel.set_bar(0, kPage);
    const VfioDevice device = open_device(kernel);
    std::array<std::byte, 4> data{};
    kernel.reads = 0;
    EXPECT_FALSE(device.read(device.region(0), kPage - 3, data));
    EXPECT_FALSE(device.read(device.region(0), ~std::uint64_t{0}, data));
    EXPECT_FALSE(device.read(device.region(1), 0, data));
    EXPECT_EQ(device.write(device.region(0), kPage, data), EINVAL);
    EXPECT_EQ(kernel.reads, 0);
    EXPECT_TRUE(kernel.writes.empty());
}

TEST(VfioDevice, AlignsMappingsForHugePages) {
    FakeKernel kernel;
    kernel.set_bar(0, std::uint64_t{4} << 30);
    kernel.set_bar(2, 64 * kPage);
    const VfioDevice device = open_device(kernel);
    static_cast<void>(device.map(device.region(0), {0, std::uint64_t{4} << 30}));
    EXPECT_EQ(kernel.maps.back().alignment, std::uint64_t{1} << 30);
    EXPECT_EQ(kernel.maps.back().offset, 0U);
    static_cast<void>(device.map(device.region(2), {8 * kPage, 56 * kPage}));
    EXPECT_EQ(kernel.maps.back().alignment, 8 * kPage) << "as its place allows";
    EXPECT_EQ(kernel.maps.back().offset, (std::uint64_t{2} << 40) + 8 * kPage);
}

TEST(VfioDevice, EnablesAndDisablesInterrupts) {
    FakeKernel kernel;
    const VfioDevice device = open_device(kernel);
    const std::array eventfds = {5, -1, 7};
    EXPECT_EQ(device.enable_irqs(VfioDevice::Irqs::Msix, eventfds), 0);
    EXPECT_EQ(kernel.irq_calls.back().index, 2U);
    EXPECT_EQ(kernel.irq_calls.back().eventfds, (std::vector<int>{5, -1, 7}));
    EXPECT_EQ(device.disable_irqs(VfioDevice::Irqs::Msix), 0);
    EXPECT_EQ(kernel.irq_calls.back().count, 0U);
    EXPECT_EQ(kernel.irq_calls.back().flags,
              std::uint32_t{VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER});
    EXPECT_EQ(device.unmask_intx_by(9), 0);
    EXPECT_EQ(kernel.irq_calls.back().eventfds, std::vector<int>{9});
    EXPECT_EQ(kernel.irq_calls.back().flags,
              std::uint32_t{VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK});
    EXPECT_EQ(device.enable_irqs(VfioDevice::Irqs::Msi, {}), EINVAL);
}

TEST(VfioDevice, PassesOnWhyInterruptsAndResetsFail) {
    FakeKernel kernel;
    const VfioDevice device = open_device(kernel);
    const std::array eventfds = {5, 6, 7};
    kernel.message_limit = 2;
    unsigned fitting = 0;
    EXPECT_EQ(device.enable_irqs(VfioDevice::Irqs::Msix, eventfds, &fitting), ENOSPC);
    EXPECT_EQ(fitting, 2U);
    for (const int error : {EINVAL, EBUSY, ENOMEM, ENOSPC, EPERM}) {
        kernel.answers[VFIO_DEVICE_SET_IRQS] = -error;
        kernel.answers[VFIO_DEVICE_RESET] = -error;
        EXPECT_EQ(device.enable_irqs(VfioDevice::Irqs::Msi, eventfds), error);
        EXPECT_EQ(device.disable_irqs(VfioDevice::Irqs::Msi), error);
        EXPECT_EQ(device.unmask_intx_by(5), error);
        EXPECT_EQ(device.reset(), error);
    }
}

}  // namespace
}  // namespace cxlvm::vfio
