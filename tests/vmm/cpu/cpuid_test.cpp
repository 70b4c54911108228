// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpuid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>

namespace cxlvm::cpu {
namespace {

constexpr std::uint32_t kIndexed = CpuidEntry::kIndexed;

/// What KVM lists on an AMD EPYC of the first generation.
std::vector<CpuidEntry> epyc() {
    return {
        {.function = 0, .eax = 0xd, .ebx = 0x6874'7541, .ecx = 0x444d'4163, .edx = 0x6974'6e65},
        {.function = 1,
         .eax = 0x0080'0f12,
         .ebx = 0x0204'0800,
         .ecx = 0x7ed8'320b,
         .edx = 0x1f8b'fbff},
        {.function = 7, .flags = kIndexed, .ebx = 0x209c'01a9},
        {.function = 0xb, .index = 0, .flags = kIndexed, .eax = 9, .ebx = 77, .ecx = 0x100},
        {.function = 0xb, .index = 1, .flags = kIndexed, .eax = 9, .ebx = 77, .ecx = 0x201},
        {.function = 0xd, .flags = kIndexed, .eax = 7, .ebx = 0x340, .ecx = 0x340},
        {.function = 0x4000'0000,
         .eax = 0x4000'0001,
         .ebx = 0x4b4d'564b,
         .ecx = 0x564b'4d56,
         .edx = 0x4d},
        {.function = 0x4000'0001, .eax = 0x0100'7efb},
        {.function = 0x8000'0000, .eax = 0x8000'001f, .ebx = 0x6874'7541},
        {.function = 0x8000'0001, .eax = 0x0080'0f12, .ecx = 0x0040'03f3, .edx = 0x2fd3'fbff},
        {.function = 0x8000'0002, .eax = 0x2044'4d41, .ebx = 0x4359'5045},
        {.function = 0x8000'0008, .eax = 0x3030, .ebx = 0x1000, .ecx = 0x703f},
        {.function = 0x8000'001d, .index = 0, .flags = kIndexed, .eax = 0x121, .ebx = 0x01c0'003f},
        {.function = 0x8000'001d, .index = 1, .flags = kIndexed, .eax = 0x122, .ebx = 0x00c0'003f},
        {.function = 0x8000'001d, .index = 2, .flags = kIndexed, .eax = 0x143, .ebx = 0x01c0'003f},
        {.function = 0x8000'001d, .index = 3, .flags = kIndexed, .eax = 0x01c1'63},
        {.function = 0x8000'001d, .index = 4, .flags = kIndexed},
        {.function = 0x8000'001e, .eax = 99, .ebx = 0x1ff, .ecx = 0x301, .edx = 5},
        {.function = 0x8000'0026, .flags = kIndexed, .eax = 1, .ebx = 64},
    };
}

/// What KVM lists on an Intel server CPU.
std::vector<CpuidEntry> intel() {
    return {
        {.function = 0, .eax = 0x1f, .ebx = 0x756e'6547, .ecx = 0x6c65'746e, .edx = 0x4965'6e69},
        {.function = 1,
         .eax = 0x0006'06a6,
         .ebx = 0x0740'0800,
         .ecx = 0x76fa'7223,
         .edx = 0x178b'fbff},
        {.function = 4, .index = 0, .flags = kIndexed, .eax = 0x7c00'4121, .ebx = 0x02c0'003f},
        {.function = 4, .index = 1, .flags = kIndexed, .eax = 0x7c00'4122, .ebx = 0x01c0'003f},
        {.function = 4, .index = 2, .flags = kIndexed, .eax = 0x7c00'4143, .ebx = 0x04c0'003f},
        {.function = 4, .index = 3, .flags = kIndexed, .eax = 0x7c0f'c163, .ebx = 0x02c0'003f},
        {.function = 4, .index = 4, .flags = kIndexed},
        {.function = 7, .flags = kIndexed, .eax = 1, .ebx = 0xf1bf'2fbb},
        {.function = 0xb, .flags = kIndexed, .ecx = 0x100},
        {.function = 0xd, .flags = kIndexed, .eax = 0x2e7, .ebx = 0xa88, .ecx = 0xa88},
        {.function = 0x15},
        {.function = 0x1f, .flags = kIndexed, .ecx = 0x100},
        {.function = 0x4000'0000, .eax = 0x4000'0001},
        {.function = 0x4000'0001, .eax = 0x7efb},
        {.function = 0x8000'0000, .eax = 0x8000'0008},
        {.function = 0x8000'0001, .ecx = 0x121, .edx = 0x2c10'0800},
        {.function = 0x8000'0008, .eax = 0x3934},
    };
}

std::optional<CpuidEntry> leaf(const std::vector<CpuidEntry>& entries, std::uint32_t function,
                               std::uint32_t index = 0) {
    std::optional<CpuidEntry> found;
    for (const CpuidEntry& entry : entries) {
        if (entry.function == function && entry.index == index) {
            EXPECT_FALSE(found.has_value()) << std::hex << function << " is there twice";
            found = entry;
        }
    }
    return found;
}

CpuidConfig config_of(Topology topology, unsigned vcpu = 0) {
    return {.topology = topology,
            .vcpu = vcpu,
            .address_bits = 40,
            .tsc_khz = 2'500'000,
            .apic_bus_hz = 1'000'000'000,
            .tsc_deadline = true};
}

constexpr std::uint32_t bits(std::uint32_t value, unsigned high, unsigned low) {
    return (value >> low) & ((1U << (high - low + 1)) - 1);
}

/// Ids that share a cache, by the rule that guests use: the shift that numbers them all.
unsigned sharing_shift(std::uint32_t eax) {
    return static_cast<unsigned>(std::bit_width(bits(eax, 25, 14)));
}

const Topology kTopologies[] = {
    {1, 1, 1},   {1, 2, 1},   {1, 1, 2},  {1, 3, 1},   {3, 1, 1},   {1, 4, 1},
    {2, 1, 2},   {1, 2, 2},   {2, 3, 2},  {3, 5, 3},   {1, 255, 1}, {5, 17, 3},
    {1, 300, 1}, {1, 150, 2}, {2, 75, 2}, {300, 1, 1}, {1, 1, 300},
};

TEST(Cpuid, gives_every_vcpu_its_own_id_in_all_topology_leaves) {
    for (const auto& supported : {epyc(), intel()}) {
        for (const Topology topology : kTopologies) {
            std::set<std::uint32_t> ids;
            for (unsigned vcpu = 0; vcpu < topology.count(); ++vcpu) {
                const auto entries = vcpu_cpuid(supported, config_of(topology, vcpu));
                const auto first = leaf(entries, 0xb, 0);
                ASSERT_TRUE(first);
                EXPECT_EQ(first->edx, apic_id_of(topology, vcpu));
                EXPECT_TRUE(ids.insert(first->edx).second);
                EXPECT_EQ(bits(leaf(entries, 1)->ebx, 31, 24), first->edx & 0xff);
                EXPECT_EQ(leaf(entries, 0xb, 1)->edx, first->edx);
                EXPECT_EQ(leaf(entries, 0xb, 2)->edx, first->edx);
                if (const auto amd = leaf(entries, 0x8000'001e)) {
                    EXPECT_EQ(amd->eax, first->edx);
                }
                if (const auto v2 = leaf(entries, 0x1f)) {
                    EXPECT_EQ(v2->edx, first->edx);
                }
            }
        }
    }
}

TEST(Cpuid, tells_the_same_shifts_in_all_topology_leaves) {
    for (const auto& supported : {epyc(), intel()}) {
        for (const Topology topology : kTopologies) {
            const auto entries = vcpu_cpuid(supported, config_of(topology));
            const auto smt = leaf(entries, 0xb, 0);
            const auto core = leaf(entries, 0xb, 1);
            const auto end = leaf(entries, 0xb, 2);
            ASSERT_TRUE(smt && core && end);
            EXPECT_EQ(smt->eax, topology.thread_bits());
            EXPECT_EQ(smt->ebx, topology.threads);
            EXPECT_EQ(smt->ecx, 0x100U);
            EXPECT_EQ(core->eax, topology.socket_shift());
            EXPECT_EQ(core->ebx, topology.threads_per_socket());
            EXPECT_EQ(core->ecx, 0x201U);
            EXPECT_EQ(end->ebx, 0U);
            EXPECT_EQ(end->ecx, 0x2U);
            EXPECT_LE(topology.threads_per_socket(), 1U << core->eax);

            const auto features = leaf(entries, 1);
            const bool siblings = topology.threads_per_socket() > 1;
            EXPECT_EQ(bits(features->edx, 28, 28), siblings ? 1U : 0U);
            EXPECT_EQ(bits(features->ebx, 23, 16), std::min(1U << core->eax, 255U));

            for (const std::uint32_t function : {4U, 0x8000'001dU}) {
                for (std::uint32_t index = 0; index < 4; ++index) {
                    const auto cache = leaf(entries, function, index);
                    if (!cache) {
                        continue;
                    }
                    const bool last_level = bits(cache->eax, 7, 5) == 3;
                    EXPECT_EQ(sharing_shift(cache->eax), last_level ? core->eax : smt->eax);
                    if (function == 4) {
                        EXPECT_EQ(bits(cache->eax, 31, 26),
                                  std::min((1U << (core->eax - smt->eax)) - 1, 63U));
                    }
                }
            }
            if (leaf(entries, 0x8000'001e)) {
                const auto size = leaf(entries, 0x8000'0008);
                EXPECT_EQ(bits(size->ecx, 15, 12), core->eax);
                EXPECT_EQ(bits(size->ecx, 7, 0), std::min(topology.threads_per_socket() - 1, 255U));
                EXPECT_EQ(bits(leaf(entries, 0x8000'001e)->ebx, 15, 8),
                          std::min(topology.threads - 1, 255U));
                EXPECT_EQ(bits(leaf(entries, 0x8000'0001)->ecx, 1, 1), siblings ? 1U : 0U);
            }
        }
    }
}

TEST(Cpuid, numbers_amd_cores_and_nodes_by_socket) {
    const Topology topology{2, 3, 2};
    const auto entries = vcpu_cpuid(epyc(), config_of(topology, 9));  // socket 1, core 1, thread 1
    const auto topology_leaf = leaf(entries, 0x8000'001e);
    ASSERT_TRUE(topology_leaf);
    EXPECT_EQ(bits(topology_leaf->ebx, 7, 0), 1U);
    EXPECT_EQ(topology_leaf->ecx, 1U);
    EXPECT_EQ(topology_leaf->edx, 0U);
}

TEST(Cpuid, invents_no_feature_that_kvm_does_not_list) {
    for (const auto& supported : {epyc(), intel()}) {
        const auto entries = vcpu_cpuid(supported, config_of({1, 1, 1}));
        const auto before = leaf(supported, 1);
        const auto after = leaf(entries, 1);
        const std::uint32_t ours = 1U << 31 | 1U << 24;  // hypervisor, TSC deadline
        EXPECT_EQ(after->ecx & ~before->ecx & ~ours, 0U);
        EXPECT_EQ(after->edx & ~before->edx, 0U);
        EXPECT_EQ(leaf(entries, 7), leaf(supported, 7));
        EXPECT_EQ(leaf(entries, 0x4000'0001), leaf(supported, 0x4000'0001));
        EXPECT_EQ(leaf(entries, 0x8000'0002), leaf(supported, 0x8000'0002));
        EXPECT_EQ(leaf(entries, 0xd), leaf(supported, 0xd));
        EXPECT_EQ(leaf(entries, 0x1f).has_value(), leaf(supported, 0x1f).has_value());
    }
}

TEST(Cpuid, announces_a_hypervisor_and_the_tsc_deadline_timer_only_where_there_is_one) {
    auto config = config_of({1, 1, 1});
    EXPECT_EQ(leaf(vcpu_cpuid(epyc(), config), 1)->ecx >> 31, 1U);
    EXPECT_EQ(bits(leaf(vcpu_cpuid(epyc(), config), 1)->ecx, 24, 24), 1U);
    config.tsc_deadline = false;
    EXPECT_EQ(bits(leaf(vcpu_cpuid(epyc(), config), 1)->ecx, 24, 24), 0U);
}

TEST(Cpuid, starts_with_osxsave_clear) {
    auto supported = epyc();
    supported[1].ecx |= 1U << 27;
    EXPECT_EQ(bits(leaf(vcpu_cpuid(supported, config_of({1, 1, 1})), 1)->ecx, 27, 27), 0U);
}

TEST(Cpuid, has_kvm_signature_and_clock_rates_in_the_hypervisor_leaves) {
    const auto entries = vcpu_cpuid(epyc(), config_of({1, 1, 1}));
    const auto signature = leaf(entries, 0x4000'0000);
    ASSERT_TRUE(signature);
    EXPECT_EQ(signature->eax, 0x4000'0010U);
    EXPECT_EQ(signature->ebx, 0x4b4d'564bU);
    EXPECT_EQ(signature->ecx, 0x564b'4d56U);
    EXPECT_EQ(signature->edx, 0x4dU);
    const auto timing = leaf(entries, 0x4000'0010);
    ASSERT_TRUE(timing);
    EXPECT_EQ(timing->eax, 2'500'000U);
    EXPECT_EQ(timing->ebx, 1'000'000U);
}

TEST(Cpuid, keeps_the_crystal_leaf_only_where_it_is_true) {
    auto supported = intel();
    CpuidEntry& crystal = *std::ranges::find(supported, 0x15U, &CpuidEntry::function);
    crystal.eax = 2;
    crystal.ebx = 5;
    crystal.ecx = 1'000'000'000;
    EXPECT_EQ(leaf(vcpu_cpuid(supported, config_of({1, 1, 1})), 0x15), crystal);
    auto slower = config_of({1, 1, 1});
    slower.tsc_khz = 2'000'000;
    EXPECT_EQ(leaf(vcpu_cpuid(supported, slower), 0x15)->ecx, 0U);
    crystal.ecx = 25'000'000;  // not what the APIC timer counts
    crystal.ebx = 200;
    EXPECT_EQ(leaf(vcpu_cpuid(supported, config_of({1, 1, 1})), 0x15)->ebx, 0U);
}

TEST(Cpuid, drops_leaves_with_the_hosts_topology) {
    EXPECT_FALSE(leaf(vcpu_cpuid(epyc(), config_of({1, 4, 1})), 0x8000'0026));
    auto supported = epyc();
    CpuidEntry& features = *std::ranges::find(supported, 0x8000'0001U, &CpuidEntry::function);
    features.ecx &= ~(1U << 22);  // no topology extensions
    const auto entries = vcpu_cpuid(supported, config_of({1, 4, 1}));
    EXPECT_FALSE(leaf(entries, 0x8000'001d));
    EXPECT_FALSE(leaf(entries, 0x8000'001e));
}

TEST(Cpuid, reaches_leaf_0xb_on_old_and_unknown_processors) {
    const std::vector<CpuidEntry> supported = {
        {.function = 0, .eax = 5, .ebx = 0x1234'5678},
        {.function = 1, .eax = 0x600, .edx = 1U << 19},
    };
    const auto entries = vcpu_cpuid(supported, config_of({1, 2, 1}, 1));
    EXPECT_EQ(leaf(entries, 0)->eax, 0xbU);
    EXPECT_EQ(leaf(entries, 0xb)->edx, 1U);
    EXPECT_EQ(bits(leaf(entries, 1)->ebx, 15, 8), 8U) << "a CLFLUSH line of 64 bytes";
}

TEST(Cpuid, tells_the_guest_the_address_width_it_was_given) {
    auto supported = epyc();
    CpuidEntry& size = *std::ranges::find(supported, 0x8000'0008U, &CpuidEntry::function);
    size.eax |= 47U << 16;
    const auto after = leaf(vcpu_cpuid(supported, config_of({1, 1, 1})), 0x8000'0008);
    EXPECT_EQ(after->eax, 0x3028U);
    EXPECT_EQ(after->ebx, size.ebx);
    EXPECT_EQ(leaf(vcpu_cpuid(intel(), config_of({1, 4, 1})), 0x8000'0008)->ecx, 0U);
}

/// The entry of `supported` to change for a test.
CpuidEntry& entry_of(std::vector<CpuidEntry>& supported, std::uint32_t function) {
    return *std::ranges::find(supported, function, &CpuidEntry::function);
}

TEST(Cpuid, offers_extended_destinations_only_where_ids_are_wide) {
    auto config = config_of({1, 300, 1});
    EXPECT_EQ(bits(leaf(vcpu_cpuid(epyc(), config), 0x4000'0001)->eax, 15, 15), 0U)
        << "KVM's own list does not have it";
    config.wide_apic_ids = true;
    const auto before = leaf(epyc(), 0x4000'0001)->eax;
    EXPECT_EQ(leaf(vcpu_cpuid(epyc(), config), 0x4000'0001)->eax, before | 1U << 15);
}

TEST(Cpuid, knows_whether_wide_ids_can_be_used) {
    auto supported = epyc();
    entry_of(supported, 1).ecx |= 1U << 21;
    EXPECT_TRUE(has_x2apic(supported));
    entry_of(supported, 1).ecx &= ~(1U << 21);
    EXPECT_FALSE(has_x2apic(supported));
    EXPECT_FALSE(has_x2apic({}));
}

TEST(Cpuid, shows_no_feature_whose_registers_cannot_be_saved) {
    auto supported = intel();
    const std::uint32_t structured =
        1U << 5 | 1U << 16 | 1U << 31 | 1U << 3;  // AVX2, 512F, VL, BMI1
    entry_of(supported, 7).ebx = structured;
    entry_of(supported, 7).ecx = 1U << 3 | 1U << 8 | 1U << 9;  // PKU, GFNI, VAES
    supported.push_back({.function = 7, .index = 1, .flags = kIndexed, .eax = 1U << 4 | 1U << 5});
    supported.push_back({.function = 0x1d, .flags = kIndexed, .eax = 1});
    const auto config = config_of({1, 1, 1});

    const auto complete = vcpu_cpuid(supported, config);
    EXPECT_EQ(bits(leaf(complete, 1)->ecx, 29, 28), 3U);
    EXPECT_EQ(leaf(complete, 7)->ebx, structured);
    EXPECT_EQ(leaf(complete, 7)->ecx, 1U << 3 | 1U << 8 | 1U << 9);
    EXPECT_EQ(leaf(complete, 7, 1)->eax, 1U << 4 | 1U << 5);
    EXPECT_FALSE(leaf(complete, 0x1d)) << "there is no tile state";

    entry_of(supported, 0xd).eax = 0x7;  // neither AVX-512 nor PKRU
    const auto avx = vcpu_cpuid(supported, config);
    EXPECT_EQ(bits(leaf(avx, 1)->ecx, 28, 28), 1U);
    EXPECT_EQ(leaf(avx, 7)->ebx, 1U << 5 | 1U << 3);
    EXPECT_EQ(leaf(avx, 7)->ecx, 1U << 8 | 1U << 9);
    EXPECT_EQ(leaf(avx, 7, 1)->eax, 1U << 4);

    entry_of(supported, 1).ecx &= ~(1U << 26);  // no XSAVE
    const auto bare = vcpu_cpuid(supported, config);
    EXPECT_EQ(leaf(bare, 1)->ecx & (1U << 12 | 1U << 26 | 1U << 28 | 1U << 29), 0U);
    EXPECT_EQ(leaf(bare, 7)->ebx, 1U << 3);
    EXPECT_EQ(leaf(bare, 7)->ecx, 1U << 8);
    EXPECT_EQ(leaf(bare, 7, 1)->eax, 0U);
    EXPECT_FALSE(leaf(bare, 0xd));
}

TEST(Cpuid, shows_nothing_that_extends_avx_where_avx_is_hidden) {
    auto supported = epyc();
    entry_of(supported, 1).ecx &= ~(1U << 28);
    const auto entries = vcpu_cpuid(supported, config_of({1, 1, 1}));
    EXPECT_EQ(leaf(entries, 1)->ecx & (1U << 12 | 1U << 29), 0U) << "FMA, F16C";
    EXPECT_EQ(bits(leaf(entries, 1)->ecx, 26, 26), 1U) << "XSAVE stays";
    EXPECT_EQ(bits(leaf(entries, 7)->ebx, 5, 5), 0U) << "AVX2";
}

TEST(GuestAddressBits, come_from_the_guest_field_where_kvm_gives_it) {
    std::vector<CpuidEntry> supported = {{.function = 0x8000'0008, .eax = 0x3034}};
    EXPECT_EQ(guest_address_bits(supported), 52U);
    supported[0].eax |= 48U << 16;
    EXPECT_EQ(guest_address_bits(supported), 48U);
}

TEST(GuestAddressBits, are_36_where_the_leaf_is_missing) {
    EXPECT_EQ(guest_address_bits({}), 36U);
}

}  // namespace
}  // namespace cxlvm::cpu
