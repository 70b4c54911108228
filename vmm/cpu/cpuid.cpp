// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpuid.hpp"

#include <algorithm>
#include <optional>

#include "devices/register.hpp"
#include "vmm/cpu/cpuid_leaves.hpp"
#include "vmm/cpu/extended_state.hpp"

// Fields: as the leaves of cpuid_leaves.hpp.
namespace cxlvm::cpu {
namespace {

using Reg = Register<std::uint32_t>;

// Leaf 1.
constexpr Field<unsigned, 15, 8> kClflushSize;  // EBX, in units of 8 bytes
constexpr Field<unsigned, 23, 16> kLogicalCount;
constexpr Field<unsigned, 31, 24> kInitialApicId;
constexpr Field<bool, 21, 21> kX2apic;  // ECX
constexpr Field<bool, 24, 24> kTscDeadline;
constexpr Field<bool, 27, 27> kOsXsave;
constexpr Field<bool, 31, 31> kHypervisorPresent;
constexpr Field<bool, 19, 19> kClflush;  // EDX
constexpr Field<bool, 28, 28> kHtt;
// Leaves 4 and 0x8000'001d, EAX.
constexpr Field<unsigned, 4, 0> kCacheType;
constexpr Field<unsigned, 7, 5> kCacheLevel;
constexpr Field<unsigned, 25, 14> kCacheSharing;     // ids that share it, less one
constexpr Field<unsigned, 31, 26> kCoresPerPackage;  // core ids in a package, less one; leaf 4 only
// Leaves 0xb and 0x1f, ECX.
constexpr Field<unsigned, 7, 0> kLevelNumber;
constexpr Field<unsigned, 15, 8> kLevelType;
constexpr unsigned kLevelSmt = 1;
constexpr unsigned kLevelCore = 2;
// Leaf 0x4000'0001, EAX. Bits 11 to 5 of a message's address are bits 14 to 8 of its destination.
constexpr Field<bool, 15, 15> kExtendedDestination;
// Leaf 0x8000'0001, ECX.
constexpr Field<bool, 1, 1> kCmpLegacy;
constexpr Field<bool, 22, 22> kTopoExt;
// Leaf 0x8000'0008.
constexpr Field<unsigned, 7, 0> kPhysicalBits;  // EAX
constexpr Field<unsigned, 23, 16> kGuestPhysicalBits;
constexpr Field<unsigned, 7, 0> kThreadCount;  // ECX, less one
constexpr Field<unsigned, 15, 12> kApicIdSize;
// Leaf 0x8000'001e.
constexpr Field<unsigned, 7, 0> kCoreId;  // EBX
constexpr Field<unsigned, 15, 8> kThreadsPerCore;
constexpr Field<unsigned, 7, 0> kNodeId;  // ECX

/// What the level numbers of both cache leaves mean to us: up to level 2 a cache belongs to one
/// core.
constexpr unsigned kLastCoreCacheLevel = 2;

/// `value`, or the largest that fits into the field: counters of ids saturate where a machine is
/// larger than the old leaf can say, and guests then take leaf 0xb.
template <typename T, unsigned Hi, unsigned Lo>
Reg with_saturated(Reg reg, Field<T, Hi, Lo> field, std::uint32_t value) noexcept {
    constexpr std::uint32_t kMost = (std::uint32_t{1} << (Hi - Lo + 1)) - 1;
    return reg.with(field, std::min(value, kMost));
}

const CpuidEntry* find(std::span<const CpuidEntry> entries, std::uint32_t function) noexcept {
    const auto found = std::ranges::find(entries, function, &CpuidEntry::function);
    return found == entries.end() ? nullptr : &*found;
}

/// AMD and its licensee Hygon, by EBX of leaf 0 ("Auth", "Hygo").
bool is_amd(std::span<const CpuidEntry> supported) noexcept {
    const CpuidEntry* vendor = find(supported, kVendor);
    return vendor != nullptr && (vendor->ebx == 0x6874'7541 || vendor->ebx == 0x6f67'7948);
}

/// One vCPU's view while its leaves are rewritten.
class Builder {
  public:
    Builder(std::span<const CpuidEntry> supported, const CpuidConfig& config) noexcept
        : supported_(supported),
          config_(config),
          topology_(config.topology),
          apic_id_(apic_id_of(config.topology, config.vcpu)),
          amd_(is_amd(supported)) {}

