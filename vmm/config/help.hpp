// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/config/option.hpp"

namespace cxlvm::config {

/// What a reader has to know about one key of a list.
struct HelpKey {
    std::string syntax;    ///< "hugepages=2M|1G"
    std::string text;      ///< what it is
    std::string fallback;  ///< what holds when it is not given; may be empty
};

/// What a reader has to know about one option.
struct HelpEntry {
    std::string name;      ///< without the dashes
    std::string syntax;    ///< "--memory SIZE[,KEY[=VALUE]]..."
    std::string text;      ///< what it is
    std::string fallback;  ///< what holds when it is not given; empty when its keys say it
    std::vector<HelpKey> keys;
};

/// The help of an option; `defaults` is a T whose values are the defaults.
template <typename T>
[[nodiscard]] HelpEntry help_entry(const Option<T>& option, const T& defaults) {
    HelpEntry entry{std::string(option.name),
                    "--" + std::string(option.name),
                    std::string(option.help),
                    {},
                    {}};
    if (!option.values.empty()) {
        entry.syntax += " " + std::string(option.values);
    }
    if (option.repeats) {
        entry.text += "; may be repeated";
    }
    for (const Key<T>& key : option.keys) {
        const std::vector<std::string> set = key.get(defaults);
        const std::string fallback = set.empty() ? std::string(key.unset) : set.front();
        if (option.is_plain()) {
            entry.fallback = fallback;
            break;
        }
        HelpKey line{std::string(key.name), std::string(key.help), fallback};
        if (key.kind != Kind::Flag) {
            // Not "=" + std::string(): when it optimises, g++ 12 warns of an overlap in that.
            line.syntax += '=';
            line.syntax += key.values;
        }
        if (option.exclusive && !key.beside) {
            line.fallback = set.empty() ? "" : "the default";
        }
        entry.keys.push_back(std::move(line));
    }
    return entry;
}

/// The help of every option of a table.
template <typename T>
[[nodiscard]] std::vector<HelpEntry> help_entries(std::span<const Option<T>> options,
                                                  const T& defaults = T{}) {
    std::vector<HelpEntry> entries;
    for (const Option<T>& option : options) {
        entries.push_back(help_entry(option, defaults));
    }
    return entries;
}

/// "what it is (default: ...)".
[[nodiscard]] std::string describe(const std::string& text, const std::string& fallback);

/// The entries as text for a terminal, up to 100 columns wide, in the order given.
[[nodiscard]] std::string format_help(std::span<const HelpEntry> entries);

}  // namespace cxlvm::config
