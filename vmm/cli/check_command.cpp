// SPDX-License-Identifier: Apache-2.0
#include <sys/ioctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/cli/check_options.hpp"
#include "vmm/cli/commands.hpp"
#include "vmm/host_check/host_check.hpp"

namespace cxlvm::cli {

namespace {

using host_check::CheckItem;

std::string_view to_string(CheckItem::Status status) noexcept {
    switch (status) {
        case CheckItem::Status::Ok:
            return "ok";
        case CheckItem::Status::Warn:
            return "warn";
        case CheckItem::Status::Missing:
            return "missing";
        case CheckItem::Status::Info:
            break;
    }
    return "info";
}

std::string format_json(std::span<const CheckItem> items) {
    using Json = nlohmann::ordered_json;
    Json checks = Json::array();
    for (const CheckItem& item : items) {
        checks.push_back({{"name", item.name},
                          {"status", to_string(item.status)},
                          {"found", item.found},
                          {"remedy", item.remedy}});
    }
    const Json json = {{"usable", !check_has_errors(items)}, {"checks", std::move(checks)}};
    // What the host's files say need not be UTF-8.
    return json.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
}

host_check::TableStyle style_of_output() noexcept {
    host_check::TableStyle style;
    winsize size{};
    if (::isatty(STDOUT_FILENO) == 1) {
        style.color = true;
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 60) {
            style.width = size.ws_col;
        }
    }
    return style;
}

}  // namespace

int check_command(const Arguments& arguments) {
    CheckOptions options;
    apply(check_options(), arguments, options);
    const std::vector<CheckItem> items = host_check::check_host();
    print(options.json ? format_json(items) : format_table(items, style_of_output()));
    return check_has_errors(items) ? kHostError : 0;
}

}  // namespace cxlvm::cli
