// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu/vcpu_group.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <thread>
#include <vector>

#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm {
namespace {

using test::Access;
using test::eventually;
using test::MiniMachine;

class VcpuTest : public test::KvmTest {};

constexpr Gpa kCounter{0x3000};

/// inc word [0x3000]; jmp back
constexpr std::array<std::uint8_t, 6> kSpin = {0xff, 0x06, 0x00, 0x30, 0xeb, 0xfa};

std::uint16_t counter(const MiniMachine& machine) {
    return machine.ram.load<std::uint16_t>(kCounter).value();
}

/// Whether the guest goes on counting.
bool counts(const MiniMachine& machine) {
    const std::uint16_t before = counter(machine);
    return eventually([&] { return counter(machine) != before; });
}

TEST_F(VcpuTest, APortWriteOfTheGuestReachesTheDevice) {
    // mov al, 0x41; out 0x81, al; jmp $
    MiniMachine machine{0xb0, 0x41, 0xe6, 0x81, 0xeb, 0xfe};
    machine.run_to_port_access(1);
    EXPECT_EQ(machine.port_device.accesses(), (std::vector{Access{true, 1, {0x41}}}));
    EXPECT_EQ((*machine.vcpus)[0].counters().io.load(), 1u);
}

TEST_F(VcpuTest, APortReadGivesTheGuestWhatTheDeviceAnswers) {
    // in al, 0x80; out 0x81, al; jmp $
    MiniMachine machine{0xe4, 0x80, 0xe6, 0x81, 0xeb, 0xfe};
    machine.run_to_port_access(2);
    EXPECT_EQ(machine.port_device.accesses(),
              (std::vector{Access{false, 0, {0xa0}}, Access{true, 1, {0xa0}}}));
}

TEST_F(VcpuTest, AnUnclaimedPortReadsAllOnes) {
    // mov dx, 0x1234; in al, dx; out 0x80, al; jmp $
    MiniMachine machine{0xba, 0x34, 0x12, 0xec, 0xe6, 0x80, 0xeb, 0xfe};
    machine.run_to_port_access(1);
    EXPECT_EQ(machine.port_device.accesses(), (std::vector{Access{true, 0, {0xff}}}));
    EXPECT_EQ((*machine.vcpus)[0].counters().unclaimed.load(), 1u);
}

TEST_F(VcpuTest, AStringWriteArrivesElementByElement) {
    // cld; mov si, 0x100f; mov cx, 5; mov dx, 0x80; rep outsb; jmp $; "hello"
    MiniMachine machine{0xfc, 0xbe, 0x0f, 0x10, 0xb9, 0x05, 0x00, 0xba, 0x80, 0x00,
                        0xf3, 0x6e, 0xeb, 0xfe, 0x90, 'h',  'e',  'l',  'l',  'o'};
    machine.run_to_port_access(5);
    std::string text;
    for (const Access& access : machine.port_device.accesses()) {
        text.push_back(static_cast<char>(access.data.at(0)));
    }
    EXPECT_EQ(text, "hello");
}

TEST_F(VcpuTest, AMemoryAccessOfTheGuestReachesTheDevice) {
    // mov ax, 0xd000; mov ds, ax; mov byte [0x10], 0x42; mov ax, [0x20]; out 0x80, ax; jmp $
    MiniMachine machine{0xb8, 0x00, 0xd0, 0x8e, 0xd8, 0xc6, 0x06, 0x10, 0x00,
                        0x42, 0xa1, 0x20, 0x00, 0xe7, 0x80, 0xeb, 0xfe};
    machine.run_to_port_access(1);
    EXPECT_EQ(machine.mmio_device.accesses(),
              (std::vector{Access{true, 0x10, {0x42}}, Access{false, 0x20, {0xa0, 0xa1}}}));
    EXPECT_EQ(machine.port_device.accesses(), (std::vector{Access{true, 0, {0xa0, 0xa1}}}));
    EXPECT_EQ((*machine.vcpus)[0].counters().mmio.load(), 2u);
}

TEST_F(VcpuTest, ATripleFaultEndsTheVcpuAsACrash) {
    // ud2, in protected mode without any interrupt descriptor
    MiniMachine machine{0x0f, 0x0b};
    machine.enter_protected_mode(0, 0);
    machine.run_to_end();
    EXPECT_EQ(machine.ending.reason(), ExitReason::Crash) << machine.ending.message();
    EXPECT_NE(machine.ending.message().find("vCPU 0"), std::string::npos);
}

TEST_F(VcpuTest, APausedGuestStandsStillAndAResumedOneGoesOn) {
    MiniMachine machine{std::span(kSpin)};
    machine.vcpus->start();
    EXPECT_TRUE(counts(machine));
    for (int i = 0; i < 20; ++i) {
        machine.vcpus->pause();
        const std::uint16_t before = counter(machine);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_EQ(counter(machine), before);
        machine.vcpus->resume();
        EXPECT_TRUE(counts(machine));
    }
    machine.vcpus->stop();
    machine.vcpus->join();
    EXPECT_FALSE(machine.ending.reason()) << machine.ending.message();
}

TEST_F(VcpuTest, PausingBeforeTheStartKeepsTheGuestFromRunning) {
    MiniMachine machine{std::span(kSpin)};
    machine.vcpus->pause();
    machine.vcpus->start();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(counter(machine), 0u);
    machine.vcpus->resume();
    EXPECT_TRUE(counts(machine));
}

TEST_F(VcpuTest, ManyThreadsMayPauseAndResumeAtOnce) {
    MiniMachine machine{std::span(kSpin), 2};
    machine.vcpus->start();
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                machine.vcpus->pause();
                machine.vcpus->resume();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_TRUE(counts(machine));
}

TEST_F(VcpuTest, StoppingEndsAPausedGuest) {
    MiniMachine machine{std::span(kSpin)};
    machine.vcpus->start();
    machine.vcpus->pause();
    machine.vcpus->stop();
    machine.vcpus->join();
    machine.vcpus->pause();  // no effect any more, and no waiting
    machine.vcpus->resume();
    SUCCEED();
}

/// This user may queue no signal while it lives.
class NoQueuedSignals {
  public:
    NoQueuedSignals() {
        ::getrlimit(RLIMIT_SIGPENDING, &before_);
        const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
        ::setrlimit(RLIMIT_SIGPENDING, &none);
    }
    NoQueuedSignals(const NoQueuedSignals&) = delete;
    NoQueuedSignals& operator=(const NoQueuedSignals&) = delete;
    ~NoQueuedSignals() { ::setrlimit(RLIMIT_SIGPENDING, &before_); }

