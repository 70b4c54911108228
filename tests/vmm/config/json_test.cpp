// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "tests/vmm/config/expect_input_error.hpp"
#include "vmm/machine/pci_plan.hpp"

namespace cxlvm::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> texts_of(const std::vector<NamedPlace>& places) {
    std::vector<std::string> texts;
    for (const NamedPlace& one : places) {
        texts.push_back(std::string(one.option) + " " + one.place.bus + " " +
                        (one.place.root_port ? "port" : "bus"));
    }
    return texts;
}

std::vector<std::string> ids_of(const VmConfig& vm) {
    std::vector<std::string> ids;
    for (const HostBridgeConfig& bridge : vm.host_bridges) {
        ids.push_back(bridge.id);
    }
    return ids;
}

VmConfig everything() {
    VmConfig vm;
    vm.cpus = {8, 2, 2, 2};
    vm.memory = {3ULL << 30, PageBacking::Huge2M, true, 1};
    vm.boot = {"vm,lin\"uz", {"a", "b"}, "console=ttyS0 \\ \t", BootProtocol::Pvh, false};
    vm.serial = {SerialConfig::Kind::Unix, "/run/ü.sock"};
    vm.shutdown_timeout = 0;
    vm.kvm = "fd=7";
    vm.disks = {{.disk = {.path = "a,b", .read_only = true}, .id = "root"},
                {.disk = {.path = "fd=8", .direct = true},
                 .queues = 4,
                 .place = {.bus = "far", .root_port = true},
                 .rates = {.bytes = {.rate = 10 << 20, .burst = 1},
                           .operations = {.rate = 100, .burst = 30}}}};
    vm.host_bridges = {{.id = "far"}, {.id = "c,xl"}};
    vm.vsock = {.cid = 0xffff'fffe, .path = "/run/v,s", .place = {.root_port = true}};
    vm.console = SerialConfig{
        .kind = SerialConfig::Kind::File, .path = "c", .place = {.bus = "far", .root_port = true}};
    vm.rng = {.source = "/dev/hwrng", .place = {.bus = "c,xl"}};
    vm.devices = {{.address = "0000:41:00.0", .iommu = vfio::IommuChoice::Group, .id = "gpu"},
                  {.descriptor = "fd=9"},
                  {.sysfs = "/sys/d", .place = {.bus = "far"}}};
    vm.balloon = {.target = 3ULL << 20,
                  .deflate_on_oom = true,
                  .reporting = true,
                  .statistics = std::chrono::seconds(9)};
    return vm;
}

TEST(Json, ReadsWhatItWrites) {
    for (const VmConfig& vm : {VmConfig{}, everything()}) {
        const std::string text = to_json(vm);
        const VmConfig back = from_json(text, "vm.json").vm;
        EXPECT_EQ(to_json(back), text);
        EXPECT_EQ(back.cpus.count, vm.cpus.count);
        EXPECT_EQ(back.cpus.sockets, vm.cpus.sockets);
        EXPECT_EQ(back.cpus.cores, vm.cpus.cores);
        EXPECT_EQ(back.cpus.threads, vm.cpus.threads);
        EXPECT_EQ(back.memory.size, vm.memory.size);
        EXPECT_EQ(back.memory.backing, vm.memory.backing);
        EXPECT_EQ(back.memory.prefault, vm.memory.prefault);
        EXPECT_EQ(back.memory.numa_node, vm.memory.numa_node);
        EXPECT_EQ(back.boot.kernel, vm.boot.kernel);
        EXPECT_EQ(back.boot.initrds, vm.boot.initrds);
        EXPECT_EQ(back.boot.cmdline, vm.boot.cmdline);
        EXPECT_EQ(back.boot.protocol, vm.boot.protocol);
        EXPECT_EQ(back.boot.cache, vm.boot.cache);
        EXPECT_EQ(back.serial.kind, vm.serial.kind);
        EXPECT_EQ(back.serial.path, vm.serial.path);
        EXPECT_EQ(back.shutdown_timeout, vm.shutdown_timeout);
        EXPECT_EQ(back.kvm, vm.kvm);
        ASSERT_EQ(back.vsock.has_value(), vm.vsock.has_value());
        if (vm.vsock) {
            EXPECT_EQ(back.vsock->cid, vm.vsock->cid);
            EXPECT_EQ(back.vsock->path, vm.vsock->path);
        }
        ASSERT_EQ(back.console.has_value(), vm.console.has_value());
        ASSERT_EQ(back.rng.has_value(), vm.rng.has_value());
        ASSERT_EQ(back.balloon.has_value(), vm.balloon.has_value());
        if (vm.console) {
            EXPECT_EQ(back.console->kind, vm.console->kind);
            EXPECT_EQ(back.console->path, vm.console->path);
            EXPECT_EQ(back.rng->source, vm.rng->source);
            EXPECT_EQ(back.balloon->target, vm.balloon->target);
            EXPECT_EQ(back.balloon->deflate_on_oom, vm.balloon->deflate_on_oom);
            EXPECT_EQ(back.balloon->reporting, vm.balloon->reporting);
            EXPECT_EQ(back.balloon->statistics, vm.balloon->statistics);
        }
        EXPECT_EQ(ids_of(back), ids_of(vm));
        EXPECT_EQ(texts_of(places_of(back)), texts_of(places_of(vm)));
        ASSERT_EQ(back.disks.size(), vm.disks.size());
        for (std::size_t i = 0; i < vm.disks.size(); ++i) {
            EXPECT_EQ(back.disks[i].disk.path, vm.disks[i].disk.path);
            EXPECT_EQ(back.disks[i].disk.read_only, vm.disks[i].disk.read_only);
            EXPECT_EQ(back.disks[i].disk.direct, vm.disks[i].disk.direct);
            EXPECT_EQ(back.disks[i].id, vm.disks[i].id);
            EXPECT_EQ(back.disks[i].queues, vm.disks[i].queues);
            EXPECT_EQ(back.disks[i].rates, vm.disks[i].rates);
        }
    }
}

TEST(Json, WhatMayBeAbsentIsThereAsAnObjectATextOrTrue) {
    EXPECT_FALSE(from_json("{}", "f").vm.rng.has_value());
    for (const char* const text : {R"({"rng": {}})", R"({"rng": true})"}) {
        const VmConfig vm = from_json(text, "f").vm;
        ASSERT_TRUE(vm.rng.has_value()) << text;
        EXPECT_EQ(vm.rng->source, "") << text;
    }
    EXPECT_EQ(from_json(R"({"rng": "/dev/hwrng"})", "f").vm.rng.value().source, "/dev/hwrng");
    EXPECT_EQ(from_json(R"({"balloon": "1M,reporting"})", "f").vm.balloon.value().target, 1U << 20);
    EXPECT_EQ(from_json(R"({"balloon": {"target": 4096}})", "f").vm.balloon.value().target, 4096U);
    EXPECT_EQ(from_json(R"({"console": {"pty": true}})", "f").vm.console.value().kind,
              SerialConfig::Kind::Pty);
    const VmConfig placed = from_json(R"({"host-bridge": ["far", {"id": "x"}],
                      "console": {"bus": "far", "pty": true}, "balloon": "root-port"})",
                                      "f")
                                .vm;
    EXPECT_THAT(ids_of(placed), ElementsAre("far", "x"));
    EXPECT_THAT(texts_of(places_of(placed)), ElementsAre("console far bus", "balloon  port"));
    for (const char* const text :
         {R"({"console": {"bus": "far"}})",
          R"({"console": {"pty": true, "null": true, "bus": ""}})", R"({"host-bridge": true})",
          R"({"serial": {"pty": true, "bus": "far"}})", R"({"rng": false})", R"({"rng": []})",
          R"({"rng": [{}]})", R"({"rng": 1})", R"({"console": true})", R"({"console": {}})",
          R"({"balloon": {"target": true}})"}) {
        EXPECT_THAT(input_error([&] { (void)from_json(text, "f"); }), HasSubstr("f: ")) << text;
    }
}

