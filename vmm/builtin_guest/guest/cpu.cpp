// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/cpu.hpp"

#include "vmm/builtin_guest/guest/machine.hpp"

// Leaves and bits: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.
namespace guest {
namespace {

constexpr std::uint32_t kHypervisorLeaf = 0x4000'0000;
constexpr std::uint32_t kTimingLeaf = 0x4000'0010;
constexpr std::uint32_t kExtendedLeaf = 0x8000'0000;
constexpr std::uint32_t kBrandLeaf = 0x8000'0002;  // and the two behind it
constexpr std::uint32_t kAddressSizeLeaf = 0x8000'0008;
constexpr std::uint32_t kTopologyLeaf = 0xb;
constexpr std::uint32_t kEfer = 0xc000'0080;

/// A bit of a register and its name.
struct Bit {
    unsigned number;
    std::string_view name;
};

template <std::size_t N>
void put_bits(Console& console, std::uint64_t value, const Bit (&bits)[N]) {
    for (const Bit& bit : bits) {
        if ((value >> bit.number & 1) != 0) {
            console.print(' ', bit.name);
        }
    }
}

/// The characters that registers hold, without blanks in front (brand strings have them); what is
/// not printable is left out.
void put_characters(Console& console, const std::uint32_t* registers, unsigned count) {
    bool begun = false;
    for (unsigned i = 0; i < count * 4; ++i) {
        const auto c = static_cast<char>(registers[i / 4] >> (i % 4 * 8) & 0xff);
        begun = begun || c > ' ';
        if (begun && c >= ' ' && c < 0x7f) {
            console.print(c);
        }
    }
}

void report_identity(Console& console) {
    const Cpuid vendor = cpuid(0);
    const std::uint32_t name[] = {vendor.ebx, vendor.edx, vendor.ecx};
    const std::uint32_t version = cpuid(1).eax;
    // The extended fields count from family 15 on, and the extended model from family 6 on too.
    const std::uint32_t base_family = version >> 8 & 0xf;
    const std::uint32_t family = base_family == 15 ? 15 + (version >> 20 & 0xff) : base_family;
    const std::uint32_t extended_model = base_family >= 6 ? version >> 12 & 0xf0 : 0;
    console.print(Column{"cpu", 10});
    put_characters(console, name, 3);
    console.print(" family ", family, " model ", extended_model | (version >> 4 & 0xf),
                  " stepping ", version & 0xf, '\n');
    if (cpuid(kExtendedLeaf).eax >= kBrandLeaf + 2) {
        std::uint32_t words[12] = {};
        for (std::size_t i = 0; i < 12; i += 4) {
            const Cpuid part = cpuid(kBrandLeaf + static_cast<std::uint32_t>(i / 4));
            words[i] = part.eax;
            words[i + 1] = part.ebx;
            words[i + 2] = part.ecx;
            words[i + 3] = part.edx;
        }
        if (words[0] != 0) {
            console.print(Column{"", 10});
            put_characters(console, words, 12);
            console.print('\n');
        }
    }
}

void report_hypervisor(Console& console) {
    if ((cpuid(1).ecx >> 31 & 1) == 0) {
        console.line("", "no hypervisor is announced");
        return;
    }
    const Cpuid leaf = cpuid(kHypervisorLeaf);
    const std::uint32_t signature[] = {leaf.ebx, leaf.ecx, leaf.edx};
    console.print(Column{"", 10}, "hypervisor ");
    put_characters(console, signature, 3);
    if (const std::uint32_t khz = tsc_khz(); khz != 0) {
        console.print(", TSC ", khz, " kHz, APIC bus ", cpuid(kTimingLeaf).ebx, " kHz");
    }
    console.print('\n');
}

void report_mode(Console& console) {
    static constexpr Bit kCr0[] = {{0, "PE"},  {1, "MP"},  {2, "EM"},  {3, "TS"},
                                   {4, "ET"},  {5, "NE"},  {16, "WP"}, {18, "AM"},
                                   {29, "NW"}, {30, "CD"}, {31, "PG"}};
    static constexpr Bit kCr4[] = {{4, "PSE"},    {5, "PAE"},   {6, "MCE"},    {7, "PGE"},
                                   {9, "OSFXSR"}, {12, "LA57"}, {17, "PCIDE"}, {18, "OSXSAVE"},
                                   {20, "SMEP"},  {21, "SMAP"}};
    static constexpr Bit kEferBits[] = {
        {0, "SCE"}, {8, "LME"}, {10, "LMA"}, {11, "NXE"}, {12, "SVME"}};
    const std::uint64_t cr0 = read_cr0();
    const std::uint64_t cr4 = read_cr4();
    const std::uint64_t efer = read_msr(kEfer);
    console.print(Column{"mode", 10}, (efer >> 10 & 1) != 0 ? "64-bit" : "32-bit", ", CR0 ",
                  Hex{cr0, 8});
    put_bits(console, cr0, kCr0);
    console.print(", CR4 ", Hex{cr4, 6});
    put_bits(console, cr4, kCr4);
    console.print(", EFER ", Hex{efer, 3});
    put_bits(console, efer, kEferBits);
    console.print('\n');
}

void report_features(Console& console) {
    static constexpr Bit kLeaf1Ecx[] = {{0, "sse3"},          {9, "ssse3"},   {13, "cx16"},
                                        {19, "sse4_1"},       {20, "sse4_2"}, {21, "x2apic"},
                                        {24, "tsc_deadline"}, {25, "aes"},    {26, "xsave"},
                                        {28, "avx"},          {30, "rdrand"}};
    static constexpr Bit kLeaf1Edx[] = {{9, "apic"}, {12, "mtrr"}, {16, "pat"},
                                        {25, "sse"}, {26, "sse2"}, {28, "ht"}};
    static constexpr Bit kLeaf7Ebx[] = {
        {5, "avx2"}, {7, "smep"}, {9, "erms"}, {16, "avx512f"}, {20, "smap"}};
    static constexpr Bit kExtendedEdx[] = {
        {20, "nx"}, {26, "1gib_pages"}, {27, "rdtscp"}, {29, "lm"}};
    const Cpuid first = cpuid(1);
    console.print(Column{"features", 9});
    put_bits(console, first.edx, kLeaf1Edx);
    put_bits(console, first.ecx, kLeaf1Ecx);
    if (cpuid(0).eax >= 7) {
        put_bits(console, cpuid(7).ebx, kLeaf7Ebx);
    }
    const std::uint32_t last = cpuid(kExtendedLeaf).eax;
    if (last > kExtendedLeaf) {
        put_bits(console, cpuid(kExtendedLeaf + 1).edx, kExtendedEdx);
    }
    console.print('\n');
    if (last >= kAddressSizeLeaf) {
        const std::uint32_t sizes = cpuid(kAddressSizeLeaf).eax;
        console.line("address", sizes & 0xff, " bits physical, ", sizes >> 8 & 0xff,
                     " bits linear");
    }
    if (cpuid(0).eax >= kTopologyLeaf) {
        const Cpuid thread = cpuid(kTopologyLeaf, 0);
        const Cpuid core = cpuid(kTopologyLeaf, 1);
        console.line("topology", "APIC id ", thread.edx, ", ", thread.ebx & 0xffff,
                     " threads a core, ", core.ebx & 0xffff, " threads a socket");
    }
}

}  // namespace

std::uint32_t tsc_khz() {
    const bool told = (cpuid(1).ecx >> 31 & 1) != 0 && cpuid(kHypervisorLeaf).eax >= kTimingLeaf &&
                      cpuid(kHypervisorLeaf).eax < kHypervisorLeaf + 0x1'0000;
    return told ? cpuid(kTimingLeaf).eax : 0;
}

void report_cpu(Console& console) {
    report_identity(console);
    report_hypervisor(console);
    report_mode(console);
    report_features(console);
}

}  // namespace guest
