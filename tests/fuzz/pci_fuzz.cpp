// SPDX-License-Identifier: Apache-2.0
// Drives two PCI functions, one of them behind a root port, with arbitrary configuration writes,
// table writes, interrupts and resets, and checks after each step that mappings and routes are what
// the registers say.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/pci/bar.hpp"
#include "devices/pci/bar_mapper.hpp"
#include "devices/pci/bus.hpp"
#include "devices/pci/capabilities.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/interrupt_pin.hpp"
#include "devices/pci/msi.hpp"
#include "devices/pci/msix.hpp"
#include "devices/pci/root_port.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"
#include "io/log.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/fuzz/script.hpp"
#include "tests/memory/fake_memory.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::pci {
namespace {

constexpr Gpa kLast{(std::uint64_t{1} << 36) - 1};
constexpr unsigned kMsiVectors = 4;
constexpr unsigned kMsixVectors = 3;
constexpr std::uint64_t kSize0 = test::kPage;
constexpr std::uint64_t kSize2 = 4 * test::kPage;
constexpr std::uint64_t kMemoryOffset = 2 * test::kPage;
// Capabilities in the order in which they are added.
constexpr std::uint8_t kMsiAt = 0x48;
constexpr std::uint8_t kMsixAt = 0x60;
constexpr std::uint8_t kPortLinkControl = 0x50;
constexpr std::uint8_t kPortPowerControl = 0x80;

/// Knows what is worth trying.
class Script : public test::Script {
  public:
    using test::Script::Script;
    /// Often one of those that matter, so that functions get in each other's way.
    std::uint32_t value() {
        constexpr std::array kLikely = {0x0000'0000U, 0xffff'ffffU, 0x8000'0000U, 0x8000'1000U,
                                        0x8000'4000U, 0x0000'0001U, 0x0000'0006U, 0x0000'8000U};
        const std::uint8_t kind = next();
        if (kind < 0xe0) {
            return kLikely[kind % kLikely.size()];
        }
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i) {
            value = value << 8 | next();
        }
        return value;
    }

    /// Within the first 256 bytes of configuration space: often one of a register that does
    /// something.
    std::uint8_t offset() {
        constexpr std::array<std::uint8_t, 12> kLikely = {
            0x04,       0x10,        0x18,        0x1c, 0x44, kMsiAt + 2,
            kMsiAt + 4, kMsiAt + 16, kMsixAt + 2, 0x04, 0x10, 0x18};
        const std::uint8_t kind = next();
        return kind < 0xc0 ? kLikely[kind % kLikely.size()] : next();
    }
};

/// BAR 0: the MSI-X structures. BAR 2, of 64 bits: a trapped page and two pages of memory.
class Function final : public PciFunction {
  public:
    Function(BarMapper& mapper, const io::Mapping& pages, PortType type)
        : PciFunction("fuzzed", {.vendor_id = 0x1234, .device_id = 0x5678, .interrupt_pin = 1}),
          power(*this),
          msi(*this, msi_vectors.pointers()),
          msix(*this, msix_vectors.pointers(), {.pba_offset = 0x800}),
          pin(*this, line),
          memory("memory", Region::Backing{.host = pages.bytes()}),
          bars(*this, mapper,
               {{.index = 0, .size = kSize0, .pieces = {{0, table}, {0x800, pba}}},
                {.index = 2,
                 .kind = BarKind::Memory64,
                 .size = kSize2,
                 .prefetchable = true,
                 .pieces = {{0, doorbell}, {kMemoryOffset, memory}}}}) {
        add_express_with_reset(*this, type);
    }

    std::uint32_t config32(std::size_t offset) {
        return with_config(
            [&](const ConfigSpace& config) { return config.registers().get32(offset); });
    }
    bool decodes() {
        return with_config([](const ConfigSpace& config) { return config.decodes_memory(); });
    }
    bool masters() {
        return with_config([](const ConfigSpace& config) { return config.masters_bus(); });
    }