    std::vector<CpuidEntry> build() const {
        std::vector<CpuidEntry> entries;
        entries.reserve(supported_.size() + 8);
        for (const CpuidEntry& entry : supported_) {
            if (keeps(entry)) {
                entries.push_back(rewritten(entry));
            }
        }
        add_topology(entries, kTopology);
        if (find(supported_, kTopologyV2) != nullptr) {
            add_topology(entries, kTopologyV2);
        }
        add_hypervisor(entries);
        drop_without_state(entries);
        return entries;
    }

  private:
    /// Whether the leaf stays in some form. Topology and hypervisor leaves are built afresh; leaf
    /// 0x8000'0026 is left out, because guests prefer it to 0xb and KVM has the host's numbers
    /// there.
    bool keeps(const CpuidEntry& entry) const noexcept {
        switch (entry.function) {
            case kTopology:
            case kTopologyV2:
            case kAmdTopologyV2:
                return false;
            case kAmdCache:
            case kAmdTopology:
                return has_topology_extensions();
            default:
                return entry.function == kKvmFeatures || entry.function < kHypervisor ||
                       entry.function > kHypervisorLast;
        }
    }

    bool has_topology_extensions() const noexcept {
        const CpuidEntry* features = find(supported_, kExtendedFeatures);
        return features != nullptr && Reg{features->ecx}.get(kTopoExt);
    }

    CpuidEntry rewritten(CpuidEntry entry) const noexcept {
        switch (entry.function) {
            case kVendor:
                // Leaf 0xb is ours on every CPU, so the range has to reach it.
                entry.eax = std::max<std::uint32_t>(entry.eax, kTopology);
                break;
            case kFeatures:
                rewrite_features(entry);
                break;
            case kCache:
                rewrite_cache(entry);
                if (Reg{entry.eax}.get(kCacheType) != 0) {
                    const unsigned core_bits = topology_.socket_shift() - topology_.thread_bits();
                    entry.eax =
                        with_saturated(Reg{entry.eax}, kCoresPerPackage, (1U << core_bits) - 1).raw;
                }
                break;
            case kAmdCache:
                rewrite_cache(entry);
                break;
            case kTscCrystal:
                if (!crystal_holds(entry)) {
                    entry.eax = entry.ebx = entry.ecx = entry.edx = 0;
                }
                break;
            case kKvmFeatures:
                if (config_.wide_apic_ids) {
                    entry.eax = Reg{entry.eax}.with(kExtendedDestination, true).raw;
                }
                break;
            case kExtendedFeatures:
                if (amd_) {
                    entry.ecx = Reg{entry.ecx}.with(kCmpLegacy, has_siblings()).raw;
                }
                break;
            case kAddressSize:
                rewrite_address_size(entry);
                break;
            case kAmdTopology:
                entry.eax = apic_id_;
                entry.ebx = with_saturated(Reg{}, kThreadsPerCore, topology_.threads - 1)
                                .with(kCoreId, config_.vcpu / topology_.threads % topology_.cores)
                                .raw;
                // One node a socket.
                entry.ecx = Reg{}.with(kNodeId, config_.vcpu / topology_.threads_per_socket()).raw;
                entry.edx = 0;
                break;
            default:
                break;
        }
        return entry;
    }

    bool has_siblings() const noexcept { return topology_.threads_per_socket() > 1; }

    void rewrite_features(CpuidEntry& entry) const noexcept {
        Reg ebx = with_saturated(Reg{entry.ebx}, kLogicalCount,
                                 has_siblings() ? 1U << topology_.socket_shift() : 1);
        // The low byte even of a wider id: that is what hardware in x2APIC mode does.
        ebx = ebx.with(kInitialApicId, apic_id_ & 0xff);
        if (Reg{entry.edx}.get(kClflush) && ebx.get(kClflushSize) == 0) {
            ebx = ebx.with(kClflushSize, 64 / 8);
        }
        entry.ebx = ebx.raw;
        // OSXSAVE mirrors CR4 and is KVM's to maintain; a vCPU starts with it clear.
        entry.ecx = Reg{entry.ecx}
                        .with(kTscDeadline, config_.tsc_deadline)
                        .with(kOsXsave, false)
                        .with(kHypervisorPresent, true)
                        .raw;
        entry.edx = Reg{entry.edx}.with(kHtt, has_siblings()).raw;
    }

