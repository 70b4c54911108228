// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/help.hpp"

#include <fmt/format.h>

#include <iterator>

namespace cxlvm::config {

std::string describe(const std::string& text, const std::string& fallback) {
    if (fallback.empty()) {
        return text;
    }
    return fallback == "the default" ? fmt::format("{} (the default)", text)
                                     : fmt::format("{} (default: {})", text, fallback);
}

std::string format_help(std::span<const HelpEntry> entries) {
    std::string text;
    for (const HelpEntry& entry : entries) {
        fmt::format_to(std::back_inserter(text), "  {}\n      {}\n", entry.syntax,
                       describe(entry.text, entry.fallback));
        for (const HelpKey& key : entry.keys) {
            fmt::format_to(std::back_inserter(text), "        {:<17} {}\n", key.syntax,
                           describe(key.text, key.fallback));
        }
    }
    return text;
}

}  // namespace cxlvm::config
