// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu/vcpu.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

#include "io/error.hpp"
#include "vmm/vcpu/vcpu_group.hpp"

namespace cxlvm {

namespace {

/// Sent to vCPU threads alone, which block it. A standard signal, since those are pending or not
/// and therefore never refused, where a real-time signal needs a place in a queue whose length the
/// user's limits bound (RLIMIT_SIGPENDING, signal(7)). Linux itself raises this one nowhere, so it
/// is the least likely to mean something to the program around us.
constexpr int kKickSignal = SIGSTKFLT;

sigset_t set_of(std::initializer_list<int> signals) noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : signals) {
        ::sigaddset(&set, signal);
    }
    return set;
}

/// Everything but the kick: signal N is bit N - 1 of the kernel's set.
abi::SignalSet blocked_in_guest() noexcept {
    return ~(abi::SignalSet{1} << (kKickSignal - 1));
}

const char* suberror_name(std::uint32_t suberror) noexcept {
    switch (suberror) {
        case KVM_INTERNAL_ERROR_EMULATION:
            return "an instruction could not be emulated";
        case KVM_INTERNAL_ERROR_SIMUL_EX:
            return "simultaneous exceptions";
        case KVM_INTERNAL_ERROR_DELIVERY_EV:
            return "an exit while an event was delivered";
        case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
            return "an unexpected exit of the processor";
        default:
            return "unknown";
    }
}

/// A line of text without allocation; what does not fit is cut.
class Text {
  public:
    template <typename... Args>
    void append(fmt::format_string<Args...> text, Args&&... args) noexcept {
        try {
            const auto result = fmt::format_to_n(buffer_.data() + size_, buffer_.size() - size_,
                                                 text, std::forward<Args>(args)...);
            size_ = static_cast<std::size_t>(result.out - buffer_.data());
        } catch (...) {
            size_ = 0;  // the format was checked when it was compiled: nothing throws in fact
        }
    }
    [[nodiscard]] std::string_view view() const noexcept { return {buffer_.data(), size_}; }

  private:
    std::array<char, 256> buffer_;
    std::size_t size_ = 0;
};

void describe_internal_error(const kvm_run& run, Text& text) noexcept {
    text.append("KVM internal error {} ({})", run.internal.suberror,
                suberror_name(run.internal.suberror));
    if (run.internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run.internal.ndata == 0 ||
        (run.emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) == 0) {
        return;
    }
    const std::span<const __u8> bytes(run.emulation_failure.insn_bytes);
    const std::size_t size = std::min<std::size_t>(run.emulation_failure.insn_size, bytes.size());
    text.append(", instruction");
    for (const __u8 byte : bytes.first(size)) {
        text.append(" {:02x}", byte);
    }
}

}  // namespace

Vcpu::Vcpu(unsigned index, std::uint32_t apic_id, const VcpuWiring& wiring, VcpuGroup& group)
    : index_(index),
      log_(wiring.log),
      owner_(wiring.owner),
      group_(group),
      dispatcher_(wiring.memory, wiring.ports, counters_),
      kvm_(wiring.kvm, wiring.vm, apic_id) {
    kvm_.set_signal_mask(blocked_in_guest());
}

void Vcpu::start() {
    thread_ = io::Thread(fmt::format("vcpu{}", index_), [this] { run(); });
}

void Vcpu::kick() noexcept {
    // Only the first kick since the last acknowledgement sends the signal; see acknowledge_kick for
    // why the others may rely on it.
    const std::atomic_ref<__u8> immediate_exit(kvm_.run_page().immediate_exit);
    if (immediate_exit.exchange(1) == 1 || !thread_.joinable()) {
        return;
    }
    // Cannot fail: the number is valid, and a thread that is not joined yet has its id still.
    static_cast<void>(::pthread_kill(thread_.handle(), kKickSignal));
}

void Vcpu::run() noexcept {
    // The only loop that guest code runs in. The group is asked at the beginning and after each
    // interruption, and never on the way of an access to a device.
    bool inside = group_.enter();
    while (inside) {
        int error = kvm_.run();
        auto verdict = ExitVerdict::Resume;
        while (error == 0 &&
               (verdict = dispatcher_.dispatch(kvm_.run_page())) == ExitVerdict::Resume)
            [[likely]] {
                error = kvm_.run();
            }
        if (error == 0) {
            end(verdict);
            break;
        }
        // EAGAIN: a processor that waits for its INIT or SIPI was woken for nothing.
        if (error != EINTR && error != EAGAIN) {
            end_failed(error);
            break;
        }
        ExitCounters::count(counters_.other);
        acknowledge_kick();
        inside = group_.pass(*this);
    }
    if (inside) {
        group_.leave();
    }
}