TEST(Json, HoldsWhatTheProgramIsToldToo) {
    const ProgramConfig program{io::LogLevel::Debug, "a,b.log", "vm.pid", true};
    const std::string text = to_json({}, program);
    const Configuration back = from_json(text, "vm.json");
    EXPECT_EQ(to_json(back.vm, back.program), text);
    EXPECT_EQ(back.program.log_level, io::LogLevel::Debug);
    EXPECT_EQ(back.program.log_file, "a,b.log");
    EXPECT_EQ(back.program.pidfile, "vm.pid");
    EXPECT_TRUE(back.program.summary);
    EXPECT_EQ(from_json(R"({"log": "trace,file=a,,b"})", "f").program.log_file, "a,b");
    EXPECT_FALSE(from_json(R"({"summary": false})", "f").program.summary);
}

TEST(Json, TellsWhichOptionsItSaysSomethingAbout) {
    EXPECT_THAT(from_json(R"({"cpus": 2, "log": "off"})", "f").given, ElementsAre("cpus", "log"));
}

TEST(Json, WritesEachValueWithItsOwnType) {
    const std::string text = to_json(everything());
    EXPECT_THAT(text, HasSubstr(R"("count": 8)"));
    EXPECT_THAT(text, HasSubstr(R"("size": "3G")"));
    EXPECT_THAT(text, HasSubstr(R"("prefault": true)"));
    EXPECT_THAT(text, HasSubstr(R"("no-cache": true)"));
    EXPECT_EQ(text.back(), '\n');
}

