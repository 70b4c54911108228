// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "io/error.hpp"

namespace cxlvm::cpu {
namespace {

std::string message_of(const CpuConfig& config) {
    try {
        (void)topology_of(config);
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        return error.what();
    }
    return {};
}

TEST(Topology, puts_a_bare_count_into_one_socket_of_single_threaded_cores) {
    const Topology topology = topology_of({.count = 5});
    EXPECT_EQ(topology.sockets, 1U);
    EXPECT_EQ(topology.cores, 5U);
    EXPECT_EQ(topology.threads, 1U);
}

TEST(Topology, derives_the_numbers_that_are_left_open) {
    const Topology cores = topology_of({.count = 12, .sockets = 2, .threads = 2});
    EXPECT_EQ(cores.cores, 3U);
    const Topology sockets = topology_of({.count = 12, .cores = 2, .threads = 2});
    EXPECT_EQ(sockets.sockets, 3U);
    const Topology threads = topology_of({.count = 6, .sockets = 2, .cores = 3});
    EXPECT_EQ(threads.threads, 1U);
}

TEST(Topology, refuses_numbers_that_do_not_multiply_to_the_count) {
    using testing::HasSubstr;
    EXPECT_THAT(message_of({.count = 0}), HasSubstr("--cpus"));
    EXPECT_THAT(message_of({.count = 3, .sockets = 2}), HasSubstr("3 vCPUs"));
    EXPECT_THAT(message_of({.count = 4, .sockets = 8}), HasSubstr("--cpus"));
    EXPECT_THAT(message_of({.count = 4, .threads = 8}), HasSubstr("--cpus"));
    EXPECT_THAT(message_of({.count = 4, .cores = 3}), HasSubstr("--cpus"));
    EXPECT_THAT(message_of({.count = 4, .sockets = 1, .cores = 2, .threads = 1}),
                HasSubstr("--cpus"));
}

TEST(Topology, is_not_fooled_by_products_that_wrap) {
    const std::string message =
        message_of({.count = 4, .sockets = 0x8000'0001, .cores = 0x8000'0000, .threads = 8});
    EXPECT_THAT(message, testing::HasSubstr("--cpus"));
    EXPECT_FALSE(message_of({.count = 1, .cores = 0xffff'ffff, .threads = 0xffff'ffff}).empty());
}

TEST(ApicIds, are_dense_where_every_number_is_a_power_of_two) {
    EXPECT_THAT(apic_ids_of({.sockets = 2, .cores = 2, .threads = 2}),
                testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(ApicIds, leave_gaps_at_each_level_that_is_not_a_power_of_two) {
    EXPECT_THAT(apic_ids_of({.sockets = 2, .cores = 3, .threads = 1}),
                testing::ElementsAre(0, 1, 2, 4, 5, 6));
    EXPECT_THAT(apic_ids_of({.sockets = 1, .cores = 2, .threads = 3}),
                testing::ElementsAre(0, 1, 2, 4, 5, 6));
}

TEST(ApicIds, are_unique_and_share_high_bits_within_a_core_and_a_socket) {
    for (const Topology topology : {Topology{1, 300, 1}, Topology{3, 5, 3}, Topology{4, 64, 2}}) {
        std::set<std::uint32_t> seen;
        for (unsigned index = 0; index < topology.count(); ++index) {
            const std::uint32_t id = apic_id_of(topology, index);
            EXPECT_TRUE(seen.insert(id).second);
            EXPECT_EQ(id >> topology.socket_shift(), index / topology.threads_per_socket());
            const std::uint32_t core =
                (id >> topology.thread_bits()) &
                ((1U << (topology.socket_shift() - topology.thread_bits())) - 1);
            EXPECT_EQ(core, index / topology.threads % topology.cores);
        }
    }
}

}  // namespace
}  // namespace cxlvm::cpu
