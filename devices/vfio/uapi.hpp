// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's VFIO interface, with every request number and size that we use asserted, and what is
// newer than the 6.1 headers. Include this instead of <linux/vfio.h>.
#include <linux/ioctl.h>
#include <linux/vfio.h>

#include <cstddef>
#include <cstdint>

namespace cxlvm::vfio::abi {

// Device files and iommufd (Linux 6.6: include/uapi/linux/vfio.h and iommufd.h).

/// VFIO_DEVICE_BIND_IOMMUFD: the device file belongs to an iommufd from now on.
struct BindIommufd {
    std::uint32_t argsz;
    std::uint32_t flags;
    std::int32_t iommufd;
    std::uint32_t out_devid;
};
inline constexpr unsigned long kBindIommufd = _IO(VFIO_TYPE, VFIO_BASE + 18);

/// VFIO_DEVICE_ATTACH_IOMMUFD_PT: the device's DMA goes through an I/O address space.
struct AttachIommufd {
    std::uint32_t argsz;
    std::uint32_t flags;
    std::uint32_t pt_id;
};
inline constexpr unsigned long kAttachIommufd = _IO(VFIO_TYPE, VFIO_BASE + 19);

/// IOMMU_IOAS_ALLOC: a new I/O address space.
struct IoasAlloc {
    std::uint32_t size;
    std::uint32_t flags;
    std::uint32_t out_ioas_id;
};
inline constexpr unsigned long kIoasAlloc = _IO(VFIO_TYPE, 0x81);

/// IOMMU_IOAS_MAP.
struct IoasMap {
    std::uint32_t size;
    std::uint32_t flags;
    std::uint32_t ioas_id;
    std::uint32_t reserved;
    std::uint64_t user_va;
    std::uint64_t length;
    std::uint64_t iova;
};
inline constexpr unsigned long kIoasMap = _IO(VFIO_TYPE, 0x85);
inline constexpr std::uint32_t kIoasMapFixed = 1U << 0;
inline constexpr std::uint32_t kIoasMapWriteable = 1U << 1;
inline constexpr std::uint32_t kIoasMapReadable = 1U << 2;

/// IOMMU_IOAS_UNMAP.
struct IoasUnmap {
    std::uint32_t size;
    std::uint32_t ioas_id;
    std::uint64_t iova;
    std::uint64_t length;
};
inline constexpr unsigned long kIoasUnmap = _IO(VFIO_TYPE, 0x86);

/// vfio_region_info_cap_sparse_mmap without the areas behind it, which C++ has no type for.
struct SparseMmap {
    vfio_info_cap_header header;
    std::uint32_t nr_areas;
    std::uint32_t reserved;
};
static_assert(sizeof(SparseMmap) == offsetof(vfio_region_info_cap_sparse_mmap, areas));

static_assert(sizeof(BindIommufd) == 16 && kBindIommufd == 0x3b76);
static_assert(sizeof(AttachIommufd) == 12 && kAttachIommufd == 0x3b77);
static_assert(sizeof(IoasAlloc) == 12 && kIoasAlloc == 0x3b81);
static_assert(sizeof(IoasMap) == 40 && kIoasMap == 0x3b85);
static_assert(sizeof(IoasUnmap) == 24 && kIoasUnmap == 0x3b86);

// Of the container and the group.
static_assert(VFIO_API_VERSION == 0);
static_assert(VFIO_TYPE1v2_IOMMU == 3);
static_assert(VFIO_GET_API_VERSION == 0x3b64);
static_assert(VFIO_CHECK_EXTENSION == 0x3b65);
static_assert(VFIO_SET_IOMMU == 0x3b66);
static_assert(VFIO_GROUP_GET_STATUS == 0x3b67);
static_assert(VFIO_GROUP_SET_CONTAINER == 0x3b68);
static_assert(VFIO_GROUP_GET_DEVICE_FD == 0x3b6a);
static_assert(VFIO_IOMMU_MAP_DMA == 0x3b71);
static_assert(VFIO_IOMMU_UNMAP_DMA == 0x3b72);
static_assert(sizeof(vfio_group_status) == 8);
static_assert(sizeof(vfio_iommu_type1_dma_map) == 32);
static_assert(sizeof(vfio_iommu_type1_dma_unmap) == 24);

// Of the device.
static_assert(VFIO_DEVICE_GET_INFO == 0x3b6b);
static_assert(VFIO_DEVICE_GET_REGION_INFO == 0x3b6c);
static_assert(VFIO_DEVICE_GET_IRQ_INFO == 0x3b6d);
static_assert(VFIO_DEVICE_SET_IRQS == 0x3b6e);
static_assert(VFIO_DEVICE_RESET == 0x3b6f);
static_assert(sizeof(vfio_region_info) == 32);
static_assert(sizeof(vfio_irq_info) == 16);
static_assert(sizeof(vfio_irq_set) == 20);
static_assert(sizeof(vfio_info_cap_header) == 8);
static_assert(sizeof(SparseMmap) == 16);
static_assert(sizeof(vfio_region_sparse_mmap_area) == 16);
static_assert(sizeof(vfio_region_info_cap_type) == 16);
static_assert(VFIO_PCI_CONFIG_REGION_INDEX == 7);
static_assert(VFIO_PCI_INTX_IRQ_INDEX == 0 && VFIO_PCI_MSI_IRQ_INDEX == 1 &&
              VFIO_PCI_MSIX_IRQ_INDEX == 2);

}  // namespace cxlvm::vfio::abi
