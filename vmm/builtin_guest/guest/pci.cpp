// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/pci.hpp"

#include "vmm/builtin_guest/guest/machine.hpp"

// Configuration space: PCI Express Base Specification 6.0, 7.2.2 (ECAM) and 7.5.1 (header); PCI
// Local Bus Specification 3.0, 3.2.2.3.2 (ports).
namespace guest {
namespace {

constexpr std::uint16_t kAddressPort = 0xcf8;
constexpr std::uint16_t kDataPort = 0xcfc;
constexpr std::uint32_t kNoFunction = 0xffff;  // vendor id
constexpr std::uint8_t kBridge = 1;            // header layout
constexpr std::uint8_t kMultiFunction = 1U << 7;
constexpr unsigned kDevices = 32;
constexpr unsigned kFunctions = 8;
constexpr unsigned kBuses = 256;
constexpr unsigned kMostListed = 32;

struct Address {
    unsigned bus;
    unsigned device;
    unsigned function;
};

class Scan {
  public:
    Scan(Console& console, const MemoryMap& map, const AcpiFacts& acpi)
        : console_(console), acpi_(acpi) {
        const std::uint64_t size = (std::uint64_t{acpi.last_bus} + 1) << 20;
        has_ecam_ = acpi.ecam != 0 && acpi.first_bus == 0 && map.is_device(acpi.ecam, size);
    }

    void run() {
        queue_[0] = 0;
        seen_[0] = true;
        unsigned next = 0;
        do {
            for (; next < queued_; ++next) {
                scan_bus(queue_[next]);
            }
        } while (find_host_bridge());
        summarize();
    }

  private:
    std::uint32_t read_ports(Address at, unsigned offset) const {
        out32(kAddressPort, 1U << 31 | at.bus << 16 | at.device << 11 | at.function << 8 | offset);
        return in32(kDataPort);
    }
    std::uint32_t read_ecam(Address at, unsigned offset) const {
        return device_register<std::uint32_t>(
            acpi_.ecam + (at.bus << 20 | at.device << 15 | at.function << 12 | offset));
    }
    std::uint32_t read(Address at, unsigned offset) {
        const std::uint32_t by_ports = read_ports(at, offset);
        if (!has_ecam_ || at.bus > acpi_.last_bus) {
            return by_ports;
        }
        const std::uint32_t by_ecam = read_ecam(at, offset);
        if (by_ecam != by_ports) {
            ++mismatches_;
        }
        return by_ecam;
    }

    void scan_bus(unsigned bus) {
        for (unsigned device = 0; device < kDevices; ++device) {
            unsigned functions = 1;
            for (unsigned function = 0; function < functions; ++function) {
                const Address at{bus, device, function};
                const std::uint32_t id = read(at, 0x00);
                if ((id & 0xffff) == kNoFunction) {
                    continue;
                }
                const auto header = static_cast<std::uint8_t>(read(at, 0x0c) >> 16);
                if (function == 0 && (header & kMultiFunction) != 0) {
                    functions = kFunctions;
                }
                list(at, id, read(at, 0x08));
                if ((header & 0x7f) == kBridge) {
                    follow(read(at, 0x18) >> 8 & 0xff);
                }
            }
        }
    }

    /// Root buses of further host bridges are found by their device 0.
    bool find_host_bridge() {
        for (; candidate_ <= acpi_.last_bus; ++candidate_) {
            if (!seen_[candidate_] && (read({candidate_, 0, 0}, 0x00) & 0xffff) != kNoFunction) {
                follow(candidate_);
                return true;
            }
        }
        return false;
    }

    void follow(unsigned bus) {
        if (!seen_[bus]) {
            seen_[bus] = true;
            queue_[queued_++] = static_cast<std::uint8_t>(bus);
        }
    }

    void list(Address at, std::uint32_t id, std::uint32_t class_code) {
        if (found_++ < kMostListed) {
            console_.line(found_ == 1 ? "pci" : "", Hex{at.bus, 2}, ':', Hex{at.device, 2}, '.',
                          Hex{at.function}, ' ', Hex{id & 0xffff, 4}, ':', Hex{id >> 16, 4},
                          " class ", Hex{class_code >> 8, 6});
        }
    }

    void summarize() {
        console_.print(Column{found_ == 0 ? "pci" : "", 10}, found_, " functions on ", queued_,
                       " buses; ");
        if (!has_ecam_) {
            console_.print("no ECAM, by ports alone\n");
        } else {
            console_.print("ECAM at ", Hex{acpi_.ecam, 8});
            if (mismatches_ == 0) {
                console_.print(" and ports cf8/cfc agree\n");
            } else {
                console_.print(" and ports cf8/cfc DIFFER in ", mismatches_, " reads\n");
            }
        }
    }

    Console& console_;
    const AcpiFacts& acpi_;
    bool has_ecam_ = false;
    bool seen_[kBuses] = {};
    std::uint8_t queue_[kBuses] = {};
    unsigned queued_ = 1;
    unsigned candidate_ = 1;
    unsigned found_ = 0;
    unsigned mismatches_ = 0;
};

}  // namespace

void report_pci(Console& console, const MemoryMap& map, const AcpiFacts& acpi) {
    Scan(console, map, acpi).run();
}

}  // namespace guest
