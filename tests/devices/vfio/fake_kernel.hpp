// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "devices/vfio/dma_space.hpp"
#include "devices/vfio/kernel.hpp"
#include "devices/vfio/uapi.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio::test {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

template <typename T>
void append(std::vector<std::byte>& bytes, const T& value) {
    const auto more = bytes_of(value);
    bytes.insert(bytes.end(), more.begin(), more.end());
}

/// A kernel with one device at 0000:41:00.0, which each test scripts: what it answers is data.
class FakeKernel final : public Kernel {
  public:
    struct Region {
        std::uint32_t flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
        std::uint64_t size = 0;
        std::uint64_t offset = 0;
        std::vector<std::byte> capabilities{};  ///< what stands behind vfio_region_info
        std::uint32_t first = 0;                ///< cap_offset
        std::uint32_t argsz = 0;                ///< 0: the true one
    };
    struct IrqCall {
        std::uint32_t flags;
        std::uint32_t index;
        std::uint32_t count;
        std::vector<int> eventfds;
    };
    struct DmaCall {
        bool map;
        std::uint64_t iova;
        std::uint64_t size;
        bool writable;
        friend bool operator==(const DmaCall&, const DmaCall&) = default;
    };
    static constexpr const char* kFolder = "/sys/devices/pci0000:40/0000:41:00.0";

    FakeKernel() {
        for (const char* path : {"/dev/vfio/vfio", "/dev/vfio/7"}) {
            files[path] = 0;
        }
        real_paths["/sys/bus/pci/devices/0000:41:00.0"] = kFolder;
        links[std::string(kFolder) + "/driver"] = "vfio-pci";
        links[std::string(kFolder) + "/iommu_group"] = "7";
        for (std::uint32_t i = 0; i < 9; ++i) {
            regions[i] = {.offset = std::uint64_t{i} << 40};
        }
        regions[VfioConfig].size = 4096;
        irqs = {{1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED},
                {0, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE},
                {0, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE}};
    }

    static constexpr std::uint32_t VfioConfig = 7;

    int open(const std::string& path) noexcept override {
        const auto file = files.find(path);
        if (file == files.end()) {
            return -ENOENT;
        }
        return file->second < 0 ? file->second : new_file(path);
    }
    /// A descriptor that is open and means nothing.
    static int new_descriptor() { return ::open("/dev/null", O_RDWR | O_CLOEXEC); }
    int new_file(const std::string& path) {
        const int fd = new_descriptor();
        opened[fd] = path;
        return fd;
    }

