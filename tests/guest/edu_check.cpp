// SPDX-License-Identifier: Apache-2.0
// edu_check BDF [intx UIO]: drives QEMU's educational device (docs/specs/edu.rst) at that PCI
// address, with no driver bound to it: its registers, its MSI, and its DMA engine from and to this
// machine's memory. With intx it takes its interrupts by the pin, through uio_pci_generic. Each
// line begins with "edu: "; what went wrong with "edu: wrong: ".
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "tests/guest/physical_area.hpp"

namespace {

constexpr std::size_t kBarSize = 1U << 20;
constexpr unsigned kPages = 16;
constexpr unsigned kInterrupts = 200;

// Registers of the device.
constexpr std::size_t kIdentification = 0x00;
constexpr std::size_t kLiveness = 0x04;
constexpr std::size_t kFactorial = 0x08;
constexpr std::size_t kStatus = 0x20;
constexpr std::size_t kInterruptStatus = 0x24;
constexpr std::size_t kInterruptRaise = 0x60;
constexpr std::size_t kInterruptAcknowledge = 0x64;
constexpr std::size_t kDmaSource = 0x80;
constexpr std::size_t kDmaTarget = 0x88;
constexpr std::size_t kDmaCount = 0x90;
constexpr std::size_t kDmaCommand = 0x98;
constexpr std::uint64_t kBuffer = 0x40000;  // the device's own
constexpr std::uint64_t kStart = 1;
constexpr std::uint64_t kToMemory = 2;

// Of the configuration space.
constexpr std::size_t kCommand = 4;
constexpr std::uint16_t kMemoryAndMaster = 0x6;
constexpr std::uint16_t kMemoryAlone = 0x2;
constexpr std::size_t kCapabilities = 0x34;
constexpr std::uint8_t kMsi = 5;

/// Linux counts what comes in with this vector and does nothing else about it (PIN in
/// /proc/interrupts), so an MSI can name it without a driver.
constexpr std::uint16_t kCountedVector = 0xf2;

int failures = 0;

void wrong(const std::string& what) {
    std::printf("edu: wrong: %s\n", what.c_str());
    ++failures;
}

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::printf("edu: wrong: %s\n", what);
    std::exit(1);
}

void expect(const char* what, std::uint64_t seen, std::uint64_t expected) {
    if (seen != expected) {
        std::array<char, 160> text{};
        std::snprintf(text.data(), text.size(), "%s: %#llx, expected %#llx", what,
                      static_cast<unsigned long long>(seen),
                      static_cast<unsigned long long>(expected));
        wrong(text.data());
    }
}

/// Waits up to two seconds.
template <typename Condition>
bool await(Condition&& condition) {
    for (int i = 0; i < 2000; ++i) {
        if (condition()) {
            return true;
        }
        ::usleep(1000);
    }
    return false;
}

class Device {
  public:
    explicit Device(const std::string& folder)
        : config_(::open((folder + "/config").c_str(), O_RDWR)) {
        const int bar = ::open((folder + "/resource0").c_str(), O_RDWR);
        if (config_ < 0 || bar < 0) {
            fail("the device's files");
        }
        set_config<std::uint16_t>(kCommand, kMemoryAndMaster);
        void* const base = ::mmap(nullptr, kBarSize, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
        if (base == MAP_FAILED) {
            fail("resource0");
        }
        base_ = static_cast<unsigned char*>(base);
    }
    [[nodiscard]] std::uint32_t get(std::size_t offset) const {
        return *reinterpret_cast<volatile std::uint32_t*>(base_ + offset);
    }
    void set(std::size_t offset, std::uint32_t value) const {
        *reinterpret_cast<volatile std::uint32_t*>(base_ + offset) = value;
    }
    [[nodiscard]] std::uint64_t get64(std::size_t offset) const {
        return *reinterpret_cast<volatile std::uint64_t*>(base_ + offset);
    }
    void set64(std::size_t offset, std::uint64_t value) const {
        *reinterpret_cast<volatile std::uint64_t*>(base_ + offset) = value;
    }
    template <typename T>
    [[nodiscard]] T config(std::size_t offset) const {
        T value{};
        if (::pread(config_, &value, sizeof(T), static_cast<off_t>(offset)) != sizeof(T)) {
            fail("config");
        }
        return value;
    }
    template <typename T>
    void set_config(std::size_t offset, T value) const {
        if (::pwrite(config_, &value, sizeof(T), static_cast<off_t>(offset)) != sizeof(T)) {
            fail("config");
        }
    }
    [[nodiscard]] std::size_t capability(std::uint8_t id) const {
        std::size_t at = config<std::uint8_t>(kCapabilities);
        for (int i = 0; at != 0 && i < 48; ++i) {
            if (config<std::uint8_t>(at) == id) {
                return at;
            }
            at = config<std::uint8_t>(at + 1);
        }
        return 0;
    }

  private:
    int config_;
    unsigned char* base_ = nullptr;
};

using Area = PhysicalArea<kPages>;

void check_registers(const Device& device) {
    expect("identification", device.get(kIdentification), 0x010000edU);
    std::uint32_t pattern = 0x1234'5678;
    for (int i = 0; i < 100; ++i) {
        device.set(kLiveness, pattern);
        expect("liveness", device.get(kLiveness), ~pattern);
        pattern = pattern * 1664525U + 1013904223U;
    }
    std::uint32_t factorial = 1;
    for (std::uint32_t n = 1; n <= 12; ++n) {
        factorial *= n;
        device.set(kFactorial, n);
        if (!await([&] { return (device.get(kStatus) & 1U) == 0; })) {
            wrong("the factorial takes for ever");
        }
        expect("factorial", device.get(kFactorial), factorial);
    }
    std::printf("edu: registers and 12 factorials checked\n");
}

std::uint64_t counted() {
    std::ifstream file("/proc/interrupts");
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string name;
        words >> name;
        std::uint64_t sum = 0;
        if (name == "PIN:") {
            for (std::uint64_t one = 0; words >> one;) {
                sum += one;
            }
            return sum;
        }
    }
    fail("no PIN in /proc/interrupts");
}

