// SPDX-License-Identifier: Apache-2.0
#include "vmm/vm.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <thread>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "io/operations.hpp"
#include "tests/support/refuse_threads.hpp"
#include "tests/vmm/boot/image_builder.hpp"
#include "tests/vmm/machine/vm_fixture.hpp"

namespace cxlvm {
namespace {

TEST_F(VmTest, AGuestThatPowersOffEndsAsPowerOff) {
    EXPECT_EQ(run(""), ExitReason::PowerOff);
}

TEST_F(VmTest, AGuestThatAsksForAResetEndsAsReset) {
    EXPECT_EQ(run("reset"), ExitReason::Reset);
}

TEST_F(VmTest, AGuestThatReportsAPanicEndsAsGuestPanic) {
    EXPECT_EQ(run("panic"), ExitReason::GuestPanic);
}

TEST_F(VmTest, AGuestThatReportsItsCrashInALoopDoesNotFloodTheLog) {
    constexpr std::uint32_t kCode = 0x20'0000;
    constexpr std::size_t kReports = 5000;
    constexpr auto kLowByte = static_cast<std::uint8_t>(kReports & 0xff);
    constexpr auto kHighByte = static_cast<std::uint8_t>(kReports >> 8);
    constexpr std::array<std::uint8_t, 19> kProgram{
        0xb9, kLowByte, kHighByte, 0,    0,  //         mov ecx, kReports
        0x66, 0xba,     0x05,      0x05,     //         mov dx, 0x505
        0xb0, 2,                             //         mov al, 2: crash kernel loaded
        0xee,                                // report: out dx, al
        0x49,                                //         dec ecx
        0x75, 0xfc,                          //         jnz report
        0xb0, 1,                             //         mov al, 1: panicked
        0xee,                                //         out dx, al
        0xf4};                               //         hlt
    const auto code = std::as_bytes(std::span(kProgram));
    const boot::test::TemporaryFolder folder;
    VmConfig config = this->config("");
    config.boot.kernel = folder.write(
        "kernel", boot::test::make_elf32({.segments = {{.virtual_address = kCode,
                                                        .physical_address = kCode,
                                                        .content = {code.begin(), code.end()}}},
                                          .entry = kCode,
                                          .notes = boot::test::make_pvh_note(kCode),
                                          .machine = EM_386}));
    const io::Fd file = io::open_file(serial_file_, O_RDWR | O_CREAT | O_TRUNC, 0600);
    io::Log log(file.get(), io::LogLevel::Info);
    Vm vm(config, log);
    EXPECT_EQ(vm.run(), ExitReason::GuestPanic);
    EXPECT_GE(vm.statistics().io_exits, kReports);
    const std::string text = output();
    EXPECT_NE(text.find("kernel crashed"), std::string::npos) << text;
    EXPECT_LT(std::ranges::count(text, '\n'), 200) << text;
}

struct OfTheCaller {
    void completed(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
        last_result = result;
    }
    std::int32_t last_result = 0;
};

TEST_F(VmTest, ARunThatCannotStartItsVcpusEndsWhatIsOnItsLoop) {
    std::thread([this] {
        Vm vm(config("hang"), log_);
        // Belongs to whoever calls run(), who lets it go when that returns, or throws.
        OfTheCaller caller;
        io::TimeoutOp pending(io::Completion::to<&OfTheCaller::completed>(caller));
        vm.loop().start(pending.set(std::chrono::hours(1)));
        ASSERT_TRUE(test::refuse_threads());
        EXPECT_THROW(static_cast<void>(vm.run()), io::Error);
        EXPECT_TRUE(pending.idle());
        EXPECT_EQ(caller.last_result, -ECANCELED);
    }).join();
}

TEST_F(VmTest, ATripleFaultEndsAsACrashThatIsExplained) {
    Vm vm(config("triplefault"), log_);
    EXPECT_EQ(vm.run(), ExitReason::Crash);
    EXPECT_NE(vm.error().find("triple fault"), std::string::npos) << vm.error();
}

TEST_F(VmTest, EveryByteOfOutputHasBeenWrittenWhenRunReturns) {
    Vm vm(config_with_output(""), log_);
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    const std::string text = output();
    EXPECT_NE(text.find("end "), std::string::npos) << text;
    EXPECT_EQ(text.back(), '\n') << text;
}

TEST_F(VmTest, TheGuestSeesItsCommandLineMemoryProcessorsAndTables) {
    VmConfig config = config_with_output("");
    config.boot.cmdline = "exits=0 a-word-of-ours";
    config.cpus.count = 4;
    Vm vm(config, log_);
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    const std::string text = output();
    EXPECT_NE(text.find("a-word-of-ours"), std::string::npos) << text;
    EXPECT_NE(text.find("4 processors"), std::string::npos) << text;
    EXPECT_NE(text.find("00:00.0 1b36:0008"), std::string::npos) << text;
    EXPECT_NE(text.find("agree"), std::string::npos) << text;
    EXPECT_NE(text.find("000000100000 - 000001ffffff RAM"), std::string::npos) << text;
    EXPECT_GT(vm.statistics().io_exits, 0u);
    EXPECT_GT(vm.statistics().mmio_exits, 0u);
}

TEST_F(VmTest, StopEndsAGuestThatNeverExitsByItself) {
    Vm vm(config("spin"), log_);
    vm.start();
    vm.stop();
    EXPECT_EQ(vm.wait(), ExitReason::PowerOff);
}

TEST_F(VmTest, StopEndsRunFromAnotherThread) {
    Vm vm(config("spin"), log_);
    std::thread stopper([&] {
        EXPECT_TRUE(test::eventually([&] { return vm.statistics().io_exits != 0; }));
        vm.stop();
    });
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    stopper.join();
}

TEST_F(VmTest, StoppingBeforeTheStartEndsAtOnce) {
    Vm vm(config("spin"), log_);
    vm.stop();
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
    EXPECT_EQ(vm.statistics().io_exits, 0u);
}

TEST_F(VmTest, TheSecondRequestToPowerOffEndsADeafGuest) {
    VmConfig config = this->config("hang");
    config.shutdown_timeout = 0;
    Vm vm(config, log_);
    vm.start();
    vm.request_power_off();
    vm.request_power_off();
    EXPECT_EQ(vm.wait(), ExitReason::PowerOff);
}

TEST_F(VmTest, ADeafGuestIsEndedWhenItsTimeToPowerOffIsOver) {
    VmConfig config = this->config("hang");
    config.shutdown_timeout = 1;
    Vm vm(config, log_);
    vm.start();
    vm.request_power_off();
    EXPECT_EQ(vm.wait(), ExitReason::PowerOff);
    EXPECT_EQ(vm.end_cause(), EndCause::ShutdownTimeout);
}

TEST_F(VmTest, KnowsWhetherTheGuestOrTheOwnerEndedIt) {
    Vm by_guest(config(""), log_);
    EXPECT_EQ(by_guest.run(), ExitReason::PowerOff);
    EXPECT_EQ(by_guest.end_cause(), EndCause::Guest);
    Vm by_owner(config("spin"), log_);
    by_owner.start();
    by_owner.stop();
    EXPECT_EQ(by_owner.wait(), ExitReason::PowerOff);
    EXPECT_EQ(by_owner.end_cause(), EndCause::Request);
}

TEST_F(VmTest, WhatTheCheckpointThrowsEndsTheBuilding) {
    struct GivenUp {};
    VmConfig config = this->config("");
    config.memory.prefault = true;
    EXPECT_THROW(Vm(config, log_, [] { throw GivenUp(); }), GivenUp);
}

TEST_F(VmTest, AGuestThatEndsInTimeLeavesNoTimerBehind) {
    VmConfig config = this->config("");
    config.shutdown_timeout = 3600;
    Vm vm(config, log_);
    vm.request_power_off();
    EXPECT_EQ(vm.run(), ExitReason::PowerOff);
}

TEST_F(VmTest, APausedGuestMakesNoExitsUntilItIsResumed) {
    VmConfig config = this->config("");
    config.boot.cmdline = "exits=10000000";
    Vm vm(config, log_);
    vm.start();
    const auto exits = [&] { return vm.statistics().io_exits; };
    ASSERT_TRUE(test::eventually([&] { return exits() > 100; }));
    vm.pause();
    const std::uint64_t before = exits();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(exits(), before);
    vm.resume();
    EXPECT_TRUE(test::eventually([&] { return exits() > before; }));
    vm.stop();
    EXPECT_EQ(vm.wait(), ExitReason::PowerOff);
}

TEST_F(VmTest, TwoMachinesRunInOneProcess) {
    Vm first(config("spin"), log_);
    Vm second(config("reset"), log_);
    first.start();
    second.start();
    EXPECT_EQ(second.wait(), ExitReason::Reset);
    first.stop();
    EXPECT_EQ(first.wait(), ExitReason::PowerOff);
}

TEST_F(VmTest, AMachineMayBeGivenUpAtAnyTime) {
    { const Vm never_started(config(""), log_); }
    {
        Vm running(config("spin"), log_);
        running.start();
    }
    {
        Vm paused(config("spin"), log_);
        paused.start();
        paused.pause();
    }
    SUCCEED();
}

TEST_F(VmTest, MoreProcessorsThanTheHostHasRoomForAreAnInputError) {
    VmConfig config = this->config("");
    config.cpus.count = 65536;
    try {
        const Vm vm(config, log_);
        FAIL() << "was built";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_NE(std::string(error.what()).find("cpus"), std::string::npos) << error.what();
    }
}

TEST_F(VmTest, AMissingKvmDeviceIsTheHostsFault) {
    VmConfig config = this->config("");
    config.kvm = "/dev/there-is-no-kvm";
    try {
        const Vm vm(config, log_);
        FAIL() << "was built";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Host);
    }
}

/// A program with a loop of its own, on which it does other things too.
class EmbedderTest : public VmTest {
  public:
    void on_ended() noexcept { ended_ = true; }
    void on_tick(std::int32_t, std::uint32_t, bool) noexcept { ++ticks_; }

