// SPDX-License-Identifier: Apache-2.0
// measure time|memory|entry MARKER PROGRAM ARGUMENT...
//
// Runs a VMM whose guest prints MARKER as its first line of userspace on standard output, and
// prints "NAME VALUE" lines. One kind of measurement a run, so that none disturbs another:
//   time    userspace_ns, exit_ns: from just before the VMM's exec to the marker and to its end
//   memory  overhead_rss_kib, overhead_pss_kib, guest_rss_kib: at the marker, with the VMM stopped
//   entry   first_run_ns: from just before the exec to the VMM's first ioctl(KVM_RUN)
// Where the clock counts instructions (QEMU's -icount shift=0) a nanosecond is an instruction.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::uint32_t kKvmRun = _IO(0xae, 0x80);  // KVM_RUN, without the header of the vmm layer

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

std::int64_t now_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void report(const char* name, std::int64_t value) {
    std::printf("%s %lld\n", name, static_cast<long long>(value));
}

/// Has the kernel stop us for the tracer at ioctl(KVM_RUN) and at no other system call: a filter
/// costs each of them a few dozen instructions, where PTRACE_SYSCALL would cost thousands.
void trace_kvm_run() {
    const std::array program{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        // The low half of the second argument.
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 8),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kKvmRun, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{static_cast<unsigned short>(program.size()),
                            const_cast<sock_filter*>(program.data())};
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
        die("measure: PTRACE_TRACEME");
    }
    std::raise(SIGSTOP);  // until the tracer has set its options
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0) {
        die("measure: PR_SET_SECCOMP");
    }
}

struct Child {
    pid_t pid;
    int output;  ///< its standard output
    std::int64_t start_ns;
};

Child start(char** command, bool traced) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        die("measure: pipe2");
    }
    const std::int64_t start_ns = now_ns();
    const pid_t pid = ::fork();
    if (pid < 0) {
        die("measure: fork");
    }
    if (pid == 0) {
        if (traced) {
            trace_kvm_run();
        }
        ::dup2(pipe[1], STDOUT_FILENO);
        ::execvp(command[0], command);
        die(command[0]);
    }
    ::close(pipe[1]);
    return {pid, pipe[0], start_ns};
}

/// Reads the console up to the marker; nothing when it ends first.
bool read_until(int output, std::string_view marker) {
    std::string seen;
    std::array<char, 4096> block;
    for (;;) {
        const ssize_t count = ::read(output, block.data(), block.size());
        if (count <= 0) {
            std::fprintf(stderr, "measure: no line '%.*s' in:\n%s\n",
                         static_cast<int>(marker.size()), marker.data(), seen.c_str());
            return false;
        }
        seen.append(block.data(), static_cast<std::size_t>(count));
        if (seen.find(marker) != std::string::npos) {
            return true;
        }
    }
}

int measure_time(char** command, std::string_view marker) {
    const Child child = start(command, false);
    if (!read_until(child.output, marker)) {
        return 1;
    }
    report("userspace_ns", now_ns() - child.start_ns);
    std::array<char, 4096> rest;
    while (::read(child.output, rest.data(), rest.size()) > 0) {
    }
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    report("exit_ns", now_ns() - child.start_ns);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        std::fprintf(stderr, "measure: %s ended with status %#x\n", command[0],
                     static_cast<unsigned>(status));
        return 1;
    }
    return 0;
}

/// One mapping of /proc/PID/smaps.
struct SmapsEntry {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    bool guest = false;  ///< guest RAM, and not memory of the VMM's own
    long long rss_kib = 0;
    long long pss_kib = 0;
};

/// Guest RAM by its look: a memfd, a kernel image mapped from the cache, or writable memory of 32
/// MiB and more. A thread's stack or arena of that size has little of it resident.
bool looks_like_guest_ram(std::uint64_t size, std::string_view flags, std::string_view name) {
    constexpr std::uint64_t kLarge = 32ULL << 20U;
    return name.find("/memfd:") != std::string_view::npos ||
           name.find("/cxlvm/kernels/") != std::string_view::npos ||
           (size >= kLarge && flags.starts_with("rw"));
}

