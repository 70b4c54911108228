// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstddef>

#include "io/mapping.hpp"
#include "memory/address_space.hpp"
#include "tests/memory/fake_memory.hpp"

namespace cxlvm::test {

/// A space of eight regions, a handler, and four pages for regions of memory.
class AddressSpaceTest : public ::testing::Test {
  protected:
    [[nodiscard]] Region::Backing backing(std::size_t first, std::size_t count) const {
        return {.host = pages_.bytes().subspan(first * kPage, count * kPage)};
    }

    io::Mapping pages_ = test::anonymous_pages(4);
    FakeHandler handler_;
    AddressSpace space_{8};
};

}  // namespace cxlvm::test
