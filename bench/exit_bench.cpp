// SPDX-License-Identifier: Apache-2.0
// The round trip of an exit: from the guest's instruction through the vCPU's loop, the address
// space and a device that does nothing, back to the next instruction. Against a bare KVM_RUN loop
// on the same guest, which looks at nothing: the difference is what this project adds.
//
// Each figure is the processor time of kBatch exits (a busy machine does not disturb it);
// items_per_second counts exits.
#include <benchmark/benchmark.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <span>
#include <string_view>

#include "io/error.hpp"
#include "memory/address_space.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/kvm.hpp"
#include "vmm/kvm/memory_slots.hpp"
#include "vmm/vcpu/vcpu_group.hpp"

namespace cxlvm {
namespace {

/// Processor time of this thread, the guest's included.
double thread_seconds() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

constexpr std::uint64_t kBatch = 1000;
constexpr std::uint64_t kCode = 0x1000;
constexpr std::uint64_t kPort = 0x80;
constexpr std::uint64_t kMmio = 0xd0000;

// In 16-bit real mode, for ever.
constexpr std::array<std::uint8_t, 4> kPortWriter = {0xe6, 0x80,   // out 0x80, al
                                                     0xeb, 0xfc};  // jmp back
constexpr std::array<std::uint8_t, 10> kMmioWriter = {0xb8, 0x00, 0xd0,
                                                      0x8e, 0xd8,  // mov ax, 0xd000; mov ds, ax
                                                      0xa2, 0x10, 0x00,  // mov [0x10], al
                                                      0xeb, 0xfb};       // jmp back to the write
constexpr std::array<std::uint8_t, 10> kMmioReader = {0xb8, 0x00, 0xd0, 0x8e,
                                                      0xd8, 0xa0, 0x10, 0x00,  // mov al, [0x10]
                                                      0xeb, 0xfb};

/// Does nothing but count, and tells whoever waits how long each batch took.
class BatchTimer final : public IoHandler {
  public:
    IoStatus read(std::uint64_t, std::span<std::byte> data) noexcept override {
        data[0] = std::byte{0};
        count();
        return IoStatus::Ok;
    }
    IoStatus write(std::uint64_t, std::span<const std::byte>) noexcept override {
        count();
        return IoStatus::Ok;
    }
    /// Seconds of one batch that ends after this call began.
    double next_batch() {
        std::unique_lock lock(mutex_);
        batch_ended_ = false;
        changed_.wait(lock, [this] { return batch_ended_; });
        return seconds_;
    }

  private:
    void count() noexcept {
        if (++count_ % kBatch != 0) {
            return;
        }
        if (count_ == kBatch) {  // its beginning was not timed
            start_ = thread_seconds();
            return;
        }
        const double now = thread_seconds();
        {
            const std::lock_guard lock(mutex_);
            seconds_ = now - start_;
            batch_ended_ = true;
        }
        changed_.notify_one();
        start_ = thread_seconds();
    }

    // The vCPU's thread alone.
    std::uint64_t count_ = 0;
    double start_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    double seconds_ = 0;
    bool batch_ended_ = false;
};

class NoOwner final : public VcpuOwner {
  public:
    void vcpu_ended(ExitReason, std::string_view message) noexcept override {
        io::check(false, message.data());
    }
};

/// A guest of a few bytes with memory below the device.
struct Guest {
    explicit Guest(std::span<const std::uint8_t> code) {
        if (memory.map(low_ram, 0) || memory.map(mmio, kMmio) || ports.map(port, kPort) ||
            !ram.write(Gpa(kCode), std::as_bytes(code))) {
            io::throw_input("the bench's guest does not fit");
        }
        memory.add_listener(slots);
    }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    ~Guest() { memory.remove_listener(slots); }

    static void enter(const KvmVcpu& vcpu) {
        kvm_sregs sregs = vcpu.sregs();
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        vcpu.set_sregs(sregs);
        kvm_regs regs{};
        regs.rip = kCode;
        regs.rflags = 2;
        vcpu.set_regs(regs);
    }

    BatchTimer timer;
    Kvm kvm{"/dev/kvm"};
    KvmVm vm{kvm};
    IrqChip chip{kvm, vm};
    GuestMemory ram{{.size = 2 << 20, .numa_node = {}}};
    AddressSpace memory{8};
    AddressSpace ports{8};
    Region low_ram{"ram", {.host = ram.blocks()[0].host.first(kMmio), .ram = true}};
    Region mmio{"mmio", 0x1000, timer};
    Region port{"port", 1, timer};
    MemorySlots slots{kvm, vm};
};

/// Nothing but KVM_RUN.
void run_bare(benchmark::State& state, std::span<const std::uint8_t> code) {
    const Guest guest(code);
    const KvmVcpu vcpu(guest.kvm, guest.vm, 0);
    Guest::enter(vcpu);
    for (auto _ : state) {
        const double start = thread_seconds();
        for (std::uint64_t i = 0; i < kBatch; ++i) {
            if (vcpu.run() != 0) {
                state.SkipWithError("KVM_RUN failed");
                return;
            }
        }
        state.SetIterationTime(thread_seconds() - start);
    }
    state.SetItemsProcessed(state.iterations() * std::int64_t{kBatch});
}

/// As a machine runs it.
void run_whole(benchmark::State& state, std::span<const std::uint8_t> code) {
    Guest guest(code);
    io::Log log;
    NoOwner owner;
    const std::array<std::uint32_t, 1> apic_ids = {0};
    VcpuGroup vcpus(apic_ids, {.kvm = guest.kvm,
                               .vm = guest.vm,
                               .memory = guest.memory,
                               .ports = guest.ports,
                               .owner = owner,
                               .log = log});
    Guest::enter(vcpus[0].kvm());
    vcpus.start();
    for (auto _ : state) {
        state.SetIterationTime(guest.timer.next_batch());
    }
    state.SetItemsProcessed(state.iterations() * std::int64_t{kBatch});
}

BENCHMARK_CAPTURE(run_bare, port_write, std::span<const std::uint8_t>(kPortWriter))
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();
BENCHMARK_CAPTURE(run_whole, port_write, std::span<const std::uint8_t>(kPortWriter))
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();
BENCHMARK_CAPTURE(run_bare, mmio_write, std::span<const std::uint8_t>(kMmioWriter))
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();
BENCHMARK_CAPTURE(run_whole, mmio_write, std::span<const std::uint8_t>(kMmioWriter))
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();
BENCHMARK_CAPTURE(run_bare, mmio_read, std::span<const std::uint8_t>(kMmioReader))
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();
BENCHMARK_CAPTURE(run_whole, mmio_read, std::span<const std::uint8_t>(kMmioReader))
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();

}  // namespace
}  // namespace cxlvm