  private:
    rlimit before_{};
};

TEST_F(VcpuTest, AUserWhoMayQueueNoSignalsCanPauseAndStopAGuest) {
    MiniMachine machine{std::span(kSpin), 2};
    const NoQueuedSignals limit;
    // Proves that the limit holds: a real-time signal is refused.
    sigset_t realtime;
    ::sigemptyset(&realtime);
    ::sigaddset(&realtime, SIGRTMAX);
    ::pthread_sigmask(SIG_BLOCK, &realtime, nullptr);
    ASSERT_EQ(::pthread_kill(::pthread_self(), SIGRTMAX), EAGAIN);
    machine.vcpus->start();
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(counts(machine));
        machine.vcpus->pause();
        machine.vcpus->resume();
    }
    machine.vcpus->stop();
    machine.vcpus->join();
    EXPECT_FALSE(machine.ending.reason()) << machine.ending.message();
}

TEST_F(VcpuTest, AHaltedGuestCanBePausedAndStopped) {
    // out 0x80, al; cli; hlt; jmp back to hlt
    MiniMachine machine{0xe6, 0x80, 0xfa, 0xf4, 0xeb, 0xfd};
    machine.vcpus->start();
    EXPECT_TRUE(eventually([&] { return machine.port_device.count() == 1; }));
    machine.vcpus->pause();
    machine.vcpus->resume();
    machine.vcpus->stop();
    machine.vcpus->join();
    EXPECT_FALSE(machine.ending.reason()) << machine.ending.message();
}

TEST_F(VcpuTest, AProcessorThatWaitsForItsStartSignalCanBeStopped) {
    MiniMachine machine{std::span(kSpin), 2};
    (*machine.vcpus)[1].kvm().set_mp_state(KVM_MP_STATE_UNINITIALIZED);
    machine.vcpus->start();
    EXPECT_TRUE(counts(machine));
    machine.vcpus->pause();
    machine.vcpus->resume();
    machine.vcpus->stop();
    machine.vcpus->join();
    EXPECT_FALSE(machine.ending.reason()) << machine.ending.message();
}

TEST_F(VcpuTest, FourProcessorsRunTheirOwnCode) {
    // mov al, bl; out 0x80, al; jmp $ (bl is the processor's number)
    MiniMachine machine({0x88, 0xd8, 0xe6, 0x80, 0xeb, 0xfe}, 4);
    machine.run_to_port_access(4);
    std::vector<std::uint8_t> seen;
    for (const Access& access : machine.port_device.accesses()) {
        seen.push_back(access.data.at(0));
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, (std::vector<std::uint8_t>{0, 1, 2, 3}));
}

TEST_F(VcpuTest, TwoMachinesInOneProcessDoNotDisturbEachOther) {
    MiniMachine first{std::span(kSpin)};
    MiniMachine second{std::span(kSpin)};
    first.vcpus->start();
    second.vcpus->start();
    first.vcpus->pause();
    EXPECT_TRUE(counts(second));
    first.vcpus->stop();
    first.vcpus->join();
    EXPECT_TRUE(counts(second));
}

TEST_F(VcpuTest, AnAccessIsFinishedBeforeAPauseReturns) {
    // again: mov al, 1; out 0x80, al; inc word [0x3000]; jmp again
    MiniMachine machine{0xb0, 0x01, 0xe6, 0x80, 0xff, 0x06, 0x00, 0x30, 0xeb, 0xf6};
    machine.vcpus->start();
    for (int i = 0; i < 20; ++i) {
        machine.vcpus->pause();
        kvm_regs regs{};
        ASSERT_EQ((*machine.vcpus)[0].kvm().get_regs(regs), 0);
        // Either before the write or past it, never in the middle: as many writes as the position
        // says.
        const std::size_t past = regs.rip == 0x1004 ? 1 : 0;
        EXPECT_EQ(machine.port_device.count(), counter(machine) + past);
        machine.vcpus->resume();
    }
}

}  // namespace
}  // namespace cxlvm
