// SPDX-License-Identifier: Apache-2.0
#include "vmm/vm_config.hpp"

#include <fmt/format.h>

#include <string_view>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "vmm/cpu/topology.hpp"
#include "vmm/layout.hpp"
#include "vmm/machine/pci_plan.hpp"

namespace cxlvm {

namespace {

/// KVM's vCPU ids are smaller on every host; the host's own limit is checked when the VM is made.
constexpr unsigned kMostCpus = 65536;
/// The boot structures end at 1 MiB; less than twice that holds no kernel at all.
constexpr std::uint64_t kLeastMemory = 2ULL << 20;
/// Linux reaches 46 bits of physical address space with four-level paging, and half of it is for
/// devices.
constexpr std::uint64_t kMostMemory = 1ULL << 45;
/// Host nodes that a binding can name (MAX_NUMNODES of a distribution's kernel).
constexpr unsigned kMostNodes = 1024;

void validate(const CpuConfig& cpus) {
    if (cpus.count == 0) {
        io::throw_input("--cpus: at least 1 is needed");
    }
    if (cpus.count > kMostCpus) {
        io::throw_input(
            fmt::format("--cpus: {} are too many; give at most {}", cpus.count, kMostCpus));
    }
    static_cast<void>(cpu::topology_of(cpus));
}

void validate(const MemoryConfig& memory) {
    if (memory.size < kLeastMemory) {
        io::throw_input(
            fmt::format("--memory: {} bytes are too little for any guest; give {}M or "
                        "more",
                        memory.size, kLeastMemory >> 20));
    }
    if (memory.size > kMostMemory) {
        io::throw_input(
            fmt::format("--memory: {} bytes are more than a guest can have; give at most {}T",
                        memory.size, kMostMemory >> 40));
    }
    const std::uint64_t page = page_size_of(memory.backing);
    if (!io::is_aligned(memory.size, page)) {
        io::throw_input(
            fmt::format("--memory: {} bytes are not a multiple of the page size in use; "
                        "give one of {} KiB",
                        memory.size, page >> 10));
    }
    if (memory.numa_node && *memory.numa_node >= kMostNodes) {
        io::throw_input(fmt::format(
            "--memory: there is no host node {}; ls /sys/devices/system/node lists them",
            *memory.numa_node));
    }
}

void validate(const BootConfig& boot) {
    if (boot.kernel.empty()) {
        if (!boot.initrds.empty()) {
            io::throw_input("--initrd: the built-in guest takes none; give a kernel with --kernel");
        }
        if (boot.protocol != BootProtocol::Auto) {
            io::throw_input(
                "--boot: the built-in guest is entered in its own way; leave --boot out, or give a "
                "kernel with --kernel");
        }
    }
    for (const std::string& initrd : boot.initrds) {
        if (initrd.empty()) {
            io::throw_input("--initrd: the file's name is empty; give one");
        }
    }
    const std::string cmdline = boot.cmdline.value_or("");
    if (cmdline.size() >= layout::kCommandLineSize) {
        io::throw_input(fmt::format("--cmdline: {} bytes are too many; give at most {}",
                                    cmdline.size(), layout::kCommandLineSize - 1));
    }
    if (cmdline.find('\0') != std::string::npos) {
        io::throw_input("--cmdline: a zero byte would end it early; leave it out");
    }
}

bool wants_path(const SerialConfig& place) {
    return place.kind == SerialConfig::Kind::File || place.kind == SerialConfig::Kind::Unix;
}

void validate(const SerialConfig& place, std::string_view option) {
    if (wants_path(place) && place.path.empty()) {
        io::throw_input(
            fmt::format("{}: file and unix need a path; give one, as in file=console.txt", option));
    }
    if (!wants_path(place) && !place.path.empty()) {
        io::throw_input(fmt::format("{}: only file and unix take a path; leave it out: {}", option,
                                    place.path));
    }
}

void validate_console(const SerialConfig& console, const SerialConfig& serial) {
    validate(console, "--console");
    if (console.kind == SerialConfig::Kind::Stdio && serial.kind == SerialConfig::Kind::Stdio) {
        io::throw_input(
            "--console: standard input and output are the serial port's; give that one another "
            "place, such as --serial null");
    }
    if (wants_path(console) && console.path == serial.path) {
        io::throw_input(fmt::format(
            "--console: {}: the serial port has it; give each a path of its own", console.path));
    }
}

void validate(const virtio::balloon::BalloonConfig& balloon, const MemoryConfig& memory) {
    if (balloon.target >= memory.size) {
        io::throw_input(
            fmt::format("--balloon: a target of {} bytes leaves nothing of the guest's {}; give "
                        "less",
                        balloon.target, memory.size));
    }
    const bool huge =
        memory.backing == PageBacking::Huge2M || memory.backing == PageBacking::Huge1G;
    if (huge && (balloon.target != 0 || balloon.reporting)) {
        io::throw_input(
            "--balloon: memory on huge pages cannot be given back to the host; leave out "
            "hugepages, or target and reporting");
    }
}

void validate(const std::vector<vfio::DeviceConfig>& devices, const VmConfig& config) {
    for (const vfio::DeviceConfig& device : devices) {
        vfio::validate(device);
    }
    // Devices reach all of the guest's memory at any time, so all of it is pinned: what a balloon
    // gave back would be another page than the one that a device goes on writing to.
    if (!devices.empty() && config.balloon) {
        io::throw_input(
            "--balloon: with a passed device none of the guest's memory can be given back to the "
            "host; leave out --balloon or --device");
    }
}

void validate(const virtio::block::BlockConfig& disk) {
    if (disk.disk.path.empty()) {
        io::throw_input("--disk: path is missing; give an image's or a block device's");
    }
    validate(disk.rates, "--disk");
}

void validate(const virtio::vsock::VsockConfig& vsock) {
    using virtio::vsock::kMaxGuestCid;
    using virtio::vsock::kMinGuestCid;
    if (vsock.cid < kMinGuestCid || vsock.cid > kMaxGuestCid) {
        io::throw_input(fmt::format("--vsock: cid {}; give a number from {} to {}",
                                    vsock.cid == 0 ? "is missing" : "is reserved", kMinGuestCid,
                                    kMaxGuestCid));
    }
    if (vsock.path.empty()) {
        io::throw_input("--vsock: path is missing; give that of the socket to be made");
    }
}

}  // namespace

void validate(const VmConfig& config) {
    validate(config.cpus);
    validate(config.memory);
    validate(config.boot);
    validate(config.serial, "--serial");
    if (config.console) {
        validate_console(*config.console, config.serial);
    }
    if (config.balloon) {
        validate(*config.balloon, config.memory);
    }
    for (const virtio::block::BlockConfig& disk : config.disks) {
        validate(disk);
    }
    for (const virtio::net::NetConfig& net : config.nets) {
        virtio::net::check(net);
    }
    if (config.vsock) {
        validate(*config.vsock);
    }
    validate(config.devices, config);
    check_places(config);
    if (config.kvm.empty()) {
        io::throw_input("--kvm: the device's path is empty; give /dev/kvm");
    }
}

}  // namespace cxlvm