void Vcpu::acknowledge_kick() noexcept {
    // The order matters. Whoever kicks has changed the group's state before; a kick that finds
    // immediate_exit set, and therefore sends nothing, happened before this store, so its change is
    // seen when the group is asked next. A signal that arrives from here on is either taken now,
    // with immediate_exit set again, or ends the next KVM_RUN. Two that arrive before one is taken
    // are one: the second kick has set immediate_exit, which ends the next KVM_RUN by itself.
    std::atomic_ref<__u8>(kvm_.run_page().immediate_exit).store(0);
    const sigset_t kick = set_of({kKickSignal});
    const timespec no_wait{};
    while (::sigtimedwait(&kick, nullptr, &no_wait) > 0) {
    }
}

void Vcpu::end(ExitVerdict verdict) noexcept {
    const kvm_run& run = kvm_.run_page();
    Text text;
    text.append("vCPU {}: ", index_);
    auto reason = ExitReason::HostError;
    switch (verdict) {
        case ExitVerdict::PowerOff:
            reason = ExitReason::PowerOff;
            break;
        case ExitVerdict::Reset:
            reason = ExitReason::Reset;
            break;
        case ExitVerdict::GuestPanic:
            reason = ExitReason::GuestPanic;
            break;
        case ExitVerdict::TripleFault:
            reason = ExitReason::Crash;
            text.append("triple fault");
            break;
        case ExitVerdict::InternalError:
            reason = ExitReason::Crash;
            describe_internal_error(run, text);
            break;
        case ExitVerdict::EntryFailed:
            reason = ExitReason::Crash;
            text.append("the processor refused to enter the guest, reason {:#x}",
                        run.fail_entry.hardware_entry_failure_reason);
            break;
        case ExitVerdict::Unknown:
        case ExitVerdict::Resume:
            text.append("KVM exit {} that nobody asked for", run.exit_reason);
            break;
    }
    if (reason == ExitReason::Crash || reason == ExitReason::HostError) {
        log_registers(text.view());
    }
    owner_.vcpu_ended(reason, text.view());
}

void Vcpu::end_failed(int error) noexcept {
    Text text;
    text.append("vCPU {}: KVM_RUN failed: {} (errno {})", index_, io::errno_text(error), error);
    const kvm_run& run = kvm_.run_page();
    if (run.exit_reason == abi::kExitMemoryFault) {
        abi::MemoryFault fault;
        std::memcpy(&fault, &run.padding, sizeof(fault));
        text.append("; the host has no memory for the guest at {:#x}", fault.gpa);
    } else if (error == EFAULT) {
        text.append("; the host has no memory for an address that the guest touched");
    }
    if (run.exit_reason == abi::kExitMemoryFault || error == EFAULT) {
        text.append(": RAM that it lost, or a BAR of a passed device that it disabled or lost");
    }
    log_registers(text.view());
    owner_.vcpu_ended(ExitReason::HostError, text.view());
}

void Vcpu::log_registers(std::string_view why) noexcept {
    kvm_regs r{};
    kvm_sregs s{};
    static_cast<void>(kvm_.get_regs(r));
    static_cast<void>(kvm_.get_sregs(s));
    log_.error(
        "{}; rip={:#x} rflags={:#x} rsp={:#x} rbp={:#x} rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} "
        "rsi={:#x} rdi={:#x} r8={:#x} r9={:#x} r10={:#x} r11={:#x} r12={:#x} r13={:#x} r14={:#x} "
        "r15={:#x} cs={:#x}/{:#x} cr0={:#x} cr2={:#x} cr3={:#x} cr4={:#x} efer={:#x}",
        why, r.rip, r.rflags, r.rsp, r.rbp, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.r8, r.r9,
        r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, s.cs.selector, s.cs.base, s.cr0, s.cr2, s.cr3,
        s.cr4, s.efer);
}

}  // namespace cxlvm
