// SPDX-License-Identifier: Apache-2.0
// What is refused before KVM is asked for anything: one line, the exit code, and nothing behind.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <string_view>

#include "io/fd.hpp"
#include "tests/vmm/cli/bad_case.hpp"

namespace cxlvm::cli {
namespace {

class BadArguments : public testing::TestWithParam<BadCase> {
  protected:
    BadArguments() {
        write("text", "no process id\n");
        write("syntax.json", "{\n  \"cpus\": 2,\n  \"memory\": }\n");
        write("key.json", R"({"sumary": true})");
        write("type.json", R"({"memory": {"size": true}})");
        write("little.json", R"({"memory": "1K", "cpus": 2})");
        write("log.json", R"({"log": "info,file=/nonexistent/log"})");
        write("pidfile.json", R"({"pidfile": "/nonexistent/pid"})");
        write("level.json", R"({"log": {"level": "loud"}})");
        write("kvm.json", R"({"kvm": "/dev/null"})");
        write("large.json", std::string((1 << 20) + 1, ' '));
        write("secret.json", "{}");
        std::filesystem::permissions(runner_.file("secret.json"), std::filesystem::perms::none);
        write("secret", "");
        std::filesystem::permissions(runner_.file("secret"), std::filesystem::perms::none);
        std::filesystem::create_symlink("loop", runner_.file("loop"));
        EXPECT_EQ(::mkfifo(runner_.file("pipe").c_str(), 0600), 0);
    }
    void write(const std::string& name, const std::string& text) {
        std::ofstream(runner_.file(name)) << text;
    }
    BadCaseRunner runner_;
};

TEST_P(BadArguments, EndWithOneLineThatSaysWhatToDo) {
    runner_.run(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Options, BadArguments,
    testing::Values(
        BadCase{"UnknownOption",
                {"--memry", "1G"},
                35,
                {"unknown option --memry; did you mean --memory?"}},
        BadCase{"NoOption", {"stray"}, 35, {"unexpected argument 'stray'", "--help"}},
        BadCase{
            "NoValue", {"--memory"}, 35, {"--memory: needs a value, and --pidfile is an option"}},
        BadCase{"UnknownKey",
                {"--memory", "1G,prefalt"},
                35,
                {"--memory: 'prefalt': unknown key; did you mean 'prefault'?"}},
        BadCase{"GivenTwice",
                {"--memory", "1G", "--memory", "2G"},
                35,
                {"--memory: given 2 times; give it once"}},
        BadCase{"BalloonOfAllMemory",
                {"--memory", "64M", "--balloon", "64M"},
                35,
                {"--balloon: a target of 67108864 bytes leaves nothing", "give less"}},
        BadCase{"UnknownKeyOfTheBalloon",
                {"--balloon", "1M,report"},
                35,
                {"--balloon: 'report': unknown key; did you mean 'reporting'?"}},
        BadCase{"TwoConsolesOnOneTerminal",
                {"--serial", "stdio", "--console", "stdio"},
                35,
                {"--console: standard input and output are the serial port's", "--serial null"}},
        BadCase{"BusThatDoesNotExist",
                {"--host-bridge", "far", "--rng", "bus=fare"},
                35,
                {"--rng: bus=fare: there is no host bridge of this id", "--host-bridge fare"}},
        BadCase{"HostBridgeTwice",
                {"--host-bridge", "far", "--host-bridge", "far"},
                35,
                {"--host-bridge: id=far: given twice", "name of its own"}},
        BadCase{"HostBridgeWithoutAName", {"--host-bridge"}, 35, {"--host-bridge: needs a value"}},
        BadCase{"ConsoleThatIsNowhere",
                {"--console", "root-port"},
                35,
                {"--console: 'root-port': not enough; give one of stdio, null"}},
        BadCase{"RngTwice", {"--rng", "--rng"}, 35, {"--rng: given 2 times; give it once"}},
        BadCase{"NoMemory", {"--memory", "0"}, 35, {"--memory: size=0: a size of zero; give one"}},
        BadCase{"LittleMemory",
                {"--memory", "1"},
                35,
                {"--memory: 1 bytes are too little", "give 2M or more"}},
        BadCase{"AbsurdMemory", {"--memory", "99999T"}, 35, {"--memory: ", "give at most 32T"}},
        BadCase{"MemoryBeyond64Bits",
                {"--memory", "99999999999T"},
                35,
                {"--memory: size=99999999999T: does not fit into 64 bits"}},
        BadCase{"FractionOfMemory",
                {"--memory", "1.5G"},
                35,
                {"--memory: size=1.5G: not a size", "such as 512M"}},
        BadCase{"OddHugePages",
                {"--memory", "512M,hugepages=1G"},
                35,
                {"--memory: ", "give one of 1048576 KiB"}},
        BadCase{"AbsurdNode",
                {"--memory", "1G,numa=5000"},
                35,
                {"--memory: there is no host node 5000", "/sys/devices/system/node"}},
        BadCase{"NoCpus", {"--cpus", "0"}, 35, {"--cpus: count=0: give a whole number from 1"}},
        BadCase{"AbsurdCpus",
                {"--cpus", "100000"},
                35,
                {"--cpus: 100000 are too many; give at most 65536"}},
        BadCase{"OddTopology",
                {"--cpus", "4,cores=3"},
                35,
                {"--cpus: 4 vCPUs cannot be laid out with cores=3; ", "must multiply"}},
        BadCase{
            "NetOfNothing",
            {"--net", "queues=2"},
            35,
            {"--net: say what the network is connected to, by one of tap=NAME, fd=N and passt"}},
        BadCase{"NetWithAnOddAddress",
                {"--net", "passt,mac=02:00:00:00:00"},
                35,
                {"--net: mac=02:00:00:00:00: give six bytes of two hexadecimal digits"}},
        BadCase{
            "InitrdOfTheBuiltinGuest", {"--initrd", "/dev/null"}, 35, {"--initrd: ", "--kernel"}},
        BadCase{"UnknownProtocol",
                {"--boot", "grub"},
                35,
                {"--boot: 'grub': give one of auto, linux, bzimage, pvh"}},
        BadCase{"NoSerialPath", {"--serial", "file="}, 35, {"--serial: file: needs a value"}},
        BadCase{"TwoSerialPorts",
                {"--serial", "null,pty"},
                35,
                {"--serial: 'null,pty': these exclude one another"}},
        BadCase{"NoCid", {"--vsock", "path=s"}, 35, {"--vsock: cid is missing", "from 3 to"}},
        BadCase{"CidOfTheHost", {"--vsock", "cid=2,path=s"}, 35, {"--vsock: cid=2: "}},
        BadCase{"NoSocketPath", {"--vsock", "cid=3"}, 35, {"--vsock: path is missing"}},
        BadCase{
            "UnknownLevel", {"--log", "loud"}, 35, {"--log: level=loud: give one of off, error"}},
        BadCase{
            "LogInNoFolder",
            {"--log", "info,file=@/none/log"},
            35,
            {"--log: cannot open @/none/log: No such file or directory; make its folder first"}},
        BadCase{"LogIntoAFolder",
                {"--log", "info,file=@"},
                35,
                {"--log: cannot open @: Is a directory; give a file"}},
        BadCase{"LogIntoAPipe",
                {"--log", "info,file=@/pipe"},
                35,
                {"--log: cannot open @/pipe: nobody reads this pipe; start its reader"}},
        BadCase{
            "LogWithoutPermission",
            {"--log", "info,file=@/secret"},
            35,
            {"--log: cannot open @/secret: Permission denied; give a path that you may write to"}},
        BadCase{"PidfileInNoFolder",
                {"--pidfile", "@/none/pid"},
                35,
                {"--pidfile: cannot open @/none/pid: No such file or directory; make its folder "
                 "first"}},
        BadCase{"PidfileIsAFolder",
                {"--pidfile", "@"},
                35,
                {"--pidfile: cannot open @: Is a directory; give a file"}},
        BadCase{"PidfileIsALink",
                {"--pidfile", "@/loop"},
                35,
                {"--pidfile: cannot open @/loop: ", "symbolic link"}},
        BadCase{"PidfileIsAnotherFile",
                {"--pidfile", "@/text"},
                35,
                {"--pidfile: @/text: holds something else than a process id; give another"}},
        BadCase{"PidfileIsAPipe",
                {"--pidfile", "@/pipe"},
                35,
                {"--pidfile: @/pipe: not an ordinary file; give another"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Configurations, BadArguments,
    testing::Values(
        BadCase{"Missing",
                {"--config", "@/none"},
                35,
                {"--config: cannot open @/none: No such file or directory; check the path"}},
        BadCase{"Folder", {"--config", "@"}, 35, {"--config: @: is a folder; give a regular file"}},
        BadCase{"Unreadable",
                {"--config", "@/secret.json"},
                35,
                {"--config: cannot open @/secret.json: Permission denied; make it readable"}},
        BadCase{"BelowAFile",
                {"--config", "@/text/vm.json"},
                35,
                {"--config: cannot open @/text/vm.json: Not a directory; check the path"}},
        BadCase{"Large",
                {"--config", "@/large.json"},
                35,
                {"--config: @/large.json: larger than 1 MiB"}},
        BadCase{"NotJson", {"--config", "@/text"}, 35, {"@/text: not JSON: ", "line 1, column"}},
        BadCase{"BadSyntax",
                {"--config", "@/syntax.json"},
                35,
                {"@/syntax.json: not JSON: ", "line 3, column 13"}},
        BadCase{"UnknownName",
                {"--config", "@/key.json"},
                35,
                {"@/key.json: 'sumary': unknown option; did you mean 'summary'?"}},
        BadCase{"WrongType",
                {"--config", "@/type.json"},
                35,
                {"@/type.json: memory: size=true: must be a number of bytes"}},
        BadCase{"WrongLevel",
                {"--config", "@/level.json"},
                35,
                {"@/level.json: log: level=loud: give one of"}},
        // What is found out later is the file's fault all the same, where the file said it.
        BadCase{"LittleMemory",
                {"--config", "@/little.json"},
                35,
                {"@/little.json: memory: 1024 bytes are too little"}},
        BadCase{"LogInNoFolder",
                {"--config", "@/log.json"},
                35,
                {"@/log.json: log: cannot open /nonexistent/log: "}},
        BadCase{"NoKvm",
                {"--config", "@/kvm.json"},
                35,
                {"@/kvm.json: kvm: /dev/null: not a KVM device; give /dev/kvm"}},
        BadCase{"ReplacedByTheCommandLine",
                {"--config", "@/little.json", "--memory", "1"},
                35,
                {"--memory: 1 bytes are too little"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Devices, BadArguments,
    testing::Values(BadCase{"Missing",
                            {"--kvm", "@/kvm"},
                            1,
                            {"--kvm: cannot open @/kvm: No such file or directory; ",
                             "modprobe kvm_amd or kvm_intel"}},
                    BadCase{"NoPermission",
                            {"--kvm", "@/secret"},
                            1,
                            {"--kvm: cannot open @/secret: Permission denied; usermod -aG kvm "
                             "$USER, then log in again"}},
                    BadCase{"Folder", {"--kvm", "@"}, 35, {"--kvm: cannot open @: Is a directory"}},
                    BadCase{"AnotherDevice",
                            {"--kvm", "/dev/null"},
                            35,
                            {"--kvm: /dev/null: not a KVM device; give /dev/kvm"}},
                    BadCase{"AnotherFile",
                            {"--kvm", "@/text"},
                            35,
                            {"--kvm: @/text: not a KVM device; give /dev/kvm"}},
                    BadCase{"ClosedDescriptor",
                            {"--kvm", "fd=987"},
                            35,
                            {"--kvm: fd=987: no such descriptor is open; ", "987<FILE"}},
                    BadCase{"NoNumber",
                            {"--kvm", "fd=x"},
                            35,
                            {"--kvm: fd=x: ", "number of an open descriptor"}}),
    [](const auto& test) { return test.param.name; });

TEST(Message, IsWrittenInOnePiece) {
    // A packet for each write: those of two programs with one log file must not mix.
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    const io::Fd reader(ends[0]);
    io::Fd writer(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(writer.get(), STDERR_FILENO);
        become_cxlvm({"run", "--unheard-of\n"});
    }
    writer.reset();
    std::array<char, 1000> packet{};
    const ssize_t size = ::read(reader.get(), packet.data(), packet.size());
    ASSERT_GT(size, 0);
    EXPECT_EQ(
        std::string_view(packet.data(), static_cast<std::size_t>(size)),
        "cxlvm: error: unknown option --unheard-of?; 'cxlvm run --help' lists what there is\n");
    EXPECT_EQ(::read(reader.get(), packet.data(), packet.size()), 0) << packet.data();
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
}

class PidfileInUse : public testing::Test {
  protected:
    BadCaseRunner runner_;
};

TEST_F(PidfileInUse, IsLeftToTheProcessThatHoldsIt) {
    std::ofstream(runner_.file("held")) << "1\n";
    const io::Fd held = io::open_file(runner_.file("held"), O_RDWR);
    ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
    runner_.run({"Held",
                 {"--pidfile", "@/held"},
                 35,
                 {"--pidfile: @/held: held by a running process (1); end it or give another"}});
}

}  // namespace
}  // namespace cxlvm::cli
