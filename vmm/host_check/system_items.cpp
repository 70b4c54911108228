// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <memory>
#include <system_error>

#include "io/fd.hpp"
#include "io/io_uring_probe.hpp"
#include "memory/host_memory.hpp"
#include "vmm/host_check/items.hpp"

namespace cxlvm::host_check {

namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

int try_userfaultfd() noexcept {
    const io::Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
    return fd ? 0 : errno;
}

CheckItem io_uring_item(const CallFacts& facts) {
    CheckItem item{.name = "io_uring", .status = Status::Missing};
    if (facts.io_uring_error == 0) {
        item.status = Status::Ok;
        item.found = "usable";
    } else if (facts.io_uring_error == ENOSYS) {
        item.found = "this kernel has none";
        item.remedy = "Linux 5.11 or newer with CONFIG_IO_URING=y";
    } else if (facts.io_uring_error == EINVAL) {
        item.found = "this kernel's is too old";
        item.remedy = "Linux 5.11 or newer";
    } else if (facts.io_uring_error == EPERM && facts.io_uring_disabled.value_or(0) != 0) {
        item.found =
            fmt::format("switched off (kernel.io_uring_disabled is {})", *facts.io_uring_disabled);
        item.remedy = "sysctl -w kernel.io_uring_disabled=0";
        if (facts.io_uring_disabled == 1U) {
            item.remedy += ", or join the group in kernel.io_uring_group";
        }
    } else if (facts.io_uring_error == EPERM || facts.io_uring_error == EACCES) {
        item.found = "forbidden, probably by a container's seccomp filter";
        item.remedy = "let the filter pass io_uring_setup, io_uring_enter and io_uring_register";
    } else {
        item.found = "io_uring_setup: " + std::generic_category().message(facts.io_uring_error);
        item.remedy = "raise the limits on locked memory and open files (ulimit -l, ulimit -n)";
    }
    return item;
}

CheckItem userfaultfd_item(const CallFacts& facts) {
    CheckItem item{.name = "userfaultfd", .status = Status::Warn};
    if (facts.userfaultfd_error == 0) {
        item.status = Status::Ok;
        item.found = "usable";
    } else if (facts.userfaultfd_device) {
        item.status = Status::Ok;
        item.found = "usable by /dev/userfaultfd";
    } else if (facts.userfaultfd_error == ENOSYS) {
        item.found = "this kernel has none; needed for memory that is filled on demand";
        item.remedy = "a kernel with CONFIG_USERFAULTFD=y";
    } else {
        item.found = fmt::format(
            "not for this user (vm.unprivileged_userfaultfd is {}); needed for memory that is "
            "filled on demand",
            facts.unprivileged_userfaultfd.value_or(0));
        item.remedy = "give this user /dev/userfaultfd, or sysctl -w vm.unprivileged_userfaultfd=1";
    }
    return item;
}

// The effective capabilities in /proc/self/status.
bool has_capability(const std::string& root, int capability) {
    const std::string text = host::read_text(root + "/proc/self/status").value_or("");
    constexpr std::string_view kField = "CapEff:\t";
    const std::size_t found = text.find(kField);
    if (found == std::string::npos) {
        return false;
    }
    std::uint64_t mask = 0;
    const char* const begin = text.data() + found + kField.size();
    std::from_chars(begin, text.data() + text.size(), mask, 16);
    return ((mask >> capability) & 1) != 0;
}

std::uint64_t soft_limit(__rlimit_resource resource) noexcept {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return kNoLimit;
    }
    return limit.rlim_cur;
}

CheckItem memlock_item(const LimitFacts& facts) {
    // VFIO charges all guest RAM to it.
    constexpr std::uint64_t kComfortable = std::uint64_t{1} << 30;
    CheckItem item{.name = "locked memory", .status = Status::Ok};
    const std::string limit =
        facts.memlock == kNoLimit ? "unlimited" : host::format_size(facts.memlock);
    item.found = limit;
    if (facts.may_lock) {
        item.found += ", which this user may exceed";
    } else if (facts.memlock < kComfortable) {
        item.status = Status::Warn;
        item.found += "; an assigned device needs all guest RAM and its own memory";
        item.remedy =
            "ulimit -l unlimited, or \"* - memlock unlimited\" in "
            "/etc/security/limits.conf";
    }
    return item;
}

