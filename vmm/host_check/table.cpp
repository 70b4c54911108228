// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "vmm/host_check/host_check.hpp"

namespace cxlvm::host_check {

namespace {

struct Label {
    std::string_view text;
    std::string_view color;  // ANSI SGR
};

constexpr Label label_of(CheckItem::Status status) noexcept {
    switch (status) {
        case CheckItem::Status::Ok:
            return {"ok", "\033[32m"};
        case CheckItem::Status::Warn:
            return {"warn", "\033[33m"};
        case CheckItem::Status::Missing:
            return {"MISSING", "\033[1;31m"};
        case CheckItem::Status::Info:
            break;
    }
    return {"info", ""};
}

constexpr std::string_view kPlain = "\033[0m";
constexpr std::size_t kStatusWidth = 9;  // the longest label and two spaces
constexpr std::size_t kMinWidth = 60;

// Appends `text` in lines of at most `width` columns, broken at spaces where there are any; every
// line but the first begins with `indent` spaces.
void append_wrapped(std::string& out, std::string_view text, std::size_t width,
                    std::size_t indent) {
    for (bool first = true; first || !text.empty(); first = false) {
        if (!first) {
            out += '\n';
            out.append(indent, ' ');
        }
        if (text.size() <= width) {
            out += text;
            break;
        }
        std::size_t end = text.rfind(' ', width);
        if (end == std::string_view::npos || end == 0) {
            end = width;
        }
        out += text.substr(0, end);
        text.remove_prefix(end);
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    }
    out += '\n';
}

}  // namespace

std::string format_table(std::span<const CheckItem> items, const TableStyle& style) {
    std::size_t name_width = 0;
    for (const CheckItem& item : items) {
        name_width = std::max(name_width, item.name.size() + 2);
    }
    const std::size_t indent = kStatusWidth + name_width;
    // A name that leaves no room for text is a mistake of ours, not worth a broken table.
    const std::size_t width = std::max(std::max(style.width, kMinWidth), indent + 20) - indent;
    constexpr std::string_view kArrow = "-> ";

    std::string out;
    for (const CheckItem& item : items) {
        const Label label = label_of(item.status);
        const bool colored = style.color && !label.color.empty();
        out += colored ? label.color : std::string_view();
        out += label.text;
        out += colored ? kPlain : std::string_view();
        out.append(kStatusWidth - label.text.size(), ' ');
        out += fmt::format("{:{}}", item.name, name_width);
        append_wrapped(out, item.found, width, indent);
        if (!item.remedy.empty()) {
            out.append(indent, ' ');
            out += kArrow;
            append_wrapped(out, item.remedy, width - kArrow.size(), indent + kArrow.size());
        }
    }
    return out;
}

}  // namespace cxlvm::host_check
