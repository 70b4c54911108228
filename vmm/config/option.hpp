// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/config/value.hpp"

namespace cxlvm::config {

/// What JSON calls the type of a key's value.
enum class Kind : std::uint8_t {
    Flag,    ///< true or false; on the command line its name alone is true
    Number,  ///< a whole number
    Size,    ///< bytes: a number, or a string with a suffix
    Text,    ///< a string
};

/// What the help, the man page and messages say about a key.
struct KeyInfo {
    std::string_view name;    ///< empty for the only key of a plain option
    Kind kind;                ///< of the value
    std::string_view values;  ///< placeholder or choices, such as "SIZE" or "2M|1G"
    std::string_view unset;   ///< what it means that the key is not given, for the help
    std::string_view help;    ///< one line
    bool beside = false;      ///< of an exclusive option: goes with whichever key is chosen
};

/// A key of a T: how a value gets into it and out again.
template <typename T>
struct Key : KeyInfo {
    /// Throws io::Error when the value cannot be used.
    void (*set)(T& target, const Value& value);
    /// What `set` would have to be given, once per value; empty when the key is not set.
    std::vector<std::string> (*get)(const T& target);
};

struct OptionInfo {
    std::string_view name;    ///< without the dashes
    std::string_view values;  ///< placeholder of the whole value, empty for a flag
    std::string_view help;    ///< one line
    bool repeats = false;     ///< may be given several times
    bool exclusive = false;   ///< exactly one of its keys, apart from those that go beside
    bool bare = false;        ///< its name alone will do: all keys keep their defaults
};

/// How an option that repeats as a list of keys, or that may be absent, finds its elements in a T.
/// The keys are those of the last element; of a T that has none they give the defaults back.
template <typename T>
struct Elements {
    void (*add)(T& target);  ///< one more, with all defaults
    std::size_t (*count)(const T& target);
    /// A T with no other element than this one.
    T (*only)(const T& target, std::size_t index);
};

/// An option: either plain (one key without a name, the value is taken whole) or a list
/// "VALUE,key=value,flag". The value of a list's first key may stand alone in front, unless that
/// key is a flag; if it is text, so may "fd=N" and a path with a folder, whatever else is in it. A
/// comma inside a value is written twice.
template <typename T>
struct Option : OptionInfo {
    std::span<const Key<T>> keys;
    /// Sets everything that the option covers to its default: a later source replaces an earlier.
    void (*reset)(T& target);
    const Elements<T>* elements = nullptr;  ///< of one that repeats, or is absent unless given

    [[nodiscard]] bool is_plain() const noexcept { return keys.front().name.empty(); }
    [[nodiscard]] bool is_flag() const noexcept {
        return is_plain() && keys.front().kind == Kind::Flag;
    }
};

/// One element of a list, before anybody looked at its value.
struct Element {
    std::size_t key;   ///< index among the option's keys
    std::string text;  ///< value; "true" for a flag given by its name alone
};

/// Splits a list. Throws io::Error for an unknown key (naming the nearest), for one without a value
/// that needs one, and for a key given twice.
[[nodiscard]] std::vector<Element> split_list(std::string_view where, std::string_view text,
                                              std::span<const KeyInfo> keys);

/// Throws io::Error: of keys that exclude one another there are several, or none at all.
[[noreturn]] void reject_choice(const Value& value, std::span<const KeyInfo> keys, bool none);

/// Throws io::Error: `name` is none of `known`; with the nearest of them when there is one.
[[noreturn]] void reject_unknown(std::string_view where, std::string_view what,
                                 std::string_view name, std::span<const std::string_view> known);

template <typename T>
[[nodiscard]] std::vector<KeyInfo> key_infos(const Option<T>& option) {
    return {option.keys.begin(), option.keys.end()};
}

template <typename T>
[[nodiscard]] std::vector<std::string_view> names(std::span<const Option<T>> options) {
    std::vector<std::string_view> result;
    for (const Option<T>& option : options) {
        result.push_back(option.name);
    }
    return result;
}

/// Adds `text`, one value of `option`, to `target`. `where` is named in messages. Throws io::Error.
template <typename T>
void parse_option(const Option<T>& option, std::string_view where, std::string_view text,
                  T& target) {
    if (option.is_plain()) {
        option.keys.front().set(target, Value{where, {}, text});
        return;
    }
    if (option.bare && text.empty()) {
        option.elements->add(target);
        return;
    }
    const std::vector<Element> elements = split_list(where, text, key_infos(option));
    const auto chosen = std::count_if(elements.begin(), elements.end(), [&](const Element& one) {
        return !option.keys[one.key].beside;
    });
    if (option.exclusive && chosen != 1) {
        reject_choice(Value{where, {}, text}, key_infos(option), chosen == 0);
    }
    if (option.elements != nullptr) {
        option.elements->add(target);
    }
    for (const Element& element : elements) {
        const Key<T>& key = option.keys[element.key];
        key.set(target, Value{where, key.name, element.text});
    }
}

}  // namespace cxlvm::config
