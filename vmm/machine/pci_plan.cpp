// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "devices/pci/spec.hpp"
#include "io/error.hpp"

namespace cxlvm {

namespace {

/// Device 0 of a root bus is the host bridge.
constexpr std::size_t kMostDevices = pci::kDevicesPerBus - 1;
constexpr std::size_t kMostBuses = 256;
/// Names for them in ACPI have one digit.
constexpr std::size_t kMostBridges = 16;

/// What lies behind one host bridge.
struct Count {
    std::size_t devices = 0;
    std::size_t ports = 0;
    std::string_view last_option{};  ///< by which the last device is given
};

Count count_on(const std::string& bridge, const std::vector<NamedPlace>& places) {
    Count count;
    for (const NamedPlace& one : places) {
        if (one.place.bus == bridge) {
            ++count.devices;
            count.last_option = one.option;
            count.ports += one.place.root_port ? 1 : 0;
        }
    }
    return count;
}

/// Their ids, the first one's among them.
std::vector<std::string> ids_of(const VmConfig& config) {
    std::vector<std::string> ids(1);
    for (const HostBridgeConfig& bridge : config.host_bridges) {
        ids.push_back(bridge.id);
    }
    return ids;
}

void check_bridges(const std::vector<HostBridgeConfig>& bridges) {
    if (bridges.size() >= kMostBridges) {
        io::throw_input(fmt::format("--host-bridge: {} are too many; give at most {}",
                                    bridges.size(), kMostBridges - 1));
    }
    for (auto bridge = bridges.begin(); bridge != bridges.end(); ++bridge) {
        if (bridge->id.empty()) {
            io::throw_input("--host-bridge: id is missing; give a name for devices to refer to");
        }
        if (std::any_of(bridges.begin(), bridge, [&](const HostBridgeConfig& earlier) {
                return earlier.id == bridge->id;
            })) {
            io::throw_input(
                fmt::format("--host-bridge: id={}: given twice; give each a name of "
                            "its own",
                            bridge->id));
        }
    }
}

}  // namespace

std::vector<NamedPlace> places_of(const VmConfig& config) {
    std::vector<NamedPlace> places;
    for (const virtio::block::BlockConfig& disk : config.disks) {
        places.push_back({"disk", disk.place});
    }
    for (const virtio::net::NetConfig& net : config.nets) {
        places.push_back({"net", net.place});
    }
    if (config.vsock) {
        places.push_back({"vsock", config.vsock->place});
    }
    if (config.console) {
        places.push_back({"console", config.console->place});
    }
    if (config.rng) {
        places.push_back({"rng", config.rng->place});
    }
    if (config.balloon) {
        places.push_back({"balloon", config.balloon->place});
    }
    for (const vfio::DeviceConfig& device : config.devices) {
        places.push_back({"device", device.place});
    }
    return places;
}

void check_places(const VmConfig& config) {
    check_bridges(config.host_bridges);
    const std::vector<std::string> ids = ids_of(config);
    const std::vector<NamedPlace> places = places_of(config);
    for (const NamedPlace& one : places) {
        if (std::ranges::find(ids, one.place.bus) == ids.end()) {
            io::throw_input(
                fmt::format("--{}: bus={}: there is no host bridge of this id; give one with "
                            "--host-bridge {}, or leave bus out",
                            one.option, one.place.bus, one.place.bus));
        }
    }
    std::size_t buses = ids.size();
    for (const std::string& id : ids) {
        const Count count = count_on(id, places);
        buses += count.ports;
        if (count.devices > kMostDevices) {
            io::throw_input(fmt::format(
                "--{}: {} devices are more than the {} that the bus of a host bridge has room for; "
                "give fewer, or put some on another with --host-bridge and bus",
                count.last_option, count.devices, kMostDevices));
        }
    }
    if (buses > kMostBuses) {
        io::throw_input(
            fmt::format("root-port: host bridges and root ports make {} PCI buses, and "
                        "there are {}; leave some root-port out",
                        buses, kMostBuses));
    }
}

std::size_t PciPlan::index_of(const PciPlace& place) const noexcept {
    const auto found = std::ranges::find(bridges, place.bus, &Bridge::id);
    io::check(found != bridges.end(), "PciPlan: a place on a host bridge that does not exist");
    return static_cast<std::size_t>(found - bridges.begin());
}

PciPlan plan_pci(const VmConfig& config, const Placement& windows) {
    const std::vector<std::string> ids = ids_of(config);
    const std::vector<Placement> shares = share(windows, ids.size());
    const std::vector<NamedPlace> places = places_of(config);
    PciPlan plan;
    std::size_t next_bus = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const Count count = count_on(ids[i], places);
        plan.bridges.push_back({.id = ids[i],
                                .first_bus = static_cast<std::uint8_t>(next_bus),
                                .last_bus = static_cast<std::uint8_t>(next_bus + count.ports),
                                .devices = static_cast<std::uint32_t>(count.devices),
                                .windows = shares[i]});
        next_bus += 1 + count.ports;
    }
    return plan;
}

}  // namespace cxlvm
