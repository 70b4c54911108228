// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "vmm/config/option.hpp"
#include "vmm/vm_config.hpp"

/// What the tables of a VmConfig's options have in common.
namespace cxlvm::config {

using VmKey = Key<VmConfig>;
using VmOption = Option<VmConfig>;
using Texts = std::vector<std::string>;

[[nodiscard]] inline Texts text_unless_empty(const std::string& text) {
    return text.empty() ? Texts{} : Texts{text};
}

[[nodiscard]] inline Texts number_unless_zero(std::uint64_t number) {
    return number == 0 ? Texts{} : Texts{fmt::format("{}", number)};
}

[[nodiscard]] inline Texts size_unless_zero(std::uint64_t bytes) {
    return bytes == 0 ? Texts{} : Texts{format_size(bytes)};
}

[[nodiscard]] inline Texts flag(bool on) {
    return on ? Texts{"true"} : Texts{};
}

/// How an option that stands for a vector of VmConfig finds its elements: `Member` is the vector.
template <auto Member>
struct VmList {
    using Element = typename std::remove_cvref_t<decltype(VmConfig{}.*Member)>::value_type;

    /// The element that a key sets.
    [[nodiscard]] static Element& last(VmConfig& vm) { return (vm.*Member).back(); }
    [[nodiscard]] static Element& given(VmConfig& vm) { return last(vm); }
    /// The element that a key gives back, or the defaults.
    [[nodiscard]] static Element shown(const VmConfig& vm) {
        return (vm.*Member).empty() ? Element{} : (vm.*Member).back();
    }

    static void reset(VmConfig& vm) { (vm.*Member).clear(); }
    static void add(VmConfig& vm) { (vm.*Member).emplace_back(); }
    [[nodiscard]] static std::size_t count(const VmConfig& vm) { return (vm.*Member).size(); }
    [[nodiscard]] static VmConfig only(const VmConfig& vm, std::size_t index) {
        VmConfig one;
        (one.*Member).push_back((vm.*Member)[index]);
        return one;
    }

    static constexpr Elements<VmConfig> kElements{.add = add, .count = count, .only = only};
};

/// How an option that stands for an optional member of VmConfig finds it.
template <auto Member>
struct VmOptional {
    using Element = typename std::remove_cvref_t<decltype(VmConfig{}.*Member)>::value_type;

    /// What a key sets.
    [[nodiscard]] static Element& given(VmConfig& vm) { return *(vm.*Member); }
    /// What a key gives back, or the defaults.
    [[nodiscard]] static Element shown(const VmConfig& vm) {
        return (vm.*Member).value_or(Element{});
    }

    static void reset(VmConfig& vm) { (vm.*Member).reset(); }
    static void add(VmConfig& vm) { (vm.*Member).emplace(); }
    [[nodiscard]] static std::size_t count(const VmConfig& vm) {
        return (vm.*Member).has_value() ? 1 : 0;
    }
    [[nodiscard]] static VmConfig only(const VmConfig& vm, std::size_t /*index*/) {
        VmConfig one;
        one.*Member = vm.*Member;
        return one;
    }

    static constexpr Elements<VmConfig> kElements{.add = add, .count = count, .only = only};
};

/// The keys that every device on a PCI bus has. `List` is its VmList or VmOptional, whose element
/// has a member `place`.
template <typename List, bool Beside = false>
inline constexpr VmKey kBusKey = {
    {"bus", Kind::Text, "ID", "the first", "host bridge that it is on, see --host-bridge", Beside},
    [](VmConfig& vm, const Value& value) { List::given(vm).place.bus = parse_text(value); },
    [](const VmConfig& vm) { return text_unless_empty(List::shown(vm).place.bus); }};
template <typename List, bool Beside = false>
inline constexpr VmKey kRootPortKey = {
    {"root-port", Kind::Flag, {}, "off", "behind a PCI Express root port of its own", Beside},
    [](VmConfig& vm, const Value& value) { List::given(vm).place.root_port = parse_flag(value); },
    [](const VmConfig& vm) { return flag(List::shown(vm).place.root_port); }};

}  // namespace cxlvm::config
