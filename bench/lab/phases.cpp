// SPDX-License-Identifier: Apache-2.0
// phases PROGRAM ARGUMENT...
//
// Runs a VMM whose guest marks phases of its work on standard output, and prints "NAME_WHAT VALUE"
// lines of what each took. The guest says "phase begin NAME" or "phase end NAME OPERATIONS" and
// waits for a line on its console, which it gets when the sample has been taken:
//   time_ns           for one operation, by the clock
//   work_ns           for one operation, the processor time that the outer machine's emulator took;
//                     the host tells it on the second serial port when it is asked
//   host_work_ns      the part of it that the VMM takes, and the kernel on its behalf, in place of
//                     the guest: as the kernel divides the VMM's time (/proc/PID/stat)
//   exits, ..._exits, interrupts
//                     for one operation, as KVM counts them (/sys/kernel/debug/kvm)
//   frames_to_guest, frames_from_guest
//                     for one operation, as the tap vm0 counts them, where there is one
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

namespace {

/// Counters of KVM, and what they are called in the output.
const std::map<std::string, std::string> kCounters{
    {"exits", "exits"},
    {"halt_exits", "halt_exits"},
    {"irq_exits", "interrupted_exits"},
    {"irq_injections", "interrupts"},  // that the guest took
    // Writes to a queue's notification register are among these.
    {"insn_emulation", "emulated_exits"},
    {"io_exits", "port_exits"},
    {"mmio_exits", "mmio_to_user_exits"},
};

[[noreturn]] void die(const std::string& what) {
    std::perror(("phases: " + what).c_str());
    std::exit(1);
}

std::int64_t read_clock(clockid_t clock) {
    timespec time{};
    if (::clock_gettime(clock, &time) != 0) {
        die("clock_gettime");
    }
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

struct Sample {
    std::int64_t time_ns = 0;
    std::int64_t work_ns = 0;
    std::int64_t cpu_ns = 0;
    std::int64_t guest_ns = 0;
    std::map<std::string, std::int64_t> counters;
};

/// proc(5): guest_time is the 43rd field; the second, in parentheses, may contain anything.
std::int64_t guest_time_ns(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) {
        die("/proc/PID/stat");
    }
    std::istringstream fields(text.substr(name_end + 1));
    std::string field;
    for (int number = 3; number <= 43; ++number) {
        fields >> field;
    }
    return std::stoll(field) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
}

/// Asks the host. While it answers, nothing runs here.
std::int64_t emulator_time_ns() {
    std::FILE* const port = std::fopen("/dev/ttyS1", "r+e");
    if (port == nullptr) {
        die("/dev/ttyS1");
    }
    ::setbuf(port, nullptr);
    long long value = 0;
    if (std::fputs("clock?\n", port) < 0 || std::fscanf(port, "%lld", &value) != 1) {
        die("/dev/ttyS1");
    }
    static_cast<void>(std::fclose(port));
    return value;
}

/// Sums over the machines of the process: it has one.
std::map<std::string, std::int64_t> kvm_counters(pid_t pid) {
    std::map<std::string, std::int64_t> counters;
    const std::string begin = std::to_string(pid) + "-";
    for (const auto& machine : std::filesystem::directory_iterator("/sys/kernel/debug/kvm")) {
        if (!machine.path().filename().string().starts_with(begin)) {
            continue;
        }
        for (const auto& [name, label] : kCounters) {
            std::ifstream file(machine.path() / name);
            std::int64_t value = 0;
            if (file >> value) {
                counters[label] += value;
            }
        }
    }
    return counters;
}

/// Adds those of the tap, if there is one.
void count_frames(std::map<std::string, std::int64_t>& counters) {
    for (const auto& [name, label] :
         {std::pair("tx_packets", "frames_to_guest"), {"rx_packets", "frames_from_guest"}}) {
        std::ifstream file(std::string("/sys/class/net/vm0/statistics/") + name);
        std::int64_t value = 0;
        if (file >> value) {
            counters[label] = value;
        }
    }
}

/// The time of the question to the host is no part of the job's.
Sample take_sample(pid_t pid, bool begin) {
    clockid_t cpu_clock{};
    if (::clock_getcpuclockid(pid, &cpu_clock) != 0) {
        die("clock_getcpuclockid");
    }
    Sample sample;
    const auto read_clocks = [&] {
        sample.guest_ns = guest_time_ns(pid);
        sample.cpu_ns = read_clock(cpu_clock);
        sample.time_ns = read_clock(CLOCK_MONOTONIC);
    };
    if (!begin) {
        read_clocks();
    }
    sample.counters = kvm_counters(pid);
    count_frames(sample.counters);
    sample.work_ns = emulator_time_ns();
    if (begin) {
        read_clocks();
    }
    return sample;
}

void report(const std::string& phase, const Sample& from, const Sample& to, double operations) {
    const auto say = [&](const std::string& what, double value) {
        std::printf("%s_%s %.6g\n", phase.c_str(), what.c_str(), value / operations);
    };
    const auto host_cpu_ns =
        static_cast<double>((to.cpu_ns - from.cpu_ns) - (to.guest_ns - from.guest_ns));
    const auto time_ns = static_cast<double>(to.time_ns - from.time_ns);
    const auto work_ns = static_cast<double>(to.work_ns - from.work_ns);
    say("time_ns", time_ns);
    say("work_ns", work_ns);
    say("host_work_ns", work_ns * host_cpu_ns / time_ns);
    for (const auto& [label, value] : to.counters) {
        say(label, static_cast<double>(value - from.counters.at(label)));
    }
}

struct Child {
    pid_t pid;
    std::FILE* output;
    int input;
};

Child start(char** command) {
    std::array<int, 2> output{};
    std::array<int, 2> input{};
    if (::pipe(output.data()) != 0 || ::pipe(input.data()) != 0) {
        die("pipe");
    }
    const pid_t pid = ::fork();
    if (pid < 0) {
        die("fork");
    }
    if (pid == 0) {
        ::dup2(input[0], STDIN_FILENO);
        ::dup2(output[1], STDOUT_FILENO);
        for (const int fd : {input[0], input[1], output[0], output[1]}) {
            ::close(fd);
        }
        ::execvp(command[0], command);
        die(command[0]);
    }
    ::close(input[0]);
    ::close(output[1]);
    return {pid, ::fdopen(output[0], "r"), input[1]};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: phases PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    ::setlinebuf(stdout);
    const Child child = start(argv + 1);
    Sample begin;
    std::array<char, 1024> line{};
    while (std::fgets(line.data(), line.size(), child.output) != nullptr) {
        std::fputs(line.data(), stderr);
        std::istringstream words(line.data());
        std::string word;
        std::string what;
        std::string phase;
        double operations = 0;
        words >> word >> what >> phase >> operations;
        if (word != "phase") {
            continue;
        }
        const Sample now = take_sample(child.pid, what == "begin");
        if (what == "begin") {
            begin = now;
        } else if (operations > 0) {
            report(phase, begin, now, operations);
        }
        if (::write(child.input, "\n", 1) != 1) {
            die("write");
        }
    }
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        std::fprintf(stderr, "phases: %s ended with status %#x\n", argv[1],
                     static_cast<unsigned>(status));
        return 1;
    }
    return 0;
}