void check_msi(const Device& device) {
    const std::size_t msi = device.capability(kMsi);
    if (msi == 0) {
        wrong("no MSI capability");
        return;
    }
    device.set_config<std::uint32_t>(msi + 4, 0xfee0'0000);
    device.set_config<std::uint32_t>(msi + 8, 0);
    device.set_config<std::uint16_t>(msi + 12, kCountedVector);
    device.set_config<std::uint16_t>(msi + 2, 1);
    const std::uint64_t before = counted();
    for (unsigned i = 1; i <= kInterrupts; ++i) {
        device.set(kInterruptRaise, i);
        expect("interrupt status", device.get(kInterruptStatus), i);
        if (!await([&] { return counted() >= before + i; })) {
            wrong("an MSI did not come");
            return;
        }
        device.set(kInterruptAcknowledge, i);
    }
    expect("MSIs", counted() - before, kInterrupts);

    // Masked: nothing comes; unmasked: what came in between does, once.
    device.set_config<std::uint32_t>(msi + 16, 1);
    device.set(kInterruptRaise, 1);
    device.set(kInterruptAcknowledge, 1);
    ::usleep(50'000);
    expect("MSIs while masked", counted() - before, kInterrupts);
    device.set_config<std::uint32_t>(msi + 16, 0);
    if (!await([&] { return counted() > before + kInterrupts; })) {
        wrong("what came while masked is lost");
    }
    expect("MSIs after that", counted() - before, kInterrupts + 1);

    device.set_config<std::uint16_t>(msi + 2, 0);
    device.set(kInterruptRaise, 1);
    device.set(kInterruptAcknowledge, 1);
    ::usleep(50'000);
    expect("MSIs when disabled", counted() - before, kInterrupts + 1);
    std::printf("edu: %u MSIs counted\n", kInterrupts + 1);
}

bool dma(const Device& device, std::uint64_t source, std::uint64_t target, std::uint64_t bytes,
         std::uint64_t command) {
    device.set64(kDmaSource, source);
    device.set64(kDmaTarget, target);
    device.set64(kDmaCount, bytes);
    device.set64(kDmaCommand, kStart | command);
    return await([&] { return (device.get64(kDmaCommand) & kStart) == 0; });
}

void check_dma(const Device& device, const Area& area) {
    unsigned char* const from = area.page(0);
    for (unsigned page = 1; page < kPages; ++page) {
        for (std::size_t i = 0; i < kPage; ++i) {
            from[i] = static_cast<unsigned char>(i * 31 + page * 7 + i / 251);
        }
        std::memset(area.page(page), 0, kPage);
        if (!dma(device, area.physical(0), kBuffer, kPage, 0) ||
            !dma(device, kBuffer, area.physical(page), kPage, kToMemory)) {
            wrong("DMA does not end");
            return;
        }
        if (std::memcmp(from, area.page(page), kPage) != 0) {
            wrong("DMA brought other bytes to page " + std::to_string(page));
        }
    }
    // A function that may not master the bus reaches nothing.
    std::memset(area.page(1), 0x5a, kPage);
    device.set_config<std::uint16_t>(kCommand, kMemoryAlone);
    if (!dma(device, kBuffer, area.physical(1), kPage, kToMemory)) {
        wrong("DMA does not end without Bus Master Enable");
    }
    device.set_config<std::uint16_t>(kCommand, kMemoryAndMaster);
    for (std::size_t i = 0; i < kPage; ++i) {
        if (area.page(1)[i] != 0x5a) {
            wrong("DMA without Bus Master Enable");
            break;
        }
    }
    std::printf("edu: DMA of %u pages checked\n", kPages - 1);
}

/// uio_pci_generic disables the pin for each interrupt that it takes, and counts them.
void check_intx(const Device& device, const std::string& uio) {
    const int fd = ::open(uio.c_str(), O_RDWR);
    if (fd < 0) {
        fail(uio.c_str());
    }
    constexpr std::uint16_t kDisable = 0x400;
    const auto enable = [&] {
        const auto command = device.config<std::uint16_t>(kCommand);
        device.set_config<std::uint16_t>(kCommand, static_cast<std::uint16_t>(command & ~kDisable));
    };
    unsigned seen = 0;
    for (unsigned i = 1; i <= kInterrupts; ++i) {
        enable();
        device.set(kInterruptRaise, i);
        pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
        std::uint32_t count = 0;
        if (::poll(&waiting, 1, 2000) != 1 || ::read(fd, &count, 4) != 4) {
            wrong("INTx number " + std::to_string(i) + " did not come");
            return;
        }
        if (i > 1) {
            expect("INTx count", count, seen + 1);
        }
        seen = count;
        device.set(kInterruptAcknowledge, i);
    }
    enable();
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    expect("INTx without a cause", static_cast<std::uint64_t>(::poll(&waiting, 1, 100)), 0);
    std::printf("edu: %u INTx counted\n", kInterrupts);
    ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 && argc != 4) {
        std::fprintf(stderr, "usage: edu_check BDF [intx UIO]\n");
        return 2;
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const Device device(std::string("/sys/bus/pci/devices/") + argv[1]);
    if (argc == 4) {
        check_intx(device, argv[3]);
    } else {
        const Area area;
        check_registers(device);
        check_msi(device);
        check_dma(device, area);
    }
    std::printf("edu: %d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