    int ioctl(int /*fd*/, unsigned long request, std::uintptr_t argument) noexcept override {
        calls.push_back(request);
        if (request == VFIO_DEVICE_RESET && on_reset) {
            on_reset();
        }
        if (const auto answer = answers.find(request); answer != answers.end()) {
            return answer->second;
        }
        switch (request) {
            case VFIO_GET_API_VERSION:
                return VFIO_API_VERSION;
            case VFIO_CHECK_EXTENSION:
                return argument == VFIO_TYPE1v2_IOMMU ? 1 : 0;
            case VFIO_GROUP_GET_STATUS:
                reinterpret_cast<vfio_group_status*>(argument)->flags = group_flags;
                return 0;
            case VFIO_GROUP_GET_DEVICE_FD:
                asked_device = reinterpret_cast<const char*>(argument);
                return new_file("device");
            case VFIO_DEVICE_GET_INFO: {
                auto& info = *reinterpret_cast<vfio_device_info*>(argument);
                info.flags = device_flags;
                info.num_regions = region_count;
                info.num_irqs = static_cast<std::uint32_t>(irqs.size());
                return 0;
            }
            case VFIO_DEVICE_GET_REGION_INFO:
                return describe(argument);
            case VFIO_DEVICE_GET_IRQ_INFO: {
                auto& info = *reinterpret_cast<vfio_irq_info*>(argument);
                info.count = irqs[info.index].first;
                info.flags = irqs[info.index].second;
                return 0;
            }
            case VFIO_DEVICE_SET_IRQS:
                return set_irqs(argument);
            case VFIO_DEVICE_RESET:
                ++resets;
                return 0;
            case VFIO_IOMMU_MAP_DMA: {
                const auto& map = *reinterpret_cast<vfio_iommu_type1_dma_map*>(argument);
                dma.push_back({true, map.iova, map.size, (map.flags & 2U) != 0});
                return 0;
            }
            case VFIO_IOMMU_UNMAP_DMA: {
                const auto& unmap = *reinterpret_cast<vfio_iommu_type1_dma_unmap*>(argument);
                dma.push_back({false, unmap.iova, unmap.size, false});
                return 0;
            }
            case abi::kIoasAlloc:
                reinterpret_cast<abi::IoasAlloc*>(argument)->out_ioas_id = 42;
                return 0;
            case abi::kAttachIommufd:
                attached_to = reinterpret_cast<abi::AttachIommufd*>(argument)->pt_id;
                return 0;
            case abi::kIoasMap: {
                const auto& map = *reinterpret_cast<abi::IoasMap*>(argument);
                dma.push_back({true, map.iova, map.length, (map.flags & 2U) != 0});
                return 0;
            }
            case abi::kIoasUnmap: {
                const auto& unmap = *reinterpret_cast<abi::IoasUnmap*>(argument);
                dma.push_back({false, unmap.iova, unmap.length, false});
                return 0;
            }
            default:
                return 0;
        }
    }

    std::ptrdiff_t read(int /*fd*/, std::uint64_t offset,
                        std::span<std::byte> data) noexcept override {
        ++reads;
        if (short_by != 0) {
            return std::ssize(data) - short_by;
        }
        const auto at = place(offset, data.size());
        if (at.empty()) {
            return -EINVAL;
        }
        std::ranges::copy(at, data.begin());
        return std::ssize(data);
    }
    std::ptrdiff_t write(int /*fd*/, std::uint64_t offset,
                         std::span<const std::byte> data) noexcept override {
        writes.emplace_back(offset & ((std::uint64_t{1} << 40) - 1),
                            std::vector<std::byte>(data.begin(), data.end()));
        if (write_error != 0) {
            return -write_error;
        }
        if (short_by != 0) {
            return std::ssize(data) - short_by;
        }
        const auto at = place(offset, data.size());
        if (at.empty()) {
            return -EINVAL;
        }
        std::ranges::copy(data, at.begin());
        return std::ssize(data);
    }
    io::Mapping map(const io::Mapping::Options& options, const std::string& what) override {
        maps.push_back(
            {.size = options.size, .offset = options.offset, .alignment = options.alignment});
        return {{.size = options.size,
                 .protection = PROT_READ | PROT_WRITE,
                 .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE},
                what};
    }
    std::optional<std::string> link_name(const std::string& path) override {
        const auto link = links.find(path);
        return link == links.end() ? std::nullopt : std::optional(link->second);
    }
    std::vector<std::string> names_in(const std::string& folder) override {
        return folders[folder];
    }
    std::optional<std::string> real_path(const std::string& path) override {
        const auto real = real_paths.find(path);
        return real == real_paths.end() ? std::nullopt : std::optional(real->second);
    }
    std::optional<std::string> device_folder(int /*fd*/) override { return std::nullopt; }

    template <typename T>
    void set_config(std::size_t offset, T value) {
        std::memcpy(config.data() + offset, &value, sizeof(T));
    }
    template <typename T>
    [[nodiscard]] T get_config(std::size_t offset) const {
        T value{};
        std::memcpy(&value, config.data() + offset, sizeof(T));
        return value;
    }
    /// A memory BAR of `size` bytes that can be mapped.
    void set_bar(std::uint32_t index, std::uint64_t size, std::uint32_t flags = 0) {
        regions[index].size = size;
        regions[index].flags |= VFIO_REGION_INFO_FLAG_MMAP;
        set_config<std::uint32_t>(0x10 + 4 * std::size_t{index}, flags);
        bars[index].resize(std::min<std::uint64_t>(size, 1U << 20));
    }

