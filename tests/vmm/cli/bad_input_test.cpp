// SPDX-License-Identifier: Apache-2.0
// What is refused while the machine is built: one line, the exit code, and nothing behind.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <span>

#include "tests/vmm/boot/image_builder.hpp"
#include "tests/vmm/cli/bad_case.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm::cli {
namespace {

namespace images = boot::test;

class BadInput : public testing::TestWithParam<BadCase> {
  protected:
    void SetUp() override {
        if (const auto why = test::kvm_missing()) {
            GTEST_SKIP() << *why;
        }
        const auto elf = images::make_elf64(images::linux_like());
        write("vmlinux", elf);
        write("cut.vmlinux", std::span(elf).first(elf.size() - 100));
        auto spec = images::linux_like();
        spec.machine = EM_AARCH64;
        write("arm.vmlinux", images::make_elf64(spec));
        spec = images::linux_like();
        spec.segments.back().memory_size = 1ULL << 30;
        write("large.vmlinux", images::make_elf64(spec));
        const auto packed = images::make_bzimage(images::pack(boot::PayloadFormat::Gzip, elf));
        write("cut.bzimage", std::span(packed).first(packed.size() - 1000));
        write("text", images::bytes_of("no kernel at all, but long enough to look at\n"));
        write("empty", {});
        write("secret", elf);
        std::filesystem::permissions(runner_.file("secret"), std::filesystem::perms::none);
        EXPECT_EQ(::truncate(runner_.file("empty").c_str(), 0), 0);
        write("large.initrd", {});
        EXPECT_EQ(::truncate(runner_.file("large.initrd").c_str(), 300 << 20), 0);
        EXPECT_EQ(::mkfifo(runner_.file("pipe").c_str(), 0600), 0);
    }
    void write(const std::string& name, std::span<const std::byte> bytes) {
        std::ofstream(runner_.file(name))
            .write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }
    BadCaseRunner runner_;
};

TEST_P(BadInput, EndsWithOneLineThatSaysWhatToDo) {
#if defined(__SANITIZE_ADDRESS__)
    if (GetParam().limit && GetParam().limit->resource == RLIMIT_NOFILE) {
        GTEST_SKIP() << "without a free descriptor UBSan takes any object for one of a wrong type: "
                        "it tries addresses with a pipe";
    }
#endif
    runner_.run(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, BadInput,
    testing::Values(
        BadCase{"Missing",
                {"--kernel", "@/none"},
                35,
                {"--kernel: cannot open @/none: No such file or directory; check the path"}},
        BadCase{"Folder", {"--kernel", "@"}, 35, {"--kernel: @: is a folder; give a regular file"}},
        BadCase{"Pipe",
                {"--kernel", "@/pipe"},
                35,
                {"--kernel: @/pipe: is a pipe; give a regular file"}},
        BadCase{"Unreadable",
                {"--kernel", "@/secret"},
                35,
                {"--kernel: cannot open @/secret: Permission denied; make it readable"}},
        BadCase{"Empty",
                {"--kernel", "@/empty"},
                35,
                {"--kernel: @/empty: the file is empty; give another"}},
        BadCase{"Foreign",
                {"--kernel", "@/text"},
                35,
                {"@/text is neither a bzImage nor an ELF file; give a Linux kernel"}},
        BadCase{"OtherProcessor",
                {"--kernel", "@/arm.vmlinux"},
                35,
                {"@/arm.vmlinux: an ELF file for ", "give an x86-64 kernel"}},
        BadCase{"Program", {"--kernel", CXLVM_BINARY}, 35, {CXLVM_BINARY ": ", "not a kernel"}},
        BadCase{"TruncatedElf",
                {"--kernel", "@/cut.vmlinux"},
                35,
                {"@/cut.vmlinux: truncated: ", "copy it again"}},
        BadCase{"TruncatedBzImage",
                {"--kernel", "@/cut.bzimage"},
                35,
                {"@/cut.bzimage: truncated bzImage: ", "copy it again"}},
        BadCase{"Oversized",
                {"--kernel", "@/large.vmlinux"},
                35,
                {"@/large.vmlinux: the kernel needs ", "give it more with --memory"}},
        BadCase{"NoPvhEntry",
                {"--kernel", "@/vmlinux", "--boot", "pvh"},
                35,
                {"@/vmlinux: has no PVH entry", "use --boot linux"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Initrds, BadInput,
    testing::Values(
        BadCase{"Missing",
                {"--kernel", "@/vmlinux", "--initrd", "@/none"},
                35,
                {"--initrd: cannot open @/none: No such file or directory; check the path"}},
        BadCase{"Folder",
                {"--kernel", "@/vmlinux", "--initrd", "@"},
                35,
                {"--initrd: @: is a folder; give a regular file"}},
        BadCase{"Empty",
                {"--kernel", "@/vmlinux", "--initrd", "@/empty"},
                35,
                {"--initrd: @/empty: the file is empty; give another"}},
        BadCase{"Oversized",
                {"--kernel", "@/vmlinux", "--initrd", "@/large.initrd"},
                35,
                {"@/large.initrd: ", "do not fit", "--memory"}},
        BadCase{"OverTheKernel",
                {"--kernel", "@/vmlinux", "--memory", "3M", "--initrd", "@/vmlinux", "--initrd",
                 "@/large.initrd"},
                35,
                {"@/vmlinux and 1 more: ", "beside the kernel at ", "--memory"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Hosts, BadInput,
    testing::Values(
        BadCase{"MoreMemoryThanThereIs",
                {"--memory", "32T"},
                35,
                {"--memory: 32 TiB is more than ", "ask for less"}},
        BadCase{"MoreCpusThanKvmHas",
                {"--cpus", "65536"},
                35,
                {"--cpus: 65536 are more than this host's KVM gives one guest; give at most"}},
        BadCase{"OutputInNoFolder",
                {"--serial", "file=@/none/console"},
                35,
                {"--serial: cannot open @/none/console: No such file or directory; make its folder "
                 "first"}},
        BadCase{"OutputIsAFolder",
                {"--serial", "file=@"},
                35,
                {"--serial: cannot open @: Is a directory; give a file"}},
        BadCase{"OutputIsAProgram",
                {"--serial", "file=" CXLVM_BINARY},
                35,
                {"--serial: cannot open " CXLVM_BINARY ": a program runs from it"}},
        BadCase{"OutputIsAPipe",
                {"--serial", "file=@/pipe"},
                35,
                {"--serial: cannot open @/pipe: nobody reads this pipe; start its reader"}},
        BadCase{"OutputWithoutPermission",
                {"--serial", "file=@/secret"},
                35,
                {"--serial: cannot open @/secret: Permission denied; give a path that you may "
                 "write to"}},
        BadCase{"SocketInNoFolder",
                {"--serial", "unix=@/none/socket"},
                35,
                {"--serial: cannot make the socket @/none/socket: No such file or directory; make "
                 "its folder first"}},
        BadCase{"VsockInNoFolder",
                {"--serial", "null", "--vsock", "cid=3,path=@/none/socket"},
                35,
                {"--vsock: cannot make the socket @/none/socket: No such file or directory; make "
                 "its folder first"}},
        BadCase{"VsockIsAFile",
                {"--serial", "null", "--vsock", "cid=3,path=@/text"},
                35,
                {"--vsock: @/text: it is there, and no socket; remove it"}},
        BadCase{"SocketIsAFile",
                {"--serial", "unix=@/text"},
                35,
                {"--serial: @/text: it is there, and no socket; remove it"}},
        BadCase{"SocketOfALongName",
                {"--serial", "unix=@/" + std::string(108, 'x')},
                35,
                {"--serial: @/xxx", "at most 107 bytes; shorten it"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Limits, BadInput,
    testing::Values(
        BadCase{"OpenFiles",
                {},
                1,
                {"", "Too many open files", "raise the limit of open files (", "ulimit -n"},
                {{RLIMIT_NOFILE, 8}}},
        // The signal that comes with it would end the program, and leave the pidfile.
        BadCase{"FileSize",
                {"--memory", "64M,shared"},
                1,
                {"--memory: cannot make a file of 64 MiB: File too large; raise the limit of a "
                 "file's size (ulimit -f)"},
                {{RLIMIT_FSIZE, 1 << 20}}}),
    [](const auto& test) { return test.param.name; });

class SecondVm : public test::KvmTest {
  protected:
    BadCaseRunner runner_;
    ProgramRunner first_;
};

TEST_F(SecondVm, TouchesNothingThatAnotherHolds) {
    const auto start_first = [&](const std::string& serial, const std::string& made) {
        const pid_t child = first_.start(
            {"run", "--cmdline", "hang", "--pidfile", runner_.file("held"), "--serial", serial});
        EXPECT_TRUE(test::eventually([&] { return std::filesystem::exists(made); }));
        return child;
    };
    const auto end_first = [&](pid_t child) {
        ::kill(child, SIGINT);
        EXPECT_EQ(first_.wait_for(child).status, 0);
    };
    const std::string console = runner_.file("console");
    pid_t child = start_first("file=" + console, console);
    // It has said what it says: the file is compared afterwards.
    EXPECT_TRUE(test::eventually([&] { return text_of(console).ends_with("end       hang\r\n"); }));
    runner_.run(
        {"Output", {}, 35, {"--serial: @/console: another process writes to it; give each VM"}});
    runner_.run({"Pidfile",
                 {"--pidfile", "@/held"},
                 35,
                 {"--pidfile: @/held: held by a running process (" + std::to_string(child) + ")"}});
    end_first(child);
    const std::string socket = runner_.file("socket");
    child = start_first("unix=" + socket, socket);
    runner_.run({"Socket",
                 {"--serial", "unix=@/socket"},
                 35,
                 {"--serial: @/socket: another process listens there; give each VM"}});
    end_first(child);
    EXPECT_FALSE(std::filesystem::exists(socket));
}

}  // namespace
}  // namespace cxlvm::cli
