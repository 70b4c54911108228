// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/acpi.hpp"

#include "vmm/builtin_guest/guest/machine.hpp"

// Offsets: ACPI 6.5, 5.2.
namespace guest {
namespace {

constexpr std::uint64_t kHeaderSize = 36;
constexpr std::uint64_t kRsdpSize = 36;
constexpr std::uint64_t kLargestTable = 256 << 10;
constexpr unsigned kMostTables = 32;
constexpr unsigned kMostIdsShown = 16;

constexpr std::uint32_t signature(const char (&text)[5]) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])) << (8 * i);
    }
    return value;
}

/// The bytes of a checked table.
struct Table {
    std::uint64_t address = 0;
    std::uint32_t length = 0;

    /// The T at `offset`; 0 where the table is too short.
    template <typename T>
    [[nodiscard]] T at(std::uint64_t offset) const {
        return offset <= length && sizeof(T) <= length - offset ? peek<T>(address + offset) : T{};
    }
};

bool sums_to_zero(std::uint64_t address, std::uint64_t length) {
    std::uint8_t sum = 0;
    for (std::uint64_t i = 0; i < length; ++i) {
        sum = static_cast<std::uint8_t>(sum + peek<std::uint8_t>(address + i));
    }
    return sum == 0;
}

/// A Generic Address Structure (5.2.3.2) of a byte-wide register.
AcpiRegister register_at(const Table& table, std::uint64_t offset) {
    constexpr std::uint8_t kMemory = 0;
    constexpr std::uint8_t kIo = 1;
    const auto address = table.at<std::uint64_t>(offset + 4);
    switch (table.at<std::uint8_t>(offset)) {
        case kMemory:
            return {address == 0 ? AcpiRegister::Space::None : AcpiRegister::Space::Memory,
                    address};
        case kIo:
            return {address > 0xffff ? AcpiRegister::Space::None : AcpiRegister::Space::Io,
                    address};
        default:
            return {};
    }
}

class Survey {
  public:
    Survey(Console& console, const MemoryMap& map, bool quiet)
        : console_(console), map_(map), quiet_(quiet) {}

    AcpiFacts run(std::uint64_t rsdp) {
        if (map_.readable(rsdp) < kRsdpSize) {
            say(rsdp == 0 ? "no RSDP was given" : "the RSDP is not in memory");
            return facts_;
        }
        constexpr std::uint64_t kMagic = 0x2052'5450'2044'5352;  // "RSD PTR "
        if (peek<std::uint64_t>(rsdp) != kMagic || !sums_to_zero(rsdp, kRsdpSize)) {
            say("the RSDP is broken");
            return facts_;
        }
        if (!quiet_) {
            console_.line("acpi", "RSDP ", Hex{rsdp, 8}, " revision ",
                          peek<std::uint8_t>(rsdp + 15));
        }
        const Table xsdt = open(peek<std::uint64_t>(rsdp + 24));
        const std::uint64_t count =
            xsdt.length < kHeaderSize ? 0 : (xsdt.length - kHeaderSize) / sizeof(std::uint64_t);
        for (std::uint64_t i = 0; i < count && i < kMostTables; ++i) {
            study(open(xsdt.at<std::uint64_t>(kHeaderSize + i * sizeof(std::uint64_t))));
        }
        return facts_;
    }

  private:
    void say(std::string_view what) {
        if (!quiet_) {
            console_.line("acpi", what);
        }
    }

    /// Checks and lists the table; an empty one when it is not in memory or its sum is wrong.
    Table open(std::uint64_t address) {
        Table table{address, 0};
        std::string_view verdict = "ok";
        const std::uint64_t most = map_.readable(address);
        if (most < kHeaderSize) {
            verdict = "not in memory";
        } else {
            const auto length = peek<std::uint32_t>(address + 4);
            if (length < kHeaderSize || length > most || length > kLargestTable) {
                verdict = "wrong length";
            } else if (!sums_to_zero(address, length)) {
                verdict = "wrong checksum";
            } else {
                table.length = length;
            }
        }
        if (!quiet_) {
            list(table, verdict);
        }
        return table;
    }

    void list(const Table& table, std::string_view verdict) {
        console_.print(Column{"", 10});
        if (table.length != 0) {
            put_text(table, 0, 4);
            console_.print(' ', Hex{table.address, 8}, ' ', table.length, " bytes, revision ",
                           table.at<std::uint8_t>(8), ", OEM ");
            put_text(table, 10, 6);
        } else {
            console_.print("table at ", Hex{table.address, 8});
        }
        console_.print(": ", verdict, '\n');
    }