    // What there is.
    std::map<std::string, int> files;  ///< 0 or what opening answers
    std::map<std::string, std::string> links;
    std::map<std::string, std::vector<std::string>> folders;
    std::map<std::string, std::string> real_paths;
    std::map<unsigned long, int> answers;  ///< instead of doing what the request asks for
    std::uint32_t group_flags = VFIO_GROUP_FLAGS_VIABLE;
    std::uint32_t device_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
    std::uint32_t region_count = 9;
    std::map<std::uint32_t, Region> regions;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> irqs;  ///< count and flags
    std::array<std::byte, 4096> config{};
    std::map<std::uint32_t, std::vector<std::byte>> bars;
    std::ptrdiff_t short_by = 0;
    std::function<void()> on_reset;    ///< called while a reset runs
    int write_error = 0;               ///< what writing answers; 0: it writes
    std::optional<int> message_limit;  ///< most vectors that can be enabled

    // What was done.
    std::vector<unsigned long> calls;
    std::map<int, std::string> opened;
    std::string asked_device;
    std::vector<IrqCall> irq_calls;
    std::vector<DmaCall> dma;
    std::vector<io::Mapping::Options> maps;
    std::vector<std::pair<std::uint64_t, std::vector<std::byte>>> writes;
    std::uint32_t attached_to = 0;
    int resets = 0;
    int reads = 0;

  private:
    int describe(std::uintptr_t argument) {
        vfio_region_info info{};
        std::memcpy(&info, reinterpret_cast<const void*>(argument), sizeof(info));
        const Region& region = regions[info.index];
        const std::size_t room = info.argsz;
        info.flags = region.flags;
        info.size = region.size;
        info.offset = region.offset;
        const std::size_t whole = sizeof(info) + region.capabilities.size();
        if (!region.capabilities.empty() || region.first != 0) {
            info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
        }
        info.argsz = region.argsz != 0 ? region.argsz : static_cast<std::uint32_t>(whole);
        if (room >= whole) {
            info.cap_offset = region.first;
            std::ranges::copy(region.capabilities,
                              reinterpret_cast<std::byte*>(argument) + sizeof(info));
        }
        std::memcpy(reinterpret_cast<void*>(argument), &info, sizeof(info));
        return 0;
    }

    int set_irqs(std::uintptr_t argument) {
        vfio_irq_set set{};
        std::memcpy(&set, reinterpret_cast<const void*>(argument), sizeof(set));
        IrqCall call{.flags = set.flags, .index = set.index, .count = set.count, .eventfds = {}};
        if ((set.flags & VFIO_IRQ_SET_DATA_EVENTFD) != 0) {
            call.eventfds.resize(set.count);
            std::memcpy(call.eventfds.data(),
                        reinterpret_cast<const std::byte*>(argument) + sizeof(set),
                        set.count * sizeof(int));
        }
        irq_calls.push_back(call);
        const bool more = message_limit && static_cast<int>(set.count) > *message_limit;
        return more ? *message_limit : 0;
    }

    std::span<std::byte> place(std::uint64_t offset, std::size_t size) {
        const auto region = static_cast<std::uint32_t>(offset >> 40);
        const std::uint64_t at = offset & ((std::uint64_t{1} << 40) - 1);
        const std::span<std::byte> bytes =
            region == VfioConfig ? std::span<std::byte>(config) : std::span(bars[region]);
        return at + size <= bytes.size() ? bytes.subspan(at, size) : std::span<std::byte>();
    }
};

/// Remembers what KVM would be told.
class FakeFiles final : public FileSink {
  public:
    void add(int fd, const std::string& name) override { added.emplace_back(fd, name); }
    std::vector<std::pair<int, std::string>> added;
};

/// What `call` throws, as text; empty when it throws nothing.
template <typename Call>
std::string message_of(Call&& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return {};
}

}  // namespace cxlvm::vfio::test