CheckItem files_item(const LimitFacts& facts) {
    constexpr std::uint64_t kComfortable = 1024;
    CheckItem item{.name = "open files", .status = Status::Ok};
    item.found = facts.files == kNoLimit ? "unlimited" : fmt::format("{}", facts.files);
    if (facts.files < kComfortable) {
        item.status = Status::Warn;
        item.found += "; each vCPU, queue and device takes some";
        item.remedy = fmt::format("ulimit -n {}", 4 * kComfortable);
    }
    return item;
}

CheckItem map_count_item(const LimitFacts& facts) {
    constexpr std::uint64_t kDefault = 65530;
    CheckItem item{.name = "memory mappings", .status = Status::Ok};
    if (!facts.max_map_count) {
        item.status = Status::Info;
        item.found = "unknown (vm.max_map_count cannot be read)";
        return item;
    }
    item.found = fmt::format("{} a process", *facts.max_map_count);
    if (*facts.max_map_count < kDefault) {
        item.status = Status::Warn;
        item.remedy = fmt::format("sysctl -w vm.max_map_count={}", kDefault);
    }
    return item;
}

CheckItem device_node_item(const std::string& root, const char* name, const char* node,
                           Status lacking, const char* absent, const char* module) {
    CheckItem item{.name = name, .status = lacking};
    if (!exists(root + node)) {
        item.found = fmt::format("no {}; {}", node, absent);
        item.remedy = fmt::format("modprobe {}", module);
    } else if (!usable(root + node)) {
        item.found = fmt::format("{} may not be opened by this user", node);
        item.remedy = fmt::format("give this user access to {} (setfacl -m u:$USER:rw)", node);
    } else {
        item.status = Status::Ok;
        item.found = node;
    }
    return item;
}

}  // namespace

bool exists(const std::string& path) noexcept {
    return ::access(path.c_str(), F_OK) == 0;
}

bool usable(const std::string& path) noexcept {
    return ::access(path.c_str(), R_OK | W_OK) == 0;
}

std::vector<std::string> names_in(const std::string& folder) {
    struct Close {
        void operator()(DIR* open) const noexcept { ::closedir(open); }
    };
    const std::unique_ptr<DIR, Close> open(::opendir(folder.c_str()));
    std::vector<std::string> names;
    if (!open) {
        return names;
    }
    while (const dirent* const entry = ::readdir(open.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    std::ranges::sort(names);
    return names;
}

CallFacts gather_call_facts(const std::string& root) {
    CallFacts facts;
    facts.io_uring_error = io::probe_io_uring().error;
    facts.io_uring_disabled = host::read_number(root + "/proc/sys/kernel/io_uring_disabled");
    facts.userfaultfd_error = try_userfaultfd();
    facts.userfaultfd_device = usable(root + "/dev/userfaultfd");
    facts.unprivileged_userfaultfd =
        host::read_number(root + "/proc/sys/vm/unprivileged_userfaultfd");
    return facts;
}

Items call_items(const CallFacts& facts) {
    return {io_uring_item(facts), userfaultfd_item(facts)};
}

LimitFacts gather_limit_facts(const std::string& root) {
    return {.memlock = soft_limit(RLIMIT_MEMLOCK),
            .may_lock = has_capability(root, CAP_IPC_LOCK),
            .files = soft_limit(RLIMIT_NOFILE),
            .max_map_count = host::read_number(root + "/proc/sys/vm/max_map_count")};
}

Items limit_items(const LimitFacts& facts) {
    return {memlock_item(facts), files_item(facts), map_count_item(facts)};
}

Items network_items(const std::string& root) {
    return {device_node_item(root, "tun", "/dev/net/tun", Status::Warn,
                             "needed for a guest's network by a tap device", "tun"),
            device_node_item(root, "vhost-net", "/dev/vhost-net", Status::Info,
                             "packets then go through the VMM", "vhost_net")};
}

}  // namespace cxlvm::host_check