  protected:
    /// Serves the loop until `done` says so.
    template <typename Done>
    [[nodiscard]] bool serve_until(Done done) {
        return test::eventually([&] {
            loop_.run_ready();
            return done();
        });
    }

    io::EventLoop loop_;
    bool ended_ = false;
    int ticks_ = 0;
};

TEST_F(EmbedderTest, ServesAMachineAmongItsOwnOperations) {
    Vm vm(config("reset"), log_, loop_);
    EXPECT_EQ(&vm.loop(), &loop_);
    io::TimeoutOp tick(io::Completion::to<&EmbedderTest::on_tick>(*this));
    auto ended = io::WakeOp::to<&EmbedderTest::on_ended>(loop_, vm.ended(), *this);
    loop_.start(tick.set(std::chrono::milliseconds(1)));
    loop_.start(ended);
    vm.start();
    EXPECT_TRUE(serve_until([&] { return ended_ && ticks_ == 1; }));
    EXPECT_EQ(vm.wait(), ExitReason::Reset);
    // The loop lives on.
    loop_.start(tick.set(std::chrono::milliseconds(1)));
    EXPECT_TRUE(serve_until([&] { return ticks_ == 2; }));
    loop_.cancel(ended);
    EXPECT_TRUE(serve_until([&] { return ended.idle(); }));
}

TEST_F(EmbedderTest, RunsSeveralMachinesOneAfterAnotherOnOneLoop) {
    for (int i = 0; i < 2; ++i) {
        Vm vm(config("panic"), log_, loop_);
        EXPECT_EQ(vm.run(), ExitReason::GuestPanic);
    }
}

TEST_F(EmbedderTest, RunsTwoMachinesOnOneLoopAtOnce) {
    Vm first(config("reset"), log_, loop_);
    Vm second(config("panic"), log_, loop_);
    first.start();
    second.start();
    EXPECT_TRUE(serve_until([&] { return first.ended().drain() != 0; }));
    EXPECT_EQ(first.wait(), ExitReason::Reset);
    EXPECT_TRUE(serve_until([&] { return second.ended().drain() != 0; }));
    EXPECT_EQ(second.wait(), ExitReason::GuestPanic);
}

TEST_F(EmbedderTest, AMachineThatIsGivenUpLeavesTheLoopUsable) {
    {
        Vm vm(config("spin"), log_, loop_);
        vm.start();
    }
    io::TimeoutOp tick(io::Completion::to<&EmbedderTest::on_tick>(*this));
    loop_.start(tick.set(std::chrono::milliseconds(1)));
    EXPECT_TRUE(serve_until([&] { return ticks_ == 1; }));
}

}  // namespace
}  // namespace cxlvm
