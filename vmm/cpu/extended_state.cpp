// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/extended_state.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>

#include "vmm/cpu/cpuid_leaves.hpp"

// Features and what they need: Intel SDM volume 2, CPUID, and volume 1, chapters 13 to 18; AMD APM
// volume 3, appendix E. State components: SDM volume 1, 13.1.
namespace cxlvm::cpu {
namespace {

consteval std::uint32_t bits(std::initializer_list<unsigned> numbers) {
    std::uint32_t mask = 0;
    for (const unsigned number : numbers) {
        mask |= std::uint32_t{1} << number;
    }
    return mask;
}

constexpr std::uint32_t kSseAvxState = bits({1, 2});
constexpr std::uint32_t kMpxState = bits({3, 4});
constexpr std::uint32_t kAvx512State = bits({5, 6, 7});
constexpr std::uint32_t kPkruState = bits({9});
constexpr std::uint32_t kTileState = bits({17, 18});
constexpr std::uint32_t kApxState = bits({19});
constexpr std::uint32_t kLwpState = bits({30});  // component 62: in EDX

/// What a feature stands on.
enum class Base : std::uint8_t { Xsave, Avx, Mpx, Avx512, Pkru, Tile, Apx, Lwp };
constexpr std::size_t kBases = 8;

struct Dependents {
    Base base;
    std::uint32_t function;
    std::uint32_t index;
    std::uint32_t CpuidEntry::*reg;
    std::uint32_t mask;
};
constexpr Dependents kDependents[] = {
    {Base::Xsave, kFeatures, 0, &CpuidEntry::ecx, bits({26})},
    // AVX, FMA, F16C; AVX2; VAES, VPCLMULQDQ; the VEX-encoded ones of leaf 7.1; FMA4, XOP.
    {Base::Avx, kFeatures, 0, &CpuidEntry::ecx, bits({12, 28, 29})},
    {Base::Avx, kStructured, 0, &CpuidEntry::ebx, bits({5})},
    {Base::Avx, kStructured, 0, &CpuidEntry::ecx, bits({9, 10})},
    {Base::Avx, kStructured, 1, &CpuidEntry::eax, bits({0, 1, 2, 4, 23})},
    {Base::Avx, kStructured, 1, &CpuidEntry::edx, bits({4, 5, 10, 19})},
    {Base::Avx, kExtendedFeatures, 0, &CpuidEntry::ecx, bits({11, 16})},
    // All names that begin with AVX512.
    {Base::Avx512, kStructured, 0, &CpuidEntry::ebx, bits({16, 17, 21, 26, 27, 28, 30, 31})},
    {Base::Avx512, kStructured, 0, &CpuidEntry::ecx, bits({1, 6, 11, 12, 14})},
    {Base::Avx512, kStructured, 0, &CpuidEntry::edx, bits({2, 3, 8, 23})},
    {Base::Avx512, kStructured, 1, &CpuidEntry::eax, bits({5})},
    {Base::Mpx, kStructured, 0, &CpuidEntry::ebx, bits({14})},
    {Base::Pkru, kStructured, 0, &CpuidEntry::ecx, bits({3, 4})},
    // All names that begin with AMX.
    {Base::Tile, kStructured, 0, &CpuidEntry::edx, bits({22, 24, 25})},
    {Base::Tile, kStructured, 1, &CpuidEntry::eax, bits({21})},
    {Base::Tile, kStructured, 1, &CpuidEntry::edx, bits({8})},
    {Base::Apx, kStructured, 1, &CpuidEntry::edx, bits({21})},
    {Base::Lwp, kExtendedFeatures, 0, &CpuidEntry::ecx, bits({15})},
};

CpuidEntry leaf(const std::vector<CpuidEntry>& entries, std::uint32_t function) noexcept {
    const auto found = std::ranges::find_if(entries, [&](const CpuidEntry& entry) {
        return entry.function == function && entry.index == 0;
    });
    return found == entries.end() ? CpuidEntry{} : *found;
}

constexpr bool has(std::uint32_t value, std::uint32_t mask) noexcept {
    return (value & mask) == mask;
}

class Bases {
  public:
    explicit Bases(const std::vector<CpuidEntry>& entries) noexcept {
        const CpuidEntry features = leaf(entries, kFeatures);
        const CpuidEntry structured = leaf(entries, kStructured);
        set(Base::Xsave, has(features.ecx, bits({26})));
        const CpuidEntry state = there(Base::Xsave) ? leaf(entries, kExtendedState) : CpuidEntry{};
        set(Base::Avx, has(state.eax, kSseAvxState) && has(features.ecx, bits({28})));
        set(Base::Avx512,
            there(Base::Avx) && has(state.eax, kAvx512State) && has(structured.ebx, bits({16})));
        set(Base::Mpx, has(state.eax, kMpxState));
        set(Base::Pkru, has(state.eax, kPkruState));
        set(Base::Tile, has(state.eax, kTileState) && has(structured.edx, bits({24})));
        set(Base::Apx, has(state.eax, kApxState));
        set(Base::Lwp, has(state.edx, kLwpState));
    }
    [[nodiscard]] bool there(Base base) const noexcept {
        return there_[static_cast<std::size_t>(base)];
    }

  private:
    void set(Base base, bool there) noexcept { there_[static_cast<std::size_t>(base)] = there; }

    std::array<bool, kBases> there_{};
};

}  // namespace

void drop_without_state(std::vector<CpuidEntry>& entries) {
    const Bases bases(entries);
    std::erase_if(entries, [&](const CpuidEntry& entry) {
        switch (entry.function) {
            case kExtendedState:
                return !bases.there(Base::Xsave);
            case kTileInformation:
            case kTileMultiply:
                return !bases.there(Base::Tile);
            case kAvx10:
                return !bases.there(Base::Avx);
            default:
                return false;
        }
    });
    for (CpuidEntry& entry : entries) {
        for (const Dependents& dependents : kDependents) {
            if (entry.function == dependents.function && entry.index == dependents.index &&
                !bases.there(dependents.base)) {
                entry.*dependents.reg &= ~dependents.mask;
            }
        }
    }
}

}  // namespace cxlvm::cpu