TEST(Json, TakesAListAsAnObjectOrAsTheCommandLineWritesIt) {
    EXPECT_TRUE(
        from_json(R"({"memory": {"size": 1048576, "prefault": true}})", "f").vm.memory.prefault);
    EXPECT_EQ(from_json(R"({"memory": "1M,prefault"})", "f").vm.memory.size, 1U << 20);
    EXPECT_EQ(from_json(R"({"memory": 1048576})", "f").vm.memory.size, 1U << 20);
    EXPECT_EQ(from_json(R"({"cpus": 3})", "f").vm.cpus.count, 3U);
    EXPECT_EQ(from_json(R"({"serial": "null"})", "f").vm.serial.kind, SerialConfig::Kind::Null);
}

TEST(Json, TakesOneInitrdOrSeveral) {
    EXPECT_THAT(from_json(R"({"initrd": "a"})", "f").vm.boot.initrds, ElementsAre("a"));
    EXPECT_THAT(from_json(R"({"initrd": ["a", "b"]})", "f").vm.boot.initrds, ElementsAre("a", "b"));
    EXPECT_THAT(from_json(R"({"initrd": []})", "f").vm.boot.initrds, ElementsAre());
}

TEST(Json, TakesOneDiskOrSeveralEachAsAnObjectOrAsTheCommandLineWritesIt) {
    const auto disks = [](const char* text) { return from_json(text, "f").vm.disks; };
    EXPECT_EQ(disks(R"({"disk": "a,direct"})").at(0).disk.path, "a");
    EXPECT_EQ(disks(R"({"disk": {"path": "a", "queues": 2}})").at(0).queues, 2U);
    const auto both = disks(R"({"disk": ["a,readonly", {"path": "b"}]})");
    ASSERT_EQ(both.size(), 2U);
    EXPECT_TRUE(both[0].disk.read_only);
    EXPECT_EQ(both[1].disk.path, "b");
    EXPECT_FALSE(both[1].disk.read_only);
    EXPECT_TRUE(disks(R"({"disk": []})").empty());
}

