// SPDX-License-Identifier: Apache-2.0
// A kernel that says anything about a device, and a guest that writes anything to it: whatever the
// kernel's regions, capability chains and configuration space are, the device is refused or becomes
// a function that keeps what is the host's from the guest.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/vfio/vfio_pci_function.hpp"
#include "io/error.hpp"
#include "tests/devices/vfio/fake_kernel.hpp"
#include "tests/fuzz/script.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::vfio {
namespace {

using test::FakeKernel;

class Vector final : public MsiVector {
  public:
    void route(const std::optional<MsiMessage>& /*message*/) noexcept override {}
    void fire() noexcept override {}
    [[nodiscard]] int share() noexcept override { return 3; }
};

class Script : public cxlvm::test::Script {
  public:
    using cxlvm::test::Script::Script;
    std::uint32_t value32() {
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i) {
            value = value << 8 | next();
        }
        return value;
    }
    /// Often a size that a region may have.
    std::uint64_t size() {
        const std::uint8_t kind = next();
        return kind < 0xc0 ? std::uint64_t{1} << kind % 40U
                           : std::uint64_t{value32()} << (kind % 32U);
    }
};

void describe(FakeKernel& kernel, Script& script) {
    const std::uint8_t flags = script.next();
    kernel.device_flags = VFIO_DEVICE_FLAGS_PCI | (flags & 1U);
    kernel.region_count = (flags & 0x80U) != 0 ? script.next() : 9U;
    for (auto& [count, kind] : kernel.irqs) {
        count = script.next() % 40U;
    }
    for (std::uint32_t index = 0; index < 9; ++index) {
        const std::uint8_t kind = script.next();
        if (index == FakeKernel::VfioConfig) {
            kernel.regions[index].size = (kind & 1U) != 0 ? 4096 : 256;
            continue;
        }
        if ((kind & 1U) == 0) {
            continue;
        }
        FakeKernel::Region& region = kernel.regions[index];
        region.size = script.size();
        region.flags = kind >> 1U & 0x7U;
        if ((kind & 0x10U) != 0) {
            region.first = script.next();
            region.capabilities.resize(script.next() % 96U);
            for (std::byte& byte : region.capabilities) {
                byte = static_cast<std::byte>(script.next());
            }
        }
        if ((kind & 0x20U) != 0) {
            region.argsz = script.value32();
        }
    }
    kernel.set_config<std::uint16_t>(0, 0x1234);
    kernel.set_config<std::uint16_t>(6, 0x10);
    const std::size_t patches = script.next();
    for (std::size_t i = 0; i < patches && !script.done(); ++i) {
        const std::size_t offset = (std::size_t{script.next()} << 8 | script.next()) % 4093;
        kernel.set_config(offset, script.value32());
    }
}

/// What a guest must not have reached, whatever it wrote.
void check(const FakeKernel& kernel, const VfioPciFunction& /*function*/,
           const PassedDevice& device) {
    for (const auto& [offset, bytes] : kernel.writes) {
        const bool in_header = offset < 0x40;
        io::check(!in_header || (offset >= 4 && offset + bytes.size() <= 8),
                  "a guest writes the header of the device");
        for (const FoundCapability& capability : device.plan().capabilities) {
            const bool theirs = capability.rule->treatment == Treatment::Hidden ||
                                capability.rule->treatment == Treatment::Virtualised;
            const std::uint64_t header = capability.extended() ? 4 : 2;
            const std::uint64_t end = capability.offset + (theirs ? capability.size : header);
            io::check(offset >= end || offset + bytes.size() <= capability.offset,
                      "a guest writes a capability that is not its");
        }
    }
}

class Machine {
  public:
    Machine(FakeKernel& kernel, const PassedDevice& device)
        : kernel_(kernel), device_(device), vectors_(device.vectors()) {
        for (Vector& vector : vectors_) {
            pointers_.push_back(&vector);
        }
        function_.emplace(device, FunctionWiring{.bars = mapper_,
                                                 .type = pci::PortType::Endpoint,
                                                 .vectors = pointers_,
                                                 .pin = SignalledPin{.trigger = 3, .resample = 3},
                                                 .log = log_});
    }

    void step(Script& script) {
        // Of the kernel's registers, not of a region: those have addresses of their own.
        kernel_.writes.clear();
        const std::uint8_t kind = script.next();
        if (kind == 0xff) {
            function_->reset();
        } else if (kind >= 0xe0) {
            std::array<std::byte, 8> data{};
            const auto part = std::span(data).first(std::size_t{1} << kind % 4U);
            const std::uint64_t address = script.value32();
            space_.read(address, part);
            return;
        } else {
            const std::uint64_t offset = (std::uint64_t{script.next()} << 8 | script.next()) % 4096;
            const std::size_t size = std::size_t{1} << kind % 3U;
            const IoStatus status =
                cxlvm::test::write_value(*function_, offset, size, script.value32());
            io::check((status == IoStatus::Ok) == (offset % 4 + size <= 4), "a dword is a dword");
            static_cast<void>(cxlvm::test::read_value(*function_, offset, size));
        }
        check(kernel_, *function_, device_);
        check_chains();
    }

  private:
    /// A guest that follows them comes to an end.
    void check_chains() {
        std::uint64_t at = *cxlvm::test::read_value(*function_, 0x34, 1);
        unsigned count = 0;
        for (; at != 0; at = *cxlvm::test::read_value(*function_, at + 1, 1)) {
            io::check(at >= 0x40 && at % 4 == 0 && ++count <= 48, "a chain has no end");
        }
        count = 0;
        for (at = 0x100; at != 0;) {
            const std::uint64_t header = *cxlvm::test::read_value(*function_, at, 4);
            at = header >> 20;
            io::check((at == 0 || at >= 0x100) && ++count <= 960, "an extended chain has no end");
        }
    }

    FakeKernel& kernel_;
    const PassedDevice& device_;
    io::Log log_{2, io::LogLevel::Off};
    AddressSpace space_{128};
    pci::BarMapper mapper_{space_, Gpa((std::uint64_t{1} << 40) - 1), log_};
    std::vector<Vector> vectors_;
    std::vector<MsiVector*> pointers_;
    std::optional<VfioPciFunction> function_;
};

void run(Script& script) {
    FakeKernel kernel;
    describe(kernel, script);
    std::optional<PassedDevice> device;
    std::optional<Machine> machine;
    try {
        device.emplace(VfioDevice(kernel, io::Fd(FakeKernel::new_descriptor()), "fuzzed"));
        machine.emplace(kernel, *device);
    } catch (const io::Error&) {
        return;  // refused
    }
    for (int steps = 0; steps < 300 && !script.done(); ++steps) {
        machine->step(script);
    }
}

}  // namespace
}  // namespace cxlvm::vfio

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::vfio::Script script(std::span(data, size));
    cxlvm::vfio::run(script);
    return 0;
}