    /// Sharing is told as a power of two, because guests find the sharers by shifting APIC ids.
    void rewrite_cache(CpuidEntry& entry) const noexcept {
        const Reg eax{entry.eax};
        if (eax.get(kCacheType) == 0) {
            return;
        }
        const unsigned shift = eax.get(kCacheLevel) <= kLastCoreCacheLevel
                                   ? topology_.thread_bits()
                                   : topology_.socket_shift();
        entry.eax = with_saturated(eax, kCacheSharing, (1U << shift) - 1).raw;
    }

    /// The leaf gives the TSC as crystal * EBX / EAX, and tells guests that the APIC timer runs at
    /// the crystal's rate. It stays only where both are true of this machine.
    bool crystal_holds(const CpuidEntry& entry) const noexcept {
        if (entry.eax == 0 || entry.ebx == 0 || entry.ecx == 0 ||
            entry.ecx != config_.apic_bus_hz) {
            return false;
        }
        const std::uint64_t khz = std::uint64_t{entry.ecx} * entry.ebx / entry.eax / 1000;
        return khz == config_.tsc_khz;
    }

    void rewrite_address_size(CpuidEntry& entry) const noexcept {
        // GuestPhysAddrSize is KVM's advice to us; the guest has it in PhysAddrSize.
        entry.eax = Reg{entry.eax}
                        .with(kPhysicalBits, config_.address_bits)
                        .with(kGuestPhysicalBits, 0)
                        .raw;
        if (amd_) {
            Reg ecx =
                with_saturated(Reg{entry.ecx}, kThreadCount, topology_.threads_per_socket() - 1);
            entry.ecx = ecx.with(kApicIdSize, topology_.socket_shift()).raw;
        }
    }

    void add_topology(std::vector<CpuidEntry>& entries, std::uint32_t leaf) const {
        struct Level {
            unsigned type;
            unsigned shift;
            unsigned logical;
        };
        const std::array<Level, 3> levels{{
            {kLevelSmt, topology_.thread_bits(), topology_.threads},
            {kLevelCore, topology_.socket_shift(), topology_.threads_per_socket()},
            {0, 0, 0},  // the end of the list
        }};
        std::uint32_t index = 0;
        for (const Level& level : levels) {
            CpuidEntry entry{.function = leaf, .index = index, .flags = CpuidEntry::kIndexed};
            entry.eax = level.shift;
            entry.ebx = level.logical;
            entry.ecx = Reg{}.with(kLevelNumber, index).with(kLevelType, level.type).raw;
            entry.edx = apic_id_;
            entries.push_back(entry);
            ++index;
        }
    }

    void add_hypervisor(std::vector<CpuidEntry>& entries) const {
        // "KVMKVMKVM\0\0\0".
        entries.push_back({.function = kHypervisor,
                           .eax = kTiming,
                           .ebx = 0x4b4d'564b,
                           .ecx = 0x564b'4d56,
                           .edx = 0x4d});
        entries.push_back(
            {.function = kTiming, .eax = config_.tsc_khz, .ebx = config_.apic_bus_hz / 1000});
    }

    std::span<const CpuidEntry> supported_;
    CpuidConfig config_;
    Topology topology_;
    std::uint32_t apic_id_;
    bool amd_;
};

}  // namespace

unsigned guest_address_bits(std::span<const CpuidEntry> supported) noexcept {
    const CpuidEntry* size = find(supported, kAddressSize);
    const Reg eax{size == nullptr ? 0 : size->eax};
    if (eax.get(kGuestPhysicalBits) != 0) {
        return eax.get(kGuestPhysicalBits);
    }
    // Without the leaf a CPU has the 36 bits of PSE-36 (Intel SDM volume 3, 4.1.4).
    return eax.get(kPhysicalBits) != 0 ? eax.get(kPhysicalBits) : 36;
}

bool has_x2apic(std::span<const CpuidEntry> supported) noexcept {
    const CpuidEntry* features = find(supported, kFeatures);
    return features != nullptr && Reg{features->ecx}.get(kX2apic);
}

std::vector<CpuidEntry> vcpu_cpuid(std::span<const CpuidEntry> supported,
                                   const CpuidConfig& config) {
    return Builder(supported, config).build();
}

}  // namespace cxlvm::cpu
