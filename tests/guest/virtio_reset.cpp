// SPDX-License-Identifier: Apache-2.0
// virtio_reset BDF ROUNDS: drives the virtio block device at that PCI address itself, with no
// driver bound to it: makes many reads available at once, resets the device at another moment each
// round, and looks whether it leaves memory alone once it says that the reset is complete
// (virtio 1.2, 2.4.1). Prints how many reads had ended by then.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "tests/guest/physical_area.hpp"

namespace {

constexpr unsigned kReads = 64;
constexpr unsigned kQueueSize = 256;  // three elements a read
constexpr unsigned kSectorsPerRead = 8;
// Pages of the area: the queue's three parts, the headers, then a page of data a read.
constexpr unsigned kDescriptorPage = 0;
constexpr unsigned kDriverPage = 1;
constexpr unsigned kDevicePage = 2;
constexpr unsigned kHeaderPage = 3;
constexpr unsigned kDataPage = 4;
constexpr unsigned kPages = kDataPage + kReads;

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

using Area = PhysicalArea<kPages>;

struct Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags;
    std::uint16_t next;
};

/// The registers of the transport, all of which our devices have in BAR 0.
class Registers {
  public:
    explicit Registers(const std::string& folder) {
        const int config = ::open((folder + "/config").c_str(), O_RDWR);
        const std::uint16_t command = 0x6;  // memory space and bus master
        if (::pwrite(config, &command, 2, 4) != 2) {
            fail("config");
        }
        ::close(config);
        const int bar = ::open((folder + "/resource0").c_str(), O_RDWR);
        void* const base = ::mmap(nullptr, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
        if (base == MAP_FAILED) {
            fail("resource0");
        }
        base_ = static_cast<unsigned char*>(base);
    }
    template <typename T>
    [[nodiscard]] T get(std::size_t offset) const {
        return *reinterpret_cast<volatile T*>(base_ + offset);
    }
    template <typename T>
    void set(std::size_t offset, T value) const {
        *reinterpret_cast<volatile T*>(base_ + offset) = value;
    }
    void set_address(std::size_t offset, std::uint64_t value) const {
        set(offset, static_cast<std::uint32_t>(value));
        set(offset + 4, static_cast<std::uint32_t>(value >> 32U));
    }

  private:
    unsigned char* base_ = nullptr;
};

constexpr std::size_t kDriverFeatureSelect = 8;
constexpr std::size_t kDriverFeature = 12;
constexpr std::size_t kStatus = 20;
constexpr std::size_t kQueueSelect = 22;
constexpr std::size_t kQueueSizeField = 24;
constexpr std::size_t kQueueEnable = 28;
constexpr std::size_t kQueueDescriptors = 32;
constexpr std::size_t kQueueDriver = 40;
constexpr std::size_t kQueueDevice = 48;
constexpr std::size_t kNotify = 0x3000;

void reset(const Registers& device) {
    device.set<std::uint8_t>(kStatus, 0);
    while (device.get<std::uint8_t>(kStatus) != 0) {
    }
}

void set_up(const Registers& device, const Area& area) {
    device.set<std::uint8_t>(kStatus, 1);
    device.set<std::uint8_t>(kStatus, 3);
    device.set<std::uint32_t>(kDriverFeatureSelect, 0);
    device.set<std::uint32_t>(kDriverFeature, 0);
    device.set<std::uint32_t>(kDriverFeatureSelect, 1);
    device.set<std::uint32_t>(kDriverFeature, 1);  // VERSION_1
    device.set<std::uint8_t>(kStatus, 11);
    device.set<std::uint16_t>(kQueueSelect, 0);
    device.set<std::uint16_t>(kQueueSizeField, kQueueSize);
    device.set_address(kQueueDescriptors, area.physical(kDescriptorPage));
    device.set_address(kQueueDriver, area.physical(kDriverPage));
    device.set_address(kQueueDevice, area.physical(kDevicePage));
    device.set<std::uint16_t>(kQueueEnable, 1);
    device.set<std::uint8_t>(kStatus, 15);
    if (device.get<std::uint8_t>(kStatus) != 15) {
        std::puts("the device does not start");
        std::exit(1);
    }
}

void put_reads(const Area& area) {
    std::memset(area.page(kDriverPage), 0, kPage);
    std::memset(area.page(kDevicePage), 0, kPage);
    auto* const table = reinterpret_cast<Descriptor*>(area.page(kDescriptorPage));
    auto* const ring = reinterpret_cast<volatile std::uint16_t*>(area.page(kDriverPage));
    for (unsigned i = 0; i < kReads; ++i) {
        unsigned char* const header = area.page(kHeaderPage) + i * std::size_t{32};
        std::memset(header, 0, 32);  // VIRTIO_BLK_T_IN
        const std::uint64_t sector = std::uint64_t{i} * kSectorsPerRead;
        std::memcpy(header + 8, &sector, sizeof(sector));
        header[16] = 0xff;  // the status
        std::memset(area.page(kDataPage + i), 0xaa, kPage);
        const auto first = static_cast<std::uint16_t>(3 * i);
        const std::uint64_t at = area.physical(kHeaderPage) + i * std::uint64_t{32};
        table[first] = {at, 16, 1, static_cast<std::uint16_t>(first + 1)};
        table[first + 1] = {area.physical(kDataPage + i), kPage, 3,
                            static_cast<std::uint16_t>(first + 2)};
        table[first + 2] = {at + 16, 1, 2, 0};
        ring[2 + i] = first;
    }
    __sync_synchronize();
    ring[1] = kReads;
}

unsigned used(const Area& area) {
    return reinterpret_cast<volatile std::uint16_t*>(area.page(kDevicePage))[1];
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc != 3) {
        std::fputs("usage: virtio_reset BDF ROUNDS\n", stderr);
        return 2;
    }
    const Registers device(std::string("/sys/bus/pci/devices/") + arguments[1]);
    const Area area;
    static std::array<unsigned char, kPages * kPage> before;
    unsigned in_flight = 0;
    unsigned complete = 0;
    const unsigned rounds = static_cast<unsigned>(std::strtoul(arguments[2], nullptr, 10));
    for (unsigned round = 0; round < rounds; ++round) {
        reset(device);
        put_reads(area);
        set_up(device, area);
        device.set<std::uint16_t>(kNotify, 0);
        ::usleep(round % 20 * 500);
        reset(device);
        std::memcpy(before.data(), area.page(0), before.size());
        (used(area) == kReads ? complete : in_flight) += 1;
        ::usleep(20'000);
        if (std::memcmp(before.data(), area.page(0), before.size()) != 0) {
            std::printf("round %u: the device wrote memory after its reset\n", round);
            return 1;
        }
    }
    std::printf("%u resets with reads in flight, %u when all had ended\n", in_flight, complete);
    return in_flight != 0 && complete != 0 ? 0 : 1;
}
