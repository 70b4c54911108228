// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net_config.hpp"

#include <gtest/gtest.h>

#include <string>

#include "io/error.hpp"

namespace cxlvm::virtio::net {
namespace {

/// What is wrong with it; nothing when it is right.
std::string refusal(const NetConfig& config) {
    try {
        check(config);
        return {};
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        return error.what();
    }
}

TEST(NetConfigTest, WhatIsRightIsTaken) {
    EXPECT_EQ(refusal({.tap = "tap0"}), "");
    EXPECT_EQ(refusal({.tap = std::string(15, 'x'), .mtu = 65535, .queues = 16}), "");
    EXPECT_EQ(refusal({.fds = {3, 4}, .mtu = 68, .queues = 2}), "");
    EXPECT_EQ(refusal({.fds = {3, 4, 5}}), "");
    EXPECT_EQ(refusal({.passt = "", .mac = parse_mac("02:00:00:00:00:01")}), "");
    EXPECT_EQ(refusal({.passt = "/run/passt.socket"}), "");
    EXPECT_EQ(refusal({.tap = "tap0", .vhost = true}), "");
    EXPECT_EQ(refusal({.tap = "tap0", .vhost_fds = {3}}), "");
    EXPECT_EQ(refusal({.fds = {3, 4}, .vhost = true, .vhost_fds = {5, 6}}), "");
}

TEST(NetConfigTest, WhatIsWrongIsNamed) {
    const std::pair<NetConfig, const char*> cases[] = {
        {{}, "by one of tap=NAME, fd=N and passt"},
        {{.tap = "tap0", .passt = ""}, "by one of"},
        {{.tap = "tap0", .fds = {3}}, "by one of"},
        {{.tap = std::string(16, 'x')}, "at most 15 characters"},
        {{.tap = "a/b"}, "no name of an interface"},
        {{.tap = "tap%d"}, "no name of an interface"},
        {{.tap = ".."}, "no name of an interface"},
        {{.tap = "tap0", .queues = 17}, "queues=17: give 1 to 16"},
        {{.passt = "", .queues = 2}, "passt has one"},
        {{.fds = {3, 4}, .queues = 1}, "queues=1: 2 descriptors were given"},
        {{.fds = std::vector<int>(17, 3)}, "queues=17: give 1 to 16"},
        {{.tap = "tap0", .mac = MacAddress{}}, "mac=00:00:00:00:00:00"},
        {{.tap = "tap0", .mac = MacAddress{{1, 0, 0, 0, 0, 0}}}, "mac=01:00:00:00:00:00"},
        {{.tap = "tap0", .mtu = 67}, "mtu=67: give 68 to 65535"},
        {{.passt = "", .vhost = true}, "passt is no tap"},
        {{.passt = "", .vhost_fds = {3}}, "passt is no tap"},
        {{.tap = "tap0", .queues = 2, .vhost_fds = {3}}, "1 descriptors were given for 2 pairs"},
        {{.fds = {3}, .vhost_fds = {4, 5}}, "2 descriptors were given for 1 pairs"},
    };
    for (const auto& [config, text] : cases) {
        const std::string message = refusal(config);
        EXPECT_NE(message.find(text), std::string::npos) << message << " for " << text;
        EXPECT_EQ(message.rfind("--net: ", 0), 0U) << message;
    }
}

TEST(MacAddressTest, ReadsAndWrites) {
    const auto mac = parse_mac("02:aB:0c:00:ff:10");
    ASSERT_TRUE(mac);
    EXPECT_EQ(to_string(*mac), "02:ab:0c:00:ff:10");
    for (const char* const wrong :
         {"", "02:ab:0c:00:ff", "02:ab:0c:00:ff:1", "02:ab:0c:00:ff:100", "02-ab-0c-00-ff-10",
          "02:ab:0c:00:ff:1g", "02:ab:0c:00:ff: 1", "02:ab:0c:00:ff:+1", "0x:ab:0c:00:ff:10"}) {
        EXPECT_FALSE(parse_mac(wrong)) << wrong;
    }
}

TEST(MacAddressTest, ARandomOneIsUsable) {
    const MacAddress first = random_mac();
    EXPECT_TRUE(first.usable());
    EXPECT_NE(first, random_mac());
}

}  // namespace
}  // namespace cxlvm::virtio::net
