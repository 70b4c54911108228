// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/host_check.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/memory/fake_tree.hpp"
#include "tests/vmm/host_check/item_matchers.hpp"

namespace cxlvm::host_check {
namespace {

using test::item_named;

TEST(CheckHost, AnEmptyTreeLacksKvmAndIsAnError) {
    const cxlvm::test::FakeTree tree;
    const std::vector<CheckItem> items = check_host({.root = tree.root()});
    test::expect_well_formed(items);
    EXPECT_EQ(item_named(items, "KVM device").status, CheckItem::Status::Missing);
    EXPECT_TRUE(check_has_errors(items));
}

TEST(CheckHost, EveryItemHasANameOfItsOwn) {
    const std::vector<CheckItem> items = check_host({.measure_speed = false});
    std::set<std::string> names;
    for (const CheckItem& item : items) {
        EXPECT_TRUE(names.insert(item.name).second) << item.name;
    }
    EXPECT_GE(names.size(), 20U);
}

TEST(CheckHost, TheTableOfThisHostFitsAHundredColumns) {
    const std::vector<CheckItem> items = check_host({.measure_speed = false});
    test::expect_well_formed(items);
    const std::string table = format_table(items);
    std::size_t begin = 0;
    for (std::size_t end = table.find('\n'); end != std::string::npos;
         end = table.find('\n', begin)) {
        EXPECT_LE(end - begin, 100U) << table.substr(begin, end - begin);
        begin = end + 1;
    }
    EXPECT_EQ(begin, table.size());
}

}  // namespace
}  // namespace cxlvm::host_check
