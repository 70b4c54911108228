// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/check_options.hpp"

namespace cxlvm::cli {

namespace {

using config::Kind;

constexpr config::Key<CheckOptions> kJson[] = {
    {{{}, Kind::Flag, {}, {}, {}},
     [](CheckOptions& options, const config::Value& value) { options.json = parse_flag(value); },
     [](const CheckOptions& options) {
         return options.json ? std::vector<std::string>{"true"} : std::vector<std::string>{};
     }}};

constexpr config::Option<CheckOptions> kOptions[] = {
    {{"json", {}, "print JSON instead of a table"},
     kJson,
     [](CheckOptions& options) { options.json = false; }},
};

}  // namespace

std::span<const config::Option<CheckOptions>> check_options() noexcept {
    return kOptions;
}

}  // namespace cxlvm::cli
