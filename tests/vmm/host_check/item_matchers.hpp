// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <string>

#include "vmm/host_check/host_check.hpp"

namespace cxlvm::host_check::test {

/// The item of that name; a failure, and an empty item, when there is none.
inline CheckItem item_named(std::span<const CheckItem> items, const std::string& name) {
    for (const CheckItem& item : items) {
        if (item.name == name) {
            return item;
        }
    }
    ADD_FAILURE() << "no item " << name;
    return {};
}

/// What the table promises of every item: a lack comes with a remedy, each in one line.
inline void expect_well_formed(std::span<const CheckItem> items) {
    for (const CheckItem& item : items) {
        EXPECT_FALSE(item.name.empty());
        EXPECT_FALSE(item.found.empty()) << item.name;
        EXPECT_EQ((item.name + item.found + item.remedy).find('\n'), std::string::npos)
            << item.name;
        if (item.status == CheckItem::Status::Warn || item.status == CheckItem::Status::Missing) {
            EXPECT_FALSE(item.remedy.empty()) << item.name;
        }
        if (item.status == CheckItem::Status::Ok) {
            EXPECT_TRUE(item.remedy.empty()) << item.name;
        }
    }
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace cxlvm::host_check::test