std::vector<SmapsEntry> read_smaps(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/smaps";
    std::FILE* const smaps = std::fopen(path.c_str(), "re");
    if (smaps == nullptr) {
        die(path.c_str());
    }
    std::vector<SmapsEntry> entries;
    std::array<char, 512> line{};
    while (std::fgets(line.data(), line.size(), smaps) != nullptr) {
        SmapsEntry entry;
        std::array<char, 8> flags{};
        long long kib = 0;
        if (std::sscanf(line.data(), "%llx-%llx %7s", &entry.begin, &entry.end, flags.data()) ==
            3) {
            entry.guest = looks_like_guest_ram(entry.end - entry.begin, flags.data(), line.data());
            entries.push_back(entry);
        } else if (std::sscanf(line.data(), "Rss: %lld kB", &kib) == 1) {
            entries.back().rss_kib = kib;
        } else if (std::sscanf(line.data(), "Pss: %lld kB", &kib) == 1) {
            entries.back().pss_kib = kib;
        }
    }
    static_cast<void>(std::fclose(smaps));
    // A kernel mapped into the middle of guest RAM cuts a small piece off its front.
    for (std::size_t i = 1; i < entries.size(); ++i) {
        if (entries[i].guest && entries[i - 1].end == entries[i].begin) {
            entries[i - 1].guest = true;
        }
    }
    return entries;
}

int measure_memory(char** command, std::string_view marker) {
    const Child child = start(command, false);
    if (!read_until(child.output, marker)) {
        return 1;
    }
    ::kill(child.pid, SIGSTOP);
    long long overhead_rss = 0;
    long long overhead_pss = 0;
    long long guest_rss = 0;
    for (const SmapsEntry& entry : read_smaps(child.pid)) {
        (entry.guest ? guest_rss : overhead_rss) += entry.rss_kib;
        overhead_pss += entry.guest ? 0 : entry.pss_kib;
    }
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    report("overhead_rss_kib", overhead_rss);
    report("overhead_pss_kib", overhead_pss);
    report("guest_rss_kib", guest_rss);
    return 0;
}

int measure_entry(char** command) {
    Child child = start(command, true);
    ::waitpid(child.pid, nullptr, 0);  // its SIGSTOP
    constexpr long kOptions = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                              PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SETOPTIONS, child.pid, nullptr, kOptions) != 0) {
        die("measure: PTRACE_SETOPTIONS");
    }
    child.start_ns = now_ns();
    ::ptrace(PTRACE_CONT, child.pid, nullptr, nullptr);
    for (;;) {
        int status = 0;
        const pid_t thread = ::waitpid(-1, &status, __WALL);
        if (thread < 0) {
            std::fputs("measure: no KVM_RUN\n", stderr);
            return 1;
        }
        if (!WIFSTOPPED(status)) {
            continue;
        }
        const int event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP) {
            report("first_run_ns", now_ns() - child.start_ns);
            ::kill(child.pid, SIGKILL);
            while (::waitpid(-1, nullptr, __WALL) > 0) {
            }
            return 0;
        }
        // A new thread starts with a SIGSTOP of the tracing; exec is told with a SIGTRAP.
        const int signal = WSTOPSIG(status);
        const bool ours = event != 0 || signal == SIGSTOP || signal == SIGTRAP;
        ::ptrace(PTRACE_CONT, thread, nullptr, static_cast<long>(ours ? 0 : signal));
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const std::string_view kind = arguments.size() >= 4 ? arguments[1] : "";
    if (kind == "time") {
        return measure_time(&arguments[3], arguments[2]);
    }
    if (kind == "memory") {
        return measure_memory(&arguments[3], arguments[2]);
    }
    if (kind == "entry") {
        return measure_entry(&arguments[3]);
    }
    std::fputs("usage: measure time|memory|entry MARKER PROGRAM ARGUMENT...\n", stderr);
    return 2;
}
