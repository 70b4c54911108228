// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/json.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "io/open_error.hpp"
#include "vmm/config/vm_options.hpp"

namespace cxlvm::config {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLargestFile = 1 << 20;
/// More than any configuration has. What Json does with a value is recursive, and takes a time that
/// grows with the square of the number of keys.
constexpr int kDeepest = 8;
constexpr std::size_t kMostKeys = 64;
constexpr std::size_t kLongestCause = 400;

/// Refuses what the parser takes and no configuration has: an object that names a key twice, of
/// which it would keep the last one silently, deep nesting, and very many keys.
class Strictness {
  public:
    explicit Strictness(std::string_view name) : name_(name) {}

    bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
        if (depth > kDeepest) {
            reject(Value{name_, {}, {}},
                   "arrays or objects are nested too deeply; a list of an "
                   "option's keys is an object of plain values");
        }
        if (event == Json::parse_event_t::object_start) {
            objects_.emplace_back();
        } else if (event == Json::parse_event_t::object_end) {
            objects_.pop_back();
        } else if (event == Json::parse_event_t::key) {
            const auto& key = parsed.get_ref<const std::string&>();
            std::vector<std::string>& seen = objects_.back();
            if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
                reject(Value{name_, {}, key}, "given twice; give it once");
            }
            if (seen.size() == kMostKeys) {
                reject(Value{name_, {}, key},
                       fmt::format("too many keys; no object has more than {}", kMostKeys));
            }
            seen.push_back(key);
        }
        return true;
    }

  private:
    std::string_view name_;
    std::vector<std::vector<std::string>> objects_;
};

Json parse(std::string_view text, std::string_view name) {
    try {
        return Json::parse(text.begin(), text.end(), Strictness(name));
    } catch (const Json::exception& error) {
        // A parse_error, or an out_of_range for a number that no double holds.
        // "[json.exception...] parse error at line 1, column 2: ..."; the tag says nothing to
        // users.
        std::string_view what = error.what();
        if (const std::size_t tag = what.find("] "); tag != what.npos) {
            what.remove_prefix(tag + 2);
        }
        const bool cut = what.size() > kLongestCause;  // it quotes a token, which may fill the file
        reject(Value{name, {}, {}},
               fmt::format("not JSON: {}{}", what.substr(0, kLongestCause), cut ? "..." : ""));
    }
}

/// A JSON scalar as the command line would have it. Throws io::Error when the type is not the
/// key's.
std::string scalar(const Json& json, Kind kind, const Value& value) {
    const auto mismatch = [&](std::string_view expected) {
        const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
        reject(Value{value.where, value.key, text}, fmt::format("must be {}", expected));
    };
    switch (kind) {
        case Kind::Flag:
            if (!json.is_boolean()) {
                mismatch("true or false");
            }
            return json.get<bool>() ? "true" : "false";
        case Kind::Number:
            if (!json.is_number_unsigned()) {
                mismatch("a whole number");
            }
            return json.dump();
        case Kind::Size:
            if (json.is_number_unsigned()) {
                return json.dump();
            }
            if (!json.is_string()) {
                mismatch("a number of bytes, or a string such as \"512M\"");
            }
            break;
        case Kind::Text:
            if (!json.is_string()) {
                mismatch("a string");
            }
            break;
    }
    return json.get<std::string>();
}

template <typename T>
void read_plain(const Option<T>& option, const std::string& where, const Json& json, T& target) {
    const Key<T>& key = option.keys.front();
    const auto set = [&](const Json& one) {
        const std::string text = scalar(one, key.kind, Value{where, {}, {}});
        key.set(target, Value{where, {}, text});
    };
    if (option.repeats && json.is_array()) {
        std::for_each(json.begin(), json.end(), set);
    } else {
        set(json);
    }
}

template <typename T>
void read_keys(const Option<T>& option, const std::string& where, const Json& json, T& target) {
    const auto beside = std::count_if(
        option.keys.begin(), option.keys.end(),
        [&](const KeyInfo& key) { return key.beside && json.contains(std::string(key.name)); });
    if (option.exclusive && json.size() != static_cast<std::size_t>(beside) + 1) {
        reject(Value{where, {}, {}}, beside == 0
                                         ? "give exactly one of its keys"
                                         : "give exactly one of its keys beside bus and root-port");
    }
    if (option.elements != nullptr) {
        option.elements->add(target);
    }
    for (const auto& item : json.items()) {
        const std::string& name = item.key();
        const auto key = std::find_if(option.keys.begin(), option.keys.end(),
                                      [&](const KeyInfo& info) { return info.name == name; });
        if (key == option.keys.end()) {
            std::vector<std::string_view> known;
            for (const KeyInfo& info : option.keys) {
                known.push_back(info.name);
            }
            reject_unknown(where, "key", name, known);
        }
        const std::string text = scalar(item.value(), key->kind, Value{where, key->name, {}});
        key->set(target, Value{where, key->name, text});
    }
}

