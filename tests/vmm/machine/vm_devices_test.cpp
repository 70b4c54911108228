// SPDX-License-Identifier: Apache-2.0
// The devices that a configuration names, as the built-in guest finds them.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "tests/vmm/machine/vm_fixture.hpp"

namespace cxlvm {
namespace {

using testing::HasSubstr;

/// A disk image of a megabyte, gone at the end.
class Image {
  public:
    explicit Image(std::string path) : path_(std::move(path)) {
        std::ofstream(path_).put('\0');
        std::filesystem::resize_file(path_, 1 << 20);
    }
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    ~Image() { std::filesystem::remove(path_); }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

class VmDevicesTest : public VmTest {
  protected:
    /// Of a guest that says what it finds on the PCI bus.
    VmConfig config_with_report() const {
        VmConfig config = config_with_output("");
        config.boot.cmdline = "exits=0";
        return config;
    }

    const Image image_{serial_file_ + ".disk"};
};

TEST_F(VmDevicesTest, HasItsDisksOnThePciBusInTheirOrder) {
    VmConfig config = config_with_report();
    config.disks = {{.disk = {.path = image_.path(), .read_only = true}, .queues = 4},
                    {.disk = {.path = image_.path(), .read_only = true}}};
    Vm vm(config, log_);
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    EXPECT_THAT(output(), HasSubstr("00:01.0 1af4:1042 class 018000"));
    EXPECT_THAT(output(), HasSubstr("00:02.0 1af4:1042 class 018000"));
    EXPECT_THAT(output(), HasSubstr("3 functions on 1 buses"));
}

TEST_F(VmDevicesTest, PutsDevicesBehindRootPortsOfTheirOwn) {
    VmConfig config = config_with_report();
    const virtio::block::BlockConfig behind{.disk = {.path = image_.path(), .read_only = true},
                                            .place = {.root_port = true}};
    config.disks = {behind, {.disk = behind.disk}, behind};
    Vm vm(config, log_);
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    EXPECT_THAT(output(), HasSubstr("00:01.0 1b36:000c class 060400"));
    EXPECT_THAT(output(), HasSubstr("00:02.0 1af4:1042 class 018000"));
    EXPECT_THAT(output(), HasSubstr("00:03.0 1b36:000c class 060400"));
    EXPECT_THAT(output(), HasSubstr("agree"));
}

TEST_F(VmDevicesTest, HasDevicesOnHostBridgesOfTheirOwn) {
    VmConfig config = config_with_report();
    config.host_bridges = {{.id = "far"}, {.id = "empty"}};
    const virtio::block::DiskConfig disk{.path = image_.path(), .read_only = true};
    config.disks = {{.disk = disk, .place = {.root_port = true}},
                    {.disk = disk, .place = {.bus = "far", .root_port = true}}};
    config.rng = {.place = {.bus = "far"}};
    config.console = SerialConfig{
        .kind = SerialConfig::Kind::Null, .path = {}, .place = {.bus = "far", .root_port = true}};
    config.vsock = {.cid = 3, .path = serial_file_ + ".vsock", .place = {.bus = "empty"}};
    config.balloon = {.place = {.root_port = true}};
    Vm vm(config, log_);
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    for (const char* line : {
             "00:00.0 1b36:0008 class 060000",
             "00:01.0 1b36:000c class 060400",
             "00:02.0 1b36:000c class 060400",
             "03:00.0 1b36:0008 class 060000",
             "03:01.0 1b36:000c class 060400",
             "03:02.0 1b36:000c class 060400",
             "03:03.0 1af4:1044",
             "06:00.0 1b36:0008 class 060000",
             "06:01.0 1af4:1053",
         }) {
        EXPECT_THAT(output(), HasSubstr(line));
    }
    EXPECT_THAT(output(), HasSubstr("9 functions on 3 buses"));
    EXPECT_THAT(output(), HasSubstr("agree"));
}

TEST_F(VmDevicesTest, HasItsNetworkDevicesBehindItsDisks) {
    // A double for passt: connections are taken by the kernel, and nothing is sent.
    const std::string path = serial_file_ + ".passt";
    const io::Fd passt(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(passt.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::listen(passt.get(), 1), 0);

    VmConfig config = config_with_report();
    config.disks = {{.disk = {.path = image_.path(), .read_only = true}}};
    config.nets = {{.passt = path}};
    Vm vm(config, log_);
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    std::filesystem::remove(path);
    EXPECT_THAT(output(), HasSubstr("00:01.0 1af4:1042"));
    EXPECT_THAT(output(), HasSubstr("00:02.0 1af4:1041 class 020000"));
}

TEST_F(VmDevicesTest, LocksItsDisksForAsLongAsItLives) {
    VmConfig config = this->config("");
    config.disks = {{.disk = {.path = image_.path()}}};
    {
        const Vm vm(config, log_);
        EXPECT_THROW(Vm(config, log_), io::Error);
    }
    EXPECT_EQ(Vm(config, log_).run(), ExitReason::PowerOff);
}

TEST_F(VmDevicesTest, RefusesOneFileAsTwoDisksThatAreWritten) {
    VmConfig config = this->config("");
    config.disks.assign(2, {.disk = {.path = image_.path()}});
    try {
        const Vm vm(config, log_);
        FAIL() << "was accepted";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_THAT(error.what(), HasSubstr("given twice"));
    }
}

TEST_F(VmDevicesTest, HasItsSocketsBehindItsDisksAndRemovesTheirFile) {
    VmConfig config = config_with_report();
    config.disks = {{.disk = {.path = image_.path()}}};
    config.vsock = {.cid = 3, .path = serial_file_ + ".vsock"};
    {
        Vm vm(config, log_);
        EXPECT_TRUE(std::filesystem::is_socket(config.vsock->path));
        EXPECT_THROW(Vm(config, log_), io::Error);
        EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    }
    EXPECT_FALSE(std::filesystem::exists(config.vsock->path));
    EXPECT_THAT(output(), HasSubstr("00:02.0 1af4:1053 "));
}

TEST_F(VmDevicesTest, HasTheOtherDevicesBehindItsDisks) {
    VmConfig config = config_with_report();
    config.console = SerialConfig{.kind = SerialConfig::Kind::Pty, .path = {}};
    config.rng.emplace();
    config.balloon = {.target = 1 << 20, .reporting = true, .statistics = std::chrono::seconds(1)};
    Vm vm(config, log_);
    EXPECT_EQ(vm.serial_path(), "");
    EXPECT_EQ(vm.console_path().find("/dev/pts/"), 0U) << vm.console_path();
    ASSERT_NE(vm.balloon(), nullptr);
    vm.balloon()->set_target(2 << 20);
    vm.terminal_resized();
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    EXPECT_EQ(vm.balloon()->size(), 0U);
    EXPECT_THAT(output(), HasSubstr("00:01.0 1af4:1043"));
    EXPECT_THAT(output(), HasSubstr("00:02.0 1af4:1044"));
    EXPECT_THAT(output(), HasSubstr("00:03.0 1af4:1045"));
}

TEST_F(VmDevicesTest, HasNoOtherDevicesUnlessTheyAreNamed) {
    Vm vm(config(""), log_);
    EXPECT_EQ(vm.balloon(), nullptr);
    EXPECT_EQ(vm.console_path(), "");
}

TEST_F(VmDevicesTest, RefusesASourceOfRandomBytesThatIsNone) {
    VmConfig config = this->config("");
    config.rng = {.source = "/proc/self/exe"};
    EXPECT_THROW(Vm(config, log_), io::Error);
}

TEST_F(VmDevicesTest, EmptiesNoOutputFileForADeviceThatCannotBeHad) {
    std::ofstream(serial_file_) << "of the last run";
    VmConfig config = config_with_report();
    config.disks = {{.disk = {.path = serial_file_ + ".none"}}};
    EXPECT_THROW(Vm(config, log_), io::Error);
    config.disks.clear();
    config.rng = {.source = "/proc/self/exe"};
    EXPECT_THROW(Vm(config, log_), io::Error);
    EXPECT_EQ(output(), "of the last run");
}

TEST_F(VmDevicesTest, RefusesMoreDevicesThanTheBusHasRoomFor) {
    VmConfig config = this->config("");
    config.disks.assign(31, {.disk = {.path = image_.path(), .read_only = true}});
    EXPECT_NO_THROW(Vm(config, log_));
    config.disks.push_back(config.disks.front());
    try {
        const Vm vm(config, log_);
        FAIL() << "was accepted";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_THAT(error.what(), HasSubstr("more than the 31"));
    }
}

}  // namespace
}  // namespace cxlvm