    struct Power {
        explicit Power(PciFunction& function) { add_power_management(function); }
    };
    FakeMsiVectors msi_vectors{kMsiVectors};
    FakeMsiVectors msix_vectors{kMsixVectors};
    test::FakeIrqLine line;
    test::FakeHandler handler;
    Power power;
    Msi msi;
    Msix msix;
    InterruptPin pin;
    Region table{"table", Msix::table_size(kMsixVectors), msix.table()};
    Region pba{"pba", Msix::pba_size(kMsixVectors), msix.pba()};
    Region doorbell{"doorbell", test::kPage, handler};
    Region memory;
    Bars bars;
    bool interrupt = false;
};

class Machine {
  public:
    Machine() {
        io::check(!space_.map(foreign_, 0x8000'2000), "the foreign region does not fit");
        space_.add_listener(listener_);
        root_.attach({}, host_bridge_);
        root_.attach({.device = 1}, port_);
        root_.attach({.device = 2}, functions_[1]);
        port_.attach(functions_[0]);
        // As a guest leaves it: with a window, here of the whole space, and all that is enabled.
        test::write_value(port_, 0x24, 4, 0xfff0'0000);
        test::write_value(port_, 0x2c, 4, 0xffff'ffff);
        test::write_value(port_, 0x04, 2, 0x6);
    }
    ~Machine() { space_.remove_listener(listener_); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    void step(Script& script) {
        const std::uint8_t op = script.next();
        Function& function = functions_[op % 2U];
        switch (op / 2U % 8U) {
            case 0:
            case 1:
            case 2:
                write_function(function, script);
                break;
            case 3:
                write_ecam(script);
                break;
            case 4:
                write_table(function, script);
                break;
            case 5:
                raise(function, script.next());
                break;
            case 6:
                access_memory(script);
                break;
            default:
                reset(function, script.next());
                break;
        }
        for (Function& each : functions_) {
            check(each);
        }
    }

  private:
    struct Place {
        bool decoded;
        std::optional<GpaRange> range;  ///< where the registers have it, if that is a place
    };

    static void write_function(Function& function, Script& script) {
        const std::uint64_t offset = script.offset();
        const std::size_t size = std::size_t{1} << (2 - script.next() % 3U);
        const IoStatus status = test::write_value(function, offset, size, script.value());
        io::check((status == IoStatus::Ok) == (offset % 4 + size <= 4), "a dword is a dword");
    }
    void write_port(Script& script) {
        constexpr std::array<std::uint8_t, 8> kRegisters = {0x04, 0x18, 0x20, 0x24,
                                                            0x28, 0x2c, 0x3c, kPortLinkControl};
        const std::uint64_t offset = kRegisters[script.next() % kRegisters.size()];
        test::write_value(port_, offset, 4, script.value());
    }
    void write_ecam(Script& script) {
        const std::uint8_t first = script.next();
        if (first >= 0x80) {
            write_port(script);
            return;
        }
        const std::uint64_t bus = first % 4U;
        const std::uint64_t device = script.next() % 4U;
        const std::uint64_t offset = script.next() & ~3U;
        const std::uint64_t address = bus << 20 | device << 15 | offset;
        io::check(test::write_value(ecam_, address, 4, script.value()) == IoStatus::Ok &&
                      test::read_value(ecam_, address, 4).has_value(),
                  "a configuration request of a dword is refused");
        io::check(test::read_value(ecam_, 0, 4) == 0x0008'1b36U, "the host bridge is gone");
    }
    static void write_table(Function& function, Script& script) {
        const std::uint64_t offset = script.next() % 64U;
        const std::size_t size = script.next() % 2U == 0 ? 4 : 8;
        const IoStatus status =
            test::write_value(function.msix.table(), offset, size, script.value());
        io::check((status == IoStatus::Ok) ==
                      (offset % size == 0 && offset + size <= Msix::table_size(kMsixVectors)),
                  "the table takes what it should not, or the other way round");
        test::write_value(function.msix.pba(), offset % 8, size, ~std::uint64_t{0});
    }
    static void raise(Function& function, std::uint8_t what) {
        function.interrupt = (what & 0x80U) != 0;
        function.pin.set(function.interrupt);
        const unsigned vector = what % 8U;
        if (!function.msix.raise(vector)) {
            function.msi.raise(vector);
        }
    }
    void access_memory(Script& script) {
        const std::uint64_t address = script.value() + std::uint64_t{script.next()} * 64;
        std::array<std::byte, 8> data{};
        const auto part = std::span(data).first(std::size_t{1} << script.next() % 4U);
        space_.read(address, part);
        space_.write(address, part);
    }
    void reset(Function& function, std::uint8_t what) {
        if (what % 2U == 0) {
            port_.reset();
        } else {
            function.reset();
        }
    }

    std::uint64_t port_register(std::uint64_t offset, std::size_t size) {
        return *test::read_value(port_, offset, size);
    }
    /// Whether the port is awake, and its link up.
    bool port_is_open() {
        return (port_register(kPortPowerControl, 1) & 3U) == 0 &&
               (port_register(0x3e, 2) & 0x40U) == 0 &&
               (port_register(kPortLinkControl, 2) & 0x10U) == 0;
    }
    /// Whether the function is behind nothing that keeps it from sending.
    bool sends(const Function& function) {
        return &function == &functions_[1] ||
               (port_is_open() && (port_register(0x04, 2) & 4U) != 0);
    }
    bool is_reached(const Function& function, GpaRange range) {
        if (&function == &functions_[1]) {
            return true;
        }
        const auto within = [&](std::uint64_t base, std::uint64_t limit) {
            return base <= range.base().value() && range.last().value() <= (limit | 0xf'ffff);
        };
        const auto part = [&](std::uint64_t offset) {
            return (port_register(offset, 2) & 0xfff0U) << 16;
        };
        return port_is_open() && (port_register(0x04, 2) & 2U) != 0 &&
               (within(part(0x20), part(0x22)) ||
                within(part(0x24) | port_register(0x28, 4) << 32,
                       part(0x26) | port_register(0x2c, 4) << 32));
    }

    Place place(Function& function, std::size_t bar, std::uint64_t size, bool wide) {
        std::uint64_t base = function.config32(0x10 + 4 * bar);
        if (wide) {
            base |= std::uint64_t{function.config32(0x14 + 4 * bar)} << 32;
        }
        base = io::align_down(base, size);
        const auto range = GpaRange::of(Gpa(base), size);
        const bool is_place = base != 0 && range && range->last() <= kLast;
        return {function.decodes() && (!is_place || is_reached(function, *range)),
                is_place ? range : std::nullopt};
    }

    /// Whether a region that has a right to its place lies in `range`. Those of BARs that are not
    /// decoded have none.
    bool taken(GpaRange range, const Region& first, const Region& second) {
        const auto lies = [&](const Region& region) {
            const auto other = GpaRange::of(Gpa(region.base()), region.size());
            return region.mapped() && &region != &first && &region != &second && other &&
                   other->overlaps(range);
        };
        bool result = lies(foreign_);
        for (Function& function : functions_) {
            if (place(function, 0, kSize0, false).decoded) {
                result = result || lies(function.table) || lies(function.pba);
            }
            if (place(function, 2, kSize2, true).decoded) {
                result = result || lies(function.doorbell) || lies(function.memory);
            }
        }
        return result;
    }

    void check_bar(const Place& place, const Region& first, const Region& second,
                   std::uint64_t second_offset) {
        if (!place.decoded || !place.range) {
            io::check(!first.mapped() && (second.is_memory() || !second.mapped()),
                      "a trapped piece is mapped that is not decoded");
            io::check(!place.decoded || !second.mapped(), "memory is mapped at no place");
            return;
        }
        io::check(first.mapped() == second.mapped(), "half a BAR is mapped");
        if (!first.mapped()) {
            io::check(taken(*place.range, first, second), "a BAR with a free place is not mapped");
            return;
        }
        const std::uint64_t base = place.range->base().value();
        io::check(first.base() == base && second.base() == base + second_offset,
                  "a BAR is not where the registers have it");
    }

    void check_msi(Function& function) {
        const std::uint32_t control = function.config32(kMsiAt) >> 16;
        const unsigned allocated = std::min(kMsiVectors, 1U << (control >> 4 & 7U));
        const std::uint32_t masks = function.config32(kMsiAt + 0x10);
        const std::uint32_t pending = function.config32(kMsiAt + 0x14);
        for (unsigned i = 0; i < kMsiVectors; ++i) {
            const bool sending = (control & 1U) != 0 && i < allocated && (masks >> i & 1U) == 0 &&
                                 function.masters() && sends(function);
            const auto message = function.msi_vectors[i].message();
            io::check(message.has_value() == sending, "MSI: a route does not follow the registers");
            io::check(!sending || (pending >> i & 1U) == 0,
                      "MSI: pending, though it could be sent");
            io::check(
                !sending || (message->data % allocated == i &&
                             (message->address & 0xffff'ffffU) == function.config32(kMsiAt + 4)),
                "MSI: a route has another message than the registers");
            io::check(function.msi_vectors[i].lost() == 0, "MSI: an interrupt is lost");
        }
    }

    void check_msix(Function& function) {
        const std::uint32_t control = function.config32(kMsixAt) >> 16;
        const std::uint64_t pending = *test::read_value(function.msix.pba(), 0, 8);
        for (unsigned i = 0; i < kMsixVectors; ++i) {
            const std::uint64_t entry = std::uint64_t{i} * 16;
            const std::uint64_t mask = *test::read_value(function.msix.table(), entry + 12, 4);
            const bool sending =
                (control >> 14) == 2 && mask == 0 && function.masters() && sends(function);
            const auto message = function.msix_vectors[i].message();
            io::check(message.has_value() == sending,
                      "MSI-X: a route does not follow the registers");
            io::check(!sending || (pending >> i & 1U) == 0,
                      "MSI-X: pending, though it could be sent");
            io::check(!sending ||
                          (message->address == *test::read_value(function.msix.table(), entry, 8) &&
                           message->data == *test::read_value(function.msix.table(), entry + 8, 4)),
                      "MSI-X: a route has another message than the table");
            io::check(function.msix_vectors[i].lost() == 0, "MSI-X: an interrupt is lost");
        }
        io::check(pending >> kMsixVectors == 0, "MSI-X: a vector is pending that there is not");
    }

    void check(Function& function) {
        check_bar(place(function, 0, kSize0, false), function.table, function.pba, 0x800);
        check_bar(place(function, 2, kSize2, true), function.doorbell, function.memory,
                  kMemoryOffset);
        check_msi(function);
        check_msix(function);
        const std::uint32_t status_command = function.config32(0x04);
        const bool awake =
            function.with_config([](const ConfigSpace& config) { return config.awake(); });
        io::check(function.line.level() == ((status_command >> 19 & 1U) != 0 &&
                                            (status_command >> 10 & 1U) == 0 && awake),
                  "the interrupt pin does not follow the registers");
    }

    io::Log log_{2, io::LogLevel::Off};
    std::array<io::Mapping, 2> pages_{test::anonymous_pages(2), test::anonymous_pages(2)};
    AddressSpace space_{16};
    test::FakeListener listener_;
    test::FakeHandler handler_;
    Region foreign_{"foreign", 0x800, handler_};
    BarMapper mapper_{space_, kLast, log_};
    std::array<Function, 2> functions_{
        {{mapper_, pages_[0], PortType::Endpoint}, {mapper_, pages_[1], PortType::Integrated}}};
    HostBridge host_bridge_;
    FakeMsiVector port_vector_;
    RootPort port_{1, port_vector_};
    PciBus root_{0};
    Segment segment_{root_};
    Ecam ecam_{segment_, log_};
};

}  // namespace
}  // namespace cxlvm::pci

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::pci::Script script(std::span(data, size));
    cxlvm::pci::Machine machine;
    for (int steps = 0; steps < 1000 && !script.done(); ++steps) {
        machine.step(script);
    }
    return 0;
}
