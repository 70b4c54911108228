// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/config/program_options.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm::config {

/// What a JSON file can say.
struct Configuration {
    VmConfig vm;
    ProgramConfig program;
    std::vector<std::string> given;  ///< names of the options that it does say something about
};

/// Reads a configuration written as JSON: an object of the options' names. A plain option's value
/// is a string, number or boolean (an array of strings for one that repeats); a list is an object
/// of its keys, or one string as the command line takes it; one that repeats is an array of those,
/// and one that needs no value may be true. What is not given keeps its default.
///
///     {"kernel": "vmlinuz", "initrd": ["a", "b"], "memory": {"size": "1G", "prefault": true},
///      "disk": [{"path": "root.img", "direct": true}, "data.img,readonly"]}
///
/// `name` stands for the text in messages. Throws io::Error (Fault::Input) for text that is not
/// JSON, unknown or repeated names, and values that cannot be used. Does not call validate().
[[nodiscard]] Configuration from_json(std::string_view text, std::string_view name);

/// Reads the file at `path`, of at most 1 MiB. Throws io::Error.
[[nodiscard]] Configuration load_json(const std::string& path);

/// The JSON that from_json turns into an equal configuration, indented, with a final newline.
/// Throws io::Error (Fault::Input) when a text is not UTF-8, which JSON cannot hold.
[[nodiscard]] std::string to_json(const VmConfig& vm, const ProgramConfig& program = {});

}  // namespace cxlvm::config
