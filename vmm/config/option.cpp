// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/option.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "io/error.hpp"

namespace cxlvm::config {

namespace {

/// The elements between single commas; two commas in a row are one comma of the element.
std::vector<std::string> split_at_commas(std::string_view text) {
    std::vector<std::string> elements(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',') {
            elements.back() += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == ',') {
            elements.back() += ',';
            ++i;
        } else {
            elements.emplace_back();
        }
    }
    return elements;
}

std::optional<std::size_t> find(std::span<const KeyInfo> keys, std::string_view name) {
    const auto found = std::find_if(keys.begin(), keys.end(),
                                    [&](const KeyInfo& key) { return key.name == name; });
    if (found == keys.end()) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - keys.begin());
}

/// Whether an element with an equals sign behind `name` is a file that stands alone rather than a
/// mistyped key: a path with a folder, or a descriptor.
bool is_file(std::string_view name, Kind kind) {
    return kind == Kind::Text && (name == "fd" || name.find('/') != std::string_view::npos);
}

}  // namespace

std::vector<Element> split_list(std::string_view where, std::string_view text,
                                std::span<const KeyInfo> keys) {
    if (text.empty()) {
        reject(Value{where, {}, {}}, "needs a value");
    }
    std::vector<Element> result;
    bool first = true;
    for (const std::string& element : split_at_commas(text)) {
        const bool may_stand_alone = std::exchange(first, false) && keys[0].kind != Kind::Flag;
        const std::size_t equals = element.find('=');
        const std::string_view name = std::string_view(element).substr(0, equals);
        if (element.empty()) {
            reject(Value{where, {}, text}, "an empty element; a comma separates two elements");
        }
        const std::optional<std::size_t> index = find(keys, name);
        if (!index && may_stand_alone &&
            (equals == std::string::npos || is_file(name, keys.front().kind))) {
            result.push_back({0, element});
            continue;
        }
        if (!index) {
            std::vector<std::string_view> known;
            for (const KeyInfo& key : keys) {
                known.push_back(key.name);
            }
            reject_unknown(where, "key", name, known);
        }
        const KeyInfo& key = keys[*index];
        if (equals == std::string::npos && key.kind != Kind::Flag) {
            reject(Value{where, key.name, {}},
                   fmt::format("needs a value: {}={}", key.name, key.values));
        }
        if (std::any_of(result.begin(), result.end(),
                        [&](const Element& earlier) { return earlier.key == *index; })) {
            reject(Value{where, key.name, {}}, "given twice; give it once");
        }
        result.push_back(
            {*index, equals == std::string::npos ? "true" : element.substr(equals + 1)});
    }
    return result;
}

void reject_choice(const Value& value, std::span<const KeyInfo> keys, bool none) {
    if (!none) {
        reject(value, "these exclude one another; give one of them");
    }
    std::vector<std::string_view> choices;
    for (const KeyInfo& key : keys) {
        if (!key.beside) {
            choices.push_back(key.name);
        }
    }
    reject(value, fmt::format("not enough; give one of {}, too", fmt::join(choices, ", ")));
}

void reject_unknown(std::string_view where, std::string_view what, std::string_view name,
                    std::span<const std::string_view> known) {
    const std::string problem = fmt::format("unknown {}", what);
    const Value value{where, {}, name};
    if (const std::optional<std::string_view> meant = nearest(name, known)) {
        reject(value, fmt::format("{}; did you mean '{}'?", problem, *meant));
    }
    reject(value, fmt::format("{}; known are {}", problem, fmt::join(known, ", ")));
}

}  // namespace cxlvm::config
