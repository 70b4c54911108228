// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/pci_place.hpp"
#include "devices/vfio/device_config.hpp"
#include "devices/virtio/balloon/balloon_config.hpp"
#include "devices/virtio/block/block_config.hpp"
#include "devices/virtio/entropy/entropy_config.hpp"
#include "devices/virtio/net/net_config.hpp"
#include "devices/virtio/vsock/vsock_config.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm {

struct MemoryConfig {
    std::uint64_t size = 256ULL << 20;  ///< bytes, a multiple of the page size in use
    PageBacking backing = PageBacking::Anonymous;
    bool prefault = false;              ///< populate all pages before the guest starts
    std::optional<unsigned> numa_node;  ///< host node that the memory is bound to
};

struct CpuConfig {
    unsigned count = 1;
    /// How the count is laid out; threads x cores x sockets is `count`. 0: all in one socket, one
    /// thread each.
    unsigned sockets = 0;
    unsigned cores = 0;    ///< per socket
    unsigned threads = 0;  ///< per core
};

/// Where the bytes of the first serial port, or of the virtio console, go.
struct SerialConfig {
    enum class Kind : std::uint8_t {
        Stdio,  ///< standard input and output; a terminal is made raw while the guest runs
        Null,   ///< dropped
        File,   ///< output only, `path` is made or truncated
        Pty,    ///< a pseudo-terminal whose name is reported
        Unix,   ///< listens on the unix socket `path`, one client at a time
    };
    Kind kind = Kind::Stdio;
    std::string path;
    PciPlace place{};  ///< of the virtio console
};

/// How the boot image is entered.
enum class BootProtocol : std::uint8_t {
    Auto,     ///< the fastest that the image offers
    Linux,    ///< 64-bit entry of the unpacked kernel
    BzImage,  ///< the image's own decompressor, for comparison
    Pvh,      ///< PVH entry of an ELF file
};

struct BootConfig {
    /// Path, or "fd=N" for a descriptor opened by somebody else; empty: the built-in guest.
    std::string kernel;
    /// Paths or "fd=N", concatenated in order, each 4-byte aligned.
    std::vector<std::string> initrds;
    std::optional<std::string> cmdline;  ///< as given, perhaps empty; none: kDefaultCommandLine
    BootProtocol protocol = BootProtocol::Auto;
    bool cache = true;  ///< keep unpacked kernels under XDG_CACHE_HOME
};

/// A PCI Express host bridge beside the one that every machine has.
struct HostBridgeConfig {
    std::string id;  ///< by which a device's PciPlace names it
};

/// Everything that makes a VM: plain data. The command line, a JSON file and an embedder all
/// produce one of these.
struct VmConfig {
    CpuConfig cpus;
    MemoryConfig memory;
    BootConfig boot;
    SerialConfig serial;
    std::optional<SerialConfig> console;  ///< a virtio console, when there is to be one
    std::optional<virtio::entropy::EntropyConfig> rng;
    std::optional<virtio::balloon::BalloonConfig> balloon;
    std::vector<virtio::block::BlockConfig> disks;  ///< the guest finds them in this order
    std::vector<virtio::net::NetConfig> nets;       ///< behind the disks, in this order
    std::optional<virtio::vsock::VsockConfig> vsock;
    std::vector<vfio::DeviceConfig> devices;  ///< passed from the host, behind all others
    std::vector<HostBridgeConfig> host_bridges;
    /// Seconds that a guest has to power off after request_power_off(); then it is ended. 0:
    /// forever.
    unsigned shutdown_timeout = 30;
    /// Path of the KVM device, or "fd=N" for a descriptor opened by somebody else.
    std::string kvm = "/dev/kvm";
};

/// Checks what can be checked without the host: throws io::Error (Fault::Input) naming the option.
void validate(const VmConfig& config);

}  // namespace cxlvm