/// An object of keys, or the text or number that the command line would have in its place; true
/// where it would have nothing.
template <typename T>
void read_list(const Option<T>& option, const std::string& where, const Json& json, T& target) {
    if (json.is_object()) {
        read_keys(option, where, json, target);
        return;
    }
    if (option.bare && json.is_boolean() && json.get<bool>()) {
        parse_option(option, where, {}, target);
        return;
    }
    const Kind kind = json.is_string() ? Kind::Text : option.keys.front().kind;
    parse_option(option, where, scalar(json, kind, Value{where, {}, {}}), target);
}

Json typed(Kind kind, const std::string& text) {
    switch (kind) {
        case Kind::Flag:
            return text == "true";
        case Kind::Number:
            return std::stoul(text);
        default:
            return text;
    }
}

template <typename T>
Json to_object(const Option<T>& option, const T& source) {
    Json object = Json::object();
    for (const Key<T>& key : option.keys) {
        for (const std::string& text : key.get(source)) {
            object[std::string(key.name)] = typed(key.kind, text);
        }
    }
    return object;
}

/// An array of objects, or for what is given once at most that object.
template <typename T>
Json to_elements(const Option<T>& option, const T& source) {
    Json array = Json::array();
    for (std::size_t index = 0; index < option.elements->count(source); ++index) {
        array.push_back(to_object(option, option.elements->only(source, index)));
    }
    return array.empty() ? Json() : option.repeats ? array : array.front();
}

template <typename T>
Json to_plain(const Option<T>& option, const T& source) {
    const Key<T>& key = option.keys.front();
    const std::vector<std::string> texts = key.get(source);
    if (option.repeats) {
        return texts.empty() ? Json() : Json(texts);
    }
    return texts.empty() ? Json() : typed(key.kind, texts.front());
}

/// Reads the value of one option when it is in the table: false when it is not.
template <typename T>
bool read_option(std::span<const Option<T>> options, std::string_view name, const std::string& key,
                 const Json& value, T& target) {
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&](const OptionInfo& info) { return info.name == key; });
    if (option == options.end()) {
        return false;
    }
    const std::string where = fmt::format("{}: {}", name, key);
    if (option->is_plain()) {
        option->reset(target);
        read_plain(*option, where, value, target);
    } else if (option->repeats && value.is_array()) {
        for (const Json& one : value) {
            read_list(*option, where, one, target);
        }
    } else {
        read_list(*option, where, value, target);
    }
    return true;
}

template <typename T>
void write_options(std::span<const Option<T>> options, const T& source, Json& json) {
    for (const Option<T>& option : options) {
        Json value = option.is_plain()            ? to_plain(option, source)
                     : option.elements != nullptr ? to_elements(option, source)
                                                  : to_object(option, source);
        if (!value.is_null()) {
            json[std::string(option.name)] = std::move(value);
        }
    }
}

}  // namespace

Configuration from_json(std::string_view text, std::string_view name) {
    const Json json = parse(text, name);
    if (!json.is_object()) {
        reject(Value{name, {}, {}}, "the outermost value must be an object: {\"kernel\": ...}");
    }
    Configuration read;
    for (const auto& item : json.items()) {
        const std::string& key = item.key();
        if (!read_option(vm_options(), name, key, item.value(), read.vm) &&
            !read_option(program_options(), name, key, item.value(), read.program)) {
            std::vector<std::string_view> known = names(vm_options());
            const std::vector<std::string_view> others = names(program_options());
            known.insert(known.end(), others.begin(), others.end());
            reject_unknown(name, "option", key, known);
        }
        read.given.push_back(key);
    }
    return read;
}

Configuration load_json(const std::string& path) {
    const io::Fd file = io::open_regular_file(path, "--config");
    std::string text(kLargestFile + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t count = io::retry_eintr(
            [&] { return ::read(file.get(), text.data() + size, text.size() - size); });
        if (count < 0) {
            io::throw_open_error(errno, {.path = path, .option = "--config", .action = "read"});
        }
        if (count == 0) {
            text.resize(size);
            return from_json(text, path);
        }
        size += static_cast<std::size_t>(count);
    }
    io::throw_input(fmt::format("--config: {}: larger than 1 MiB; give a configuration", path));
}

std::string to_json(const VmConfig& vm, const ProgramConfig& program) {
    Json json = Json::object();
    write_options(vm_options(), vm, json);
    write_options(program_options(), program, json);
    for (const auto& item : json.items()) {
        try {
            static_cast<void>(item.value().dump());
        } catch (const Json::type_error&) {
            io::throw_input(fmt::format(
                "--{}: not UTF-8, and JSON holds no other text; give another", item.key()));
        }
    }
    return json.dump(4) + "\n";
}

}  // namespace cxlvm::config
