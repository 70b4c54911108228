// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/kvm_speed.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/vmm/host_check/item_matchers.hpp"
#include "vmm/host_check/items.hpp"

namespace cxlvm::host_check {
namespace {

class RealKvm : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::access("/dev/kvm", R_OK | W_OK) != 0) {
            GTEST_SKIP() << "/dev/kvm is not usable here";
        }
    }
};

TEST_F(RealKvm, RunsTheLoopAndIsClassifiedByItsSpeed) {
    const KvmSpeed speed = measure_kvm_speed();
    EXPECT_EQ(speed.error, "");
    EXPECT_NE(speed.kind, KvmSpeed::Kind::Absent);
    EXPECT_EQ(speed.kind, classify_speed(speed.ns_per_instruction));
    EXPECT_GE(speed.ns_per_instruction, 0);
    EXPECT_GT(speed.ns_per_exit, 0);
    // No machine, however slow, takes a second for either.
    EXPECT_LT(speed.ns_per_instruction, 1e9);
    EXPECT_LT(speed.ns_per_exit, 1e9);
}

TEST_F(RealKvm, IsClassifiedAlikeEachTime) {
    const KvmSpeed::Kind first = measure_kvm_speed().kind;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(measure_kvm_speed().kind, first);
    }
}

TEST_F(RealKvm, AnswersWithAllThatIsNeeded) {
    const KvmFacts facts = gather_kvm_facts("/dev/kvm", false);
    EXPECT_EQ(facts.api_version, 12);
    EXPECT_GE(facts.max_vcpus, 1);
    EXPECT_GE(facts.address_bits, 32U);
    EXPECT_LE(facts.address_bits, 64U);
    const Items items = kvm_items(facts);
    test::expect_well_formed(items);
    EXPECT_FALSE(check_has_errors(items));
}

}  // namespace
}  // namespace cxlvm::host_check