TEST(Json, LeavesWhatIsNotGivenAtItsDefault) {
    EXPECT_EQ(to_json(from_json("{}", "f").vm), to_json(VmConfig{}));
}

TEST(Json, RefusesUnknownNamesAndSuggestsTheNearest) {
    EXPECT_THAT(input_error([] { (void)from_json(R"({"kernal": "k"})", "vm.json"); }),
                AllOf(HasSubstr("vm.json"), HasSubstr("kernal"), HasSubstr("'kernel'")));
    EXPECT_THAT(input_error([] { (void)from_json(R"({"memory": {"sise": 1}})", "vm.json"); }),
                AllOf(HasSubstr("vm.json: memory"), HasSubstr("sise"), HasSubstr("'size'")));
}

TEST(Json, RefusesAValueOfAnotherTypeAndNamesIt) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"kernel": 1})", "f: kernel"},
        {R"({"kernel": null})", "f: kernel"},
        {R"({"initrd": [["a"]]})", "f: initrd"},
        {R"({"initrd": {"a": 1}})", "f: initrd"},
        {R"({"no-cache": "yes"})", "true or false"},
        {R"({"cpus": {"count": "2"}})", "f: cpus: count"},
        {R"({"disk": ["a", 7]})", "f: disk"},
        {R"({"disk": [["a"]]})", "f: disk"},
        {R"({"vsock": {"cid": "3"}})", "f: vsock: cid"},
        {R"({"vsock": ["cid=3", "cid=4"]})", "f: vsock"},
        {R"({"disk": [{"path": 7}]})", "f: disk: path"},
        {R"({"cpus": -2})", "whole number"},
        {R"({"cpus": 1.5})", "whole number"},
        {R"({"cpus": 99999999999})", "f: cpus"},
        {R"({"memory": {"size": -1}})", "f: memory: size"},
        {R"({"memory": {"size": 1e30}})", "f: memory: size"},
        {R"({"memory": [1]})", "f: memory"},
        {R"({"serial": {"stdio": true, "null": true}})", "f: serial"},
        {R"({"serial": {}})", "f: serial"},
        {R"({"kernel": "a\u0000b"})", "NUL"},
    };
    for (const auto& [text, expected] : cases) {
        EXPECT_THAT(input_error([&, t = text] { (void)from_json(t, "f"); }), HasSubstr(expected))
            << text;
    }
}

TEST(Json, RefusesANameGivenTwice) {
    EXPECT_THAT(input_error([] { (void)from_json(R"({"kernel": "a", "kernel": "b"})", "f"); }),
                HasSubstr("'kernel': given twice"));
    EXPECT_THAT(input_error([] { (void)from_json(R"({"memory": {"size": 1, "size": 2}})", "f"); }),
                HasSubstr("'size': given twice"));
}

TEST(Json, RefusesWhatIsNotJsonAndSaysWhere) {
    EXPECT_THAT(input_error([] { (void)from_json("{\n\"kernel\": }", "vm.json"); }),
                AllOf(HasSubstr("vm.json: not JSON"), HasSubstr("line 2")));
    EXPECT_THAT(input_error([] { (void)from_json("", "f"); }), HasSubstr("not JSON"));
    EXPECT_THAT(input_error([] { (void)from_json("[1]", "f"); }), HasSubstr("must be an object"));
    EXPECT_THAT(input_error([] { (void)from_json("\"\xff\n\"", "f"); }), HasSubstr("not JSON"));
}

TEST(Json, RefusesANumberThatNoTypeHolds) {
    EXPECT_THAT(input_error([] { (void)from_json(R"({"cpus": 3e99999})", "vm.json"); }),
                AllOf(HasSubstr("vm.json: not JSON"), HasSubstr("number overflow")));
}

std::string nested(std::size_t depth, std::string_view open, std::string_view close) {
    std::string text;
    for (std::size_t level = 0; level < depth; ++level) {
        text += open;
    }
    text += '1';
    for (std::size_t level = 0; level < depth; ++level) {
        text += close;
    }
    return text;
}

