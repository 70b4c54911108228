// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "io/fd.hpp"
#include "io/log.hpp"
#include "vmm/cli/commands.hpp"
#include "vmm/cli/pidfile.hpp"
#include "vmm/cli/run_options.hpp"
#include "vmm/cli/stop_signals.hpp"
#include "vmm/config/json.hpp"
#include "vmm/console/terminal.hpp"
#include "vmm/vm.hpp"

namespace cxlvm::cli {

namespace {

class VmStopTarget final : public StopTarget {
  public:
    explicit VmStopTarget(Vm& vm) noexcept : vm_(vm) {}
    void request_power_off() noexcept override { vm_.request_power_off(); }
    void stop() noexcept override { vm_.stop(); }
    void suspend() noexcept override {
        // A guest that was paused is told so, and does not take the time for a lock-up.
        vm_.pause();
        vm_.leave_terminal();
    }
    void resume() noexcept override {
        vm_.take_terminal();
        vm_.terminal_resized();
        vm_.resume();
    }
    void terminal_resized() noexcept override { vm_.terminal_resized(); }

  private:
    Vm& vm_;
};

/// What is left of a Vm once it is gone.
struct Outcome {
    ExitReason reason = ExitReason::HostError;
    std::string ending;  ///< how it ended, for people
    std::string error;
    VmStatistics statistics;
};

std::string signal_name(int signal) {
    const char* const name = ::sigabbrev_np(signal);
    return name != nullptr ? fmt::format("SIG{}", name) : "a signal";
}

std::string ending_of(const Vm& vm, ExitReason reason, const StopSignals& signals,
                      const VmConfig& config) {
    if (reason == ExitReason::PowerOff) {
        switch (vm.end_cause()) {
            case EndCause::Guest:
                break;
            case EndCause::Request:
                return fmt::format("ended by {}", signal_name(signals.last_signal()));
            case EndCause::ShutdownTimeout:
                return fmt::format("ended, not powered off within {} s of {}",
                                   config.shutdown_timeout, signal_name(signals.last_signal()));
            case EndCause::EscapeKey:
                return "ended by Ctrl-A x";
        }
    }
    return to_string(reason);
}

/// Whether standard input and output are the guest's.
bool has_stdio(const VmConfig& config) {
    constexpr auto kStdio = SerialConfig::Kind::Stdio;
    return config.serial.kind == kStdio || (config.console && config.console->kind == kStdio);
}

/// The Vm is gone, and with it the terminal's raw mode, when this returns.
Outcome run_vm(const VmConfig& config, const BlockedSignals& signals, io::Log& log) {
    Vm vm(config, log, [&] { signals.check(); });
    signals.check();
    if (!vm.serial_path().empty()) {
        std::fprintf(stderr, "cxlvm: serial port: %s\n", vm.serial_path().c_str());
    }
    if (!vm.console_path().empty()) {
        std::fprintf(stderr, "cxlvm: console: %s\n", vm.console_path().c_str());
    }
    const bool raw_terminal = has_stdio(config) && ::isatty(STDIN_FILENO) == 1;
    VmStopTarget target(vm);
    const StopSignals stop_signals(signals, vm.loop(), target, raw_terminal);
    const ExitReason reason = vm.run();
    return {reason, ending_of(vm, reason, stop_signals, config), vm.error(), vm.statistics()};
}

/// As above; a signal may come before there is a guest that could be asked to power off.
Outcome build_and_run_vm(const VmConfig& config, const BlockedSignals& signals, io::Log& log) {
    try {
        return run_vm(config, signals, log);
    } catch (const Interrupted& interrupted) {
        const std::string ending = fmt::format("ended by {}", signal_name(interrupted.signal));
        std::fprintf(stderr, "cxlvm: %s before the guest started\n", ending.c_str());
        return {ExitReason::PowerOff, ending, {}, {}};
    }
}

std::string summary(const Outcome& outcome, std::chrono::duration<double> time) {
    const VmStatistics& exits = outcome.statistics;
    return fmt::format(
        "cxlvm: summary: {} after {:.3f} s; exits: {} port, {} memory, {} other; {} unclaimed\n",
        outcome.ending, time.count(), exits.io_exits, exits.mmio_exits, exits.other_exits,
        exits.unclaimed);
}

/// Whether a console will change the settings of the terminal at standard input.
bool takes_terminal(const VmConfig& config) {
    return has_stdio(config) && ::isatty(STDIN_FILENO) == 1 &&
           !RawTerminal(STDIN_FILENO).in_background();
}

io::Fd open_log(const std::string& path) {
    // O_NONBLOCK: a pipe that nobody reads must neither hold us up here nor a vCPU later.
    return path.empty() ? io::Fd()
                        : io::open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY,
                                        0644, "--log");
}

/// Runs what was asked for, and returns the exit code.
int run(const RunRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    const auto& [options, config, program, from_file] = request;
    validate(config);
    if (options.dump_config) {
        print(config::to_json(config, program));
        return 0;
    }
    // First of all: it forks, so there must be neither threads nor files that it would hold.
    std::optional<TerminalGuardian> guardian;
    if (takes_terminal(config)) {
        guardian.emplace(STDIN_FILENO);
    }
    const io::Fd log_file = open_log(program.log_file);
    io::Log log(log_file ? log_file.get() : STDERR_FILENO, program.log_level);
    const BlockedSignals signals;
    std::optional<Pidfile> pidfile;
    if (!program.pidfile.empty()) {
        pidfile.emplace(program.pidfile);
        if (pidfile->stale_owner()) {
            log.info("{}: taken over from process {}, which has ended", program.pidfile,
                     *pidfile->stale_owner());
        }
    }
    const Outcome outcome = build_and_run_vm(config, signals, log);
    if (outcome.reason == ExitReason::HostError) {
        std::fprintf(stderr, "cxlvm: error: %s\n", outcome.error.c_str());
    }
    if (program.summary) {
        std::fputs(summary(outcome, std::chrono::steady_clock::now() - start).c_str(), stderr);
    }
    return io::to_underlying(outcome.reason);
}

}  // namespace

int run_command(const Arguments& arguments) {
    const RunRequest request = make_run_request(arguments);
    try {
        return run(request);
    } catch (const io::Error& error) {
        throw io::Error(error.code(), io::Error::Whole{as_given(error.what(), request)},
                        error.fault());
    }
}

}  // namespace cxlvm::cli
