// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/kvm_speed.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>

#include "io/error.hpp"
#include "io/mapping.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm::host_check {

namespace {

// Guest-physical layout: three page tables that map the first 2 MiB onto itself, then code.
constexpr std::uint64_t kPml4 = 0x1000;
constexpr std::uint64_t kPdpt = 0x2000;
constexpr std::uint64_t kPageDirectory = 0x3000;
constexpr std::uint64_t kCode = 0x4000;
constexpr std::size_t kGuestSize = 0x10000;

constexpr std::uint32_t kIterations = 12'500;  // of two instructions
constexpr std::uint32_t kExits = 100;

// A slice is short enough that some slice runs undisturbed on a busy machine: the least counts. An
// interpreter is told from hardware by its first.
constexpr int kSlices = 8;
constexpr std::chrono::milliseconds kEnough{40};

constexpr std::uint8_t byte_of(std::uint32_t value, int index) {
    return static_cast<std::uint8_t>(value >> (8 * index));
}

// Every port write is an exit: one after the countdown, then kExits in a row, and so for ever.
// clang-format off: one instruction a line
constexpr std::array<std::uint8_t, 24> kProgram{
    0xb9,
    byte_of(kIterations, 0),
    byte_of(kIterations, 1),
    byte_of(kIterations, 2),
    byte_of(kIterations, 3),  // start: mov ecx, kIterations
    0xff,
    0xc9,  // count: dec ecx
    0x75,
    0xfc,  //        jnz count
    0xe6,
    0x80,  //        out 0x80, al
    0xb9,
    byte_of(kExits, 0),
    byte_of(kExits, 1),
    byte_of(kExits, 2),
    byte_of(kExits, 3),  //        mov ecx, kExits
    0xe6,
    0x80,  // write: out 0x80, al
    0xff,
    0xc9,  //        dec ecx
    0x75,
    0xfa,  //        jnz write
    0xeb,
    0xe8};  //        jmp start
// clang-format on

constexpr double kHardwareLimit = 50;  // ns an instruction

class SpeedGuest {
  public:
    explicit SpeedGuest(const std::string& path)
        : kvm_(path),
          memory_({.size = kGuestSize,
                   .protection = PROT_READ | PROT_WRITE,
                   .flags = MAP_PRIVATE | MAP_ANONYMOUS},
                  "memory of the speed test's guest"),
          vm_(kvm_),
          vcpu_(kvm_, vm_, 0) {
        const int error = vm_.set_memory(
            {.slot = 0,
             .flags = 0,
             .guest_phys_addr = 0,
             .memory_size = kGuestSize,
             .userspace_addr = reinterpret_cast<std::uintptr_t>(memory_.bytes().data())});
        if (error != 0) {
            io::throw_error(error, "KVM_SET_USER_MEMORY_REGION");
        }
        load();
        enter_long_mode();
        start_at_program();
    }

    struct Slice {
        double countdown;  ///< seconds, one exit included
        double exits;      ///< seconds
    };
    [[nodiscard]] Slice run_slice() const {
        const double countdown = timed([&] { run_to_port_write(); });
        const double exits = timed([&] {
            for (std::uint32_t i = 0; i < kExits; ++i) {
                run_to_port_write();
            }
        });
        return {countdown, exits};
    }

  private:
    template <typename Work>
    static double timed(Work&& work) {
        const auto begin = std::chrono::steady_clock::now();
        work();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

    void put(std::uint64_t address, std::uint64_t value) const {
        std::memcpy(memory_.bytes().subspan(address).data(), &value, sizeof(value));
    }

    void load() const {
        // Present and writable; the last also a 2 MiB page (Intel SDM volume 3, 4.5.4).
        put(kPml4, kPdpt | 0x3);
        put(kPdpt, kPageDirectory | 0x3);
        put(kPageDirectory, 0x83);
        std::memcpy(memory_.bytes().subspan(kCode).data(), kProgram.data(), kProgram.size());
    }

    void enter_long_mode() const {
        kvm_sregs sregs = vcpu_.sregs();
        kvm_segment segment{};
        segment.limit = 0xffff'ffff;
        segment.present = 1;
        segment.s = 1;
        segment.g = 1;
        segment.selector = 0x10;
        segment.type = 0x3;  // data, writable, accessed
        segment.db = 1;
        sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
        segment.selector = 0x8;
        segment.type = 0xb;  // code, readable, accessed
        segment.db = 0;
        segment.l = 1;
        sregs.cs = segment;
        sregs.cr0 = 0x8000'0031;  // PG, NE, ET, PE
        sregs.cr3 = kPml4;
        sregs.cr4 = 0x20;    // PAE
        sregs.efer = 0x500;  // LMA, LME
        vcpu_.set_sregs(sregs);
    }

    void start_at_program() const {
        kvm_regs regs{};
        regs.rip = kCode;
        regs.rflags = 0x2;  // the bit that is always set
        vcpu_.set_regs(regs);
    }

    void run_to_port_write() const {
        int error = EINTR;
        while (error == EINTR) {
            error = vcpu_.run();
        }
        if (error != 0) {
            io::throw_error(error, "KVM_RUN");
        }
        if (const std::uint32_t reason = vcpu_.run_page().exit_reason; reason != KVM_EXIT_IO) {
            io::throw_error(EPROTO, fmt::format("the guest's loop ended with exit {}", reason));
        }
    }

    Kvm kvm_;
    io::Mapping memory_;
    KvmVm vm_;
    KvmVcpu vcpu_;
};

}  // namespace

KvmSpeed::Kind classify_speed(double ns_per_instruction) noexcept {
    return ns_per_instruction < kHardwareLimit ? KvmSpeed::Kind::Hardware
                                               : KvmSpeed::Kind::Interpreting;
}

KvmSpeed measure_kvm_speed(const std::string& path) {
    try {
        const SpeedGuest guest(path);
        SpeedGuest::Slice least{std::numeric_limits<double>::max(),
                                std::numeric_limits<double>::max()};
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < kSlices && std::chrono::steady_clock::now() - begin < kEnough; ++i) {
            const SpeedGuest::Slice slice = guest.run_slice();
            least.countdown = std::min(least.countdown, slice.countdown);
            least.exits = std::min(least.exits, slice.exits);
        }
        constexpr double kNanoseconds = 1e9;
        const double per_exit = least.exits * kNanoseconds / kExits;
        const double loop = std::max(0.0, least.countdown * kNanoseconds - per_exit);
        const double per_instruction = loop / (2.0 * kIterations);
        return {.kind = classify_speed(per_instruction),
                .ns_per_instruction = per_instruction,
                .ns_per_exit = per_exit};
    } catch (const io::Error& error) {
        return {.kind = KvmSpeed::Kind::Absent, .error = error.what()};
    }
}

}  // namespace cxlvm::host_check