TEST(Json, RefusesDeepNestingWithoutFollowingIt) {
    const std::string texts[] = {
        std::string(200000, '['),
        R"({"cpus": )" + nested(200000, "[", "]") + "}",
        R"({"kernel": )" + nested(200000, "[", "]") + "}",
        R"({"initrd": )" + nested(200000, "[", "]") + "}",
        R"({"memory": )" + nested(100000, R"({"size":)", "}") + "}",
    };
    for (const std::string& text : texts) {
        EXPECT_THAT(input_error([&] { (void)from_json(text, "f"); }),
                    AllOf(HasSubstr("f: "), HasSubstr("nested too deeply")))
            << text.substr(0, 20);
    }
}

TEST(Json, RefusesMoreKeysThanThereAreOptionsWithoutComparingThemAll) {
    std::string keys;
    for (unsigned key = 0; key < 100000; ++key) {
        keys += (key == 0 ? "\"" : ",\"") + std::to_string(key) + "\":0";
    }
    for (const std::string& text : {"{" + keys + "}", R"({"memory": {)" + keys + "}}"}) {
        EXPECT_THAT(input_error([&] { (void)from_json(text, "f"); }),
                    AllOf(HasSubstr("f: "), HasSubstr("too many keys")));
    }
}

TEST(Json, QuotesTheBeginningOfWhatIsLong) {
    const std::string longest(100000, '1');
    for (const std::string& text :
         {R"({"cpus": )" + longest + "}", R"({"kernel": ")" + longest, R"({"log": )" + longest,
          R"({"kernel": [")" + longest + "\"]}", R"({")" + longest + R"(": 1})"}) {
        EXPECT_LT(input_error([&] { (void)from_json(text, "f"); }).size(), 1000U)
            << text.substr(0, 20);
    }
}

TEST(Json, RefusesToWriteTextThatIsNotUtf8) {
    VmConfig vm;
    vm.boot.kernel = "\xff\xfe";
    EXPECT_EQ(input_error([&] { (void)to_json(vm); }),
              "--kernel: not UTF-8, and JSON holds no other text; give another");
    ProgramConfig program;
    program.log_file = "\xff.log";
    EXPECT_THAT(input_error([&] { (void)to_json({}, program); }), HasSubstr("--log: not UTF-8"));
}

TEST(Json, IsReadFromAFileThatMessagesName) {
    const std::string path = testing::TempDir() + "cxlvm_json_test.json";
    std::ofstream(path) << R"({"cpus": 2})";
    EXPECT_EQ(load_json(path).vm.cpus.count, 2U);
    std::ofstream(path) << std::string((1 << 20) + 1, ' ');
    EXPECT_THAT(input_error([&] { (void)load_json(path); }),
                AllOf(HasSubstr(path), HasSubstr("1 MiB")));
    std::remove(path.c_str());
    EXPECT_THAT(input_error([&] { (void)load_json(path); }),
                AllOf(HasSubstr("--config"), HasSubstr(path)));
}

TEST(Json, SaysWhichFileCannotBeRead) {
    try {
        (void)load_json("/proc/self/mem");  // opens, and is an error to read at 0
        FAIL() << "nothing was thrown";
    } catch (const io::Error& error) {
        EXPECT_STREQ(error.what(),
                     "--config: cannot read /proc/self/mem: Input/output error; see the kernel's "
                     "log (dmesg) for the disk");
        EXPECT_EQ(error.fault(), io::Fault::Host);
    }
}

TEST(Json, IsNotWaitedForInAPipe) {
    const std::string path = testing::TempDir() + "cxlvm_json_test.pipe";
    std::remove(path.c_str());
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_THAT(input_error([&] { (void)load_json(path); }),
                AllOf(HasSubstr("--config"), HasSubstr(path), HasSubstr("a pipe")));
    std::remove(path.c_str());
}

}  // namespace
}  // namespace cxlvm::config