    void put_text(const Table& table, std::uint64_t offset, unsigned length) {
        for (unsigned i = 0; i < length; ++i) {
            const auto c = static_cast<char>(table.at<std::uint8_t>(offset + i));
            if (c > ' ' && c < 0x7f) {
                console_.print(c);
            }
        }
    }

    void study(const Table& table) {
        switch (table.at<std::uint32_t>(0)) {
            case signature("FACP"):
                study_fadt(table);
                break;
            case signature("APIC"):
                study_madt(table);
                break;
            case signature("MCFG"):
                study_mcfg(table);
                break;
            default:
                break;
        }
    }

    /// 5.2.9.
    void study_fadt(const Table& fadt) {
        constexpr std::uint32_t kResetSupported = 1U << 10;
        if ((fadt.at<std::uint32_t>(112) & kResetSupported) != 0) {
            facts_.reset = register_at(fadt, 116);
            facts_.reset_value = fadt.at<std::uint8_t>(128);
        }
        facts_.sleep_control = register_at(fadt, 244);
        const auto wide = fadt.at<std::uint64_t>(140);
        study_dsdt(open(wide != 0 ? wide : fadt.at<std::uint32_t>(40)));
    }

    /// Looks for \_S5 (7.4.2.6) without an interpreter: NameOp, the name, PackageOp, a short
    /// PkgLength, the number of elements, a byte constant.
    void study_dsdt(const Table& dsdt) {
        for (std::uint64_t i = kHeaderSize; i + 12 <= dsdt.length; ++i) {
            if (dsdt.at<std::uint8_t>(i) != 0x08) {
                continue;
            }
            const std::uint64_t name = i + (dsdt.at<std::uint8_t>(i + 1) == '\\' ? 2 : 1);
            if (dsdt.at<std::uint32_t>(name) != signature("_S5_") ||
                dsdt.at<std::uint8_t>(name + 4) != 0x12 || dsdt.at<std::uint8_t>(name + 5) > 0x3f) {
                continue;
            }
            const auto first = dsdt.at<std::uint8_t>(name + 7);
            // 0 and 1 have opcodes of their own.
            facts_.soft_off_type = first == 0x0a ? dsdt.at<std::uint8_t>(name + 8) : first;
            facts_.has_soft_off = first <= 1 || first == 0x0a;
            return;
        }
    }

    /// 5.2.12: counts the processors.
    void study_madt(const Table& madt) {
        constexpr std::uint8_t kLocalApic = 0;
        constexpr std::uint8_t kLocalX2apic = 9;
        if (quiet_) {
            return;
        }
        unsigned count = 0;
        console_.print(Column{"", 10}, "  APIC ids");
        for (std::uint64_t i = 44; i + 2 <= madt.length;) {
            const auto type = madt.at<std::uint8_t>(i);
            const auto length = madt.at<std::uint8_t>(i + 1);
            if (length < 2) {
                break;  // it would not come to an end
            }
            if (type == kLocalApic || type == kLocalX2apic) {
                if (count < kMostIdsShown) {
                    console_.print(' ', type == kLocalApic ? madt.at<std::uint8_t>(i + 3)
                                                           : madt.at<std::uint32_t>(i + 4));
                }
                ++count;
            }
            i += length;
        }
        console_.print(count > kMostIdsShown ? " ...: " : ": ", count, " processors\n");
    }

    /// PCI Firmware Specification 3.3, 4.1.2: the first entry for segment 0.
    void study_mcfg(const Table& mcfg) {
        for (std::uint64_t i = 44; i + 16 <= mcfg.length; i += 16) {
            if (mcfg.at<std::uint16_t>(i + 8) == 0) {
                facts_.ecam = mcfg.at<std::uint64_t>(i);
                facts_.first_bus = mcfg.at<std::uint8_t>(i + 10);
                facts_.last_bus = mcfg.at<std::uint8_t>(i + 11);
                return;
            }
        }
    }

    Console& console_;
    const MemoryMap& map_;
    bool quiet_;
    AcpiFacts facts_;
};

}  // namespace

AcpiFacts survey_acpi(Console& console, const MemoryMap& map, std::uint64_t rsdp, bool quiet) {
    return Survey(console, map, quiet).run(rsdp);
}

void write_register(const MemoryMap& map, AcpiRegister target, std::uint8_t value) {
    if (target.space == AcpiRegister::Space::Io) {
        out8(static_cast<std::uint16_t>(target.address), value);
    } else if (target.space == AcpiRegister::Space::Memory && map.is_device(target.address, 1)) {
        device_register<std::uint8_t>(target.address) = value;
    }
}

}  // namespace guest
