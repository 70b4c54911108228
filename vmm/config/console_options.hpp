// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "vmm/config/vm_keys.hpp"

/// --serial and --console, for the table of options: the same places, and the second one need not
/// be there.
namespace cxlvm::config {

using VirtioConsole = VmOptional<&VmConfig::console>;

struct SerialPlace {
    static SerialConfig& given(VmConfig& vm) { return vm.serial; }
    [[nodiscard]] static const SerialConfig* find(const VmConfig& vm) { return &vm.serial; }
};
struct ConsolePlace {
    static SerialConfig& given(VmConfig& vm) {
        return vm.console ? *vm.console : vm.console.emplace();
    }
    [[nodiscard]] static const SerialConfig* find(const VmConfig& vm) {
        return vm.console ? &*vm.console : nullptr;
    }
};

template <typename Place, SerialConfig::Kind Where>
void set_place(VmConfig& vm, const Value& value) {
    if (!parse_flag(value)) {
        reject(value, "name the place that it is to be instead");
    }
    Place::given(vm).kind = Where;
    Place::given(vm).path.clear();
}

template <typename Place, SerialConfig::Kind Where>
void set_place_with_path(VmConfig& vm, const Value& value) {
    Place::given(vm).path = parse_text(value);
    Place::given(vm).kind = Where;
}

template <typename Place, SerialConfig::Kind Where>
Texts get_place(const VmConfig& vm) {
    const SerialConfig* const place = Place::find(vm);
    return flag(place != nullptr && place->kind == Where);
}

template <typename Place, SerialConfig::Kind Where>
Texts get_place_with_path(const VmConfig& vm) {
    const SerialConfig* const place = Place::find(vm);
    return place != nullptr && place->kind == Where ? Texts{place->path} : Texts{};
}

template <typename Place>
inline constexpr std::array<VmKey, 5> kPlaces = {{
    {{"stdio", Kind::Flag, {}, {}, "standard input and output; a terminal is made raw"},
     set_place<Place, SerialConfig::Kind::Stdio>,
     get_place<Place, SerialConfig::Kind::Stdio>},
    {{"null", Kind::Flag, {}, {}, "dropped"},
     set_place<Place, SerialConfig::Kind::Null>,
     get_place<Place, SerialConfig::Kind::Null>},
    {{"file", Kind::Text, "FILE", {}, "output only; the file is made, or emptied first"},
     set_place_with_path<Place, SerialConfig::Kind::File>,
     get_place_with_path<Place, SerialConfig::Kind::File>},
    {{"pty", Kind::Flag, {}, {}, "a pseudo-terminal, whose name is printed"},
     set_place<Place, SerialConfig::Kind::Pty>,
     get_place<Place, SerialConfig::Kind::Pty>},
    {{"unix", Kind::Text, "SOCKET", {}, "listens on a unix socket, one client at a time"},
     set_place_with_path<Place, SerialConfig::Kind::Unix>,
     get_place_with_path<Place, SerialConfig::Kind::Unix>},
}};

inline constexpr VmOption kSerialOption = {
    {"serial", "WHERE", "where the first serial port's bytes come from and go to", false, true},
    kPlaces<SerialPlace>,
    [](VmConfig& vm) { vm.serial = SerialConfig{}; }};

inline constexpr std::array kConsoleKeys = {
    kPlaces<ConsolePlace>[0],          kPlaces<ConsolePlace>[1], kPlaces<ConsolePlace>[2],
    kPlaces<ConsolePlace>[3],          kPlaces<ConsolePlace>[4], kBusKey<VirtioConsole, true>,
    kRootPortKey<VirtioConsole, true>,
};

inline constexpr VmOption kConsoleOption = {
    {"console", "WHERE[,KEY[=VALUE]]...",
     "a virtio console (hvc0), and where its bytes come from and go to", false, true},
    kConsoleKeys,
    VirtioConsole::reset,
    &VirtioConsole::kElements};

}  // namespace cxlvm::config
