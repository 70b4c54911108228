// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/host_check/host_check.hpp"
#include "vmm/host_check/kernel_config.hpp"
#include "vmm/host_check/kvm_speed.hpp"

// What check_host() is made of. Facts are gathered apart from their judgement, so that tests can
// judge facts that no test machine has.
namespace cxlvm::host_check {

using Status = CheckItem::Status;
using Items = std::vector<CheckItem>;

/// What the KVM device says of itself.
struct KvmFacts {
    std::string path;
    int open_error = 0;             ///< errno; 0: it could be opened
    int api_version = -1;           ///< -1: not a KVM device
    std::vector<int> extensions{};  ///< KVM_CHECK_EXTENSION of each of kvm_extensions()
    int max_vcpus = 0;
    int recommended_vcpus = 0;
    unsigned address_bits = 0;  ///< of guest physical addresses; 0: unknown
    std::optional<KvmSpeed> speed{};
};
struct KvmExtension {
    unsigned number;  ///< KVM_CAP_*
    const char* name;
    bool needed;  ///< as against useful
};
/// required_capabilities(), which are needed, then those that are useful.
[[nodiscard]] std::vector<KvmExtension> kvm_extensions();
[[nodiscard]] KvmFacts gather_kvm_facts(const std::string& path, bool measure_speed);
[[nodiscard]] Items kvm_items(const KvmFacts& facts);

/// What system calls answered, and the switches that explain it.
struct CallFacts {
    int io_uring_error = 0;  ///< what io::probe_io_uring() found; 0: it works
    std::optional<std::uint64_t> io_uring_disabled{};
    int userfaultfd_error = 0;  ///< errno of userfaultfd(2)
    bool userfaultfd_device = false;
    std::optional<std::uint64_t> unprivileged_userfaultfd{};
};
[[nodiscard]] CallFacts gather_call_facts(const std::string& root);
[[nodiscard]] Items call_items(const CallFacts& facts);

struct LimitFacts {
    std::uint64_t memlock = 0;  ///< bytes, the soft limit; all ones: none
    bool may_lock = false;      ///< CAP_IPC_LOCK: the limit does not apply
    std::uint64_t files = 0;
    std::optional<std::uint64_t> max_map_count{};
};
[[nodiscard]] LimitFacts gather_limit_facts(const std::string& root);
[[nodiscard]] Items limit_items(const LimitFacts& facts);

[[nodiscard]] Items memory_items(const std::string& root);
[[nodiscard]] Items assignment_items(const std::string& root, const KernelConfig& kernel);
[[nodiscard]] Items accelerator_items(const std::string& root, const KernelConfig& kernel);
[[nodiscard]] Items network_items(const std::string& root);

[[nodiscard]] bool exists(const std::string& path) noexcept;
/// Whether this process may open it for reading and writing.
[[nodiscard]] bool usable(const std::string& path) noexcept;
/// Names in the folder, sorted; none when it cannot be read.
[[nodiscard]] std::vector<std::string> names_in(const std::string& folder);

}  // namespace cxlvm::host_check
