// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "io/open_error.hpp"
#include "vmm/cpu/cpuid_leaves.hpp"
#include "vmm/host_check/items.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm::host_check {

namespace {

// Newer than Debian 12's headers (Linux 6.8).
constexpr unsigned kCapMemoryFaultInfo = 232;

/// What no VM stands on yet, or only some do.
constexpr std::array kUseful{
    KvmCapability{KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI"},
    KvmCapability{KVM_CAP_READONLY_MEM, "READONLY_MEM"},
    KvmCapability{KVM_CAP_ADJUST_CLOCK, "ADJUST_CLOCK"},
    KvmCapability{KVM_CAP_GET_TSC_KHZ, "GET_TSC_KHZ"},
    KvmCapability{KVM_CAP_TSC_DEADLINE_TIMER, "TSC_DEADLINE_TIMER"},
    KvmCapability{KVM_CAP_SPLIT_IRQCHIP, "SPLIT_IRQCHIP"},
    KvmCapability{KVM_CAP_X2APIC_API, "X2APIC_API"},
    KvmCapability{kCapMemoryFaultInfo, "MEMORY_FAULT_INFO"},
};

unsigned address_bits(std::span<const kvm_cpuid_entry2> leaves) noexcept {
    for (const kvm_cpuid_entry2& leaf : leaves) {
        if (leaf.function == cpu::kAddressSize) {
            // Bits 23:16 are the guest's own width where they differ (AMD APM volume 3, E.4.7).
            const unsigned guest = (leaf.eax >> 16) & 0xff;
            return guest != 0 ? guest : leaf.eax & 0xff;
        }
    }
    return 0;
}

unsigned address_bits(const io::Fd& device) {
    try {
        return address_bits(Kvm(fmt::format("fd={}", device.get())).supported_cpuid());
    } catch (const io::Error&) {
        return 0;  // another item says what the device lacks
    }
}

std::string message_of(int error) {
    return std::generic_category().message(error);
}

CheckItem device_item(const KvmFacts& facts) {
    CheckItem item{.name = "KVM device", .status = Status::Missing, .found = facts.path};
    if (facts.open_error != 0) {
        const auto known = io::open_remedy(facts.open_error, io::OpenPurpose::Kvm, S_IFCHR);
        item.found = fmt::format("{}: {}", facts.path, message_of(facts.open_error));
        item.remedy = known.remedy.empty() ? "see the kernel's log (dmesg) for kvm" : known.remedy;
        return item;
    }
    if (facts.api_version != KVM_API_VERSION) {
        item.found = facts.api_version < 0
                         ? fmt::format("{} is not a KVM device", facts.path)
                         : fmt::format("{} has API version {}, not {}", facts.path,
                                       facts.api_version, KVM_API_VERSION);
        item.remedy =
            "load the KVM modules that belong to this kernel: modprobe kvm_amd or "
            "kvm_intel";
        return item;
    }
    item.status = Status::Ok;
    item.found = fmt::format("{}, API version {}", facts.path, facts.api_version);
    return item;
}

CheckItem extensions_item(const KvmFacts& facts) {
    std::string needed;
    std::string useful;
    const std::vector<KvmExtension> extensions = kvm_extensions();
    for (std::size_t i = 0; i < extensions.size(); ++i) {
        if (i < facts.extensions.size() && facts.extensions[i] > 0) {
            continue;
        }
        std::string& list = extensions[i].needed ? needed : useful;
        list += (list.empty() ? "" : ", ") + std::string(extensions[i].name);
    }
    CheckItem item{.name = "KVM capabilities", .found = "all that are needed or useful"};
    if (!needed.empty()) {
        item.status = Status::Missing;
        item.found = "lacks " + needed;
        item.remedy = "a host kernel of 6.1 or newer with the whole of KVM";
    } else if (!useful.empty()) {
        item.status = Status::Info;
        item.found = "all that are needed; without " + useful;
        item.remedy = "a newer host kernel, where these are wanted";
    } else {
        item.status = Status::Ok;
    }
    return item;
}

CheckItem speed_item(const KvmSpeed& speed) {
    CheckItem item{.name = "KVM execution"};
    const std::string figures = fmt::format("{:.2f} ns an instruction, {:.1f} us an exit",
                                            speed.ns_per_instruction, speed.ns_per_exit / 1000);
    switch (speed.kind) {
        case KvmSpeed::Kind::Hardware:
            item.status = Status::Ok;
            item.found = "by hardware: " + figures;
            break;
        case KvmSpeed::Kind::Interpreting:
            item.status = Status::Warn;
            item.found = "guest code is interpreted: " + figures;
            item.remedy =
                "small guests only, such as the built-in one; Linux needs a host with SVM or VT-x, "
                "or the nested lab (tests/lab/run.sh)";
            break;
        case KvmSpeed::Kind::Absent:
            item.status = Status::Missing;
            item.found = "no guest could be run: " + speed.error;
            item.remedy = "see the kernel's log (dmesg) for kvm";
            break;
    }
    return item;
}

}  // namespace

std::vector<KvmExtension> kvm_extensions() {
    std::vector<KvmExtension> extensions;
    for (const KvmCapability& capability : required_capabilities()) {
        extensions.push_back({capability.number, capability.name, true});
    }
    for (const KvmCapability& capability : kUseful) {
        extensions.push_back({capability.number, capability.name, false});
    }
    return extensions;
}

KvmFacts gather_kvm_facts(const std::string& path, bool measure_speed) {
    KvmFacts facts{.path = path};
    const io::Fd kvm(
        io::retry_eintr([&] { return ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK); }));
    if (!kvm) {
        facts.open_error = errno;
        return facts;
    }
    facts.api_version = ::ioctl(kvm.get(), KVM_GET_API_VERSION, 0);
    if (facts.api_version != KVM_API_VERSION) {
        return facts;
    }
    for (const KvmExtension& extension : kvm_extensions()) {
        facts.extensions.push_back(::ioctl(kvm.get(), KVM_CHECK_EXTENSION, extension.number));
    }
    facts.max_vcpus = ::ioctl(kvm.get(), KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    facts.recommended_vcpus = ::ioctl(kvm.get(), KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
    facts.address_bits = address_bits(kvm);
    if (measure_speed) {
        facts.speed = measure_kvm_speed(path);
    }
    return facts;
}

Items kvm_items(const KvmFacts& facts) {
    Items items{device_item(facts)};
    if (items.front().status != Status::Ok) {
        return items;  // there is nobody to ask the rest
    }
    items.push_back(extensions_item(facts));
    if (facts.speed) {
        items.push_back(speed_item(*facts.speed));
    }
    items.push_back({.name = "vCPUs",
                     .status = Status::Info,
                     .found = fmt::format("at most {}; {} are recommended", facts.max_vcpus,
                                          facts.recommended_vcpus)});
    items.push_back({.name = "guest addresses",
                     .status = Status::Info,
                     .found = facts.address_bits == 0
                                  ? std::string("of unknown width")
                                  : fmt::format("{} bits", facts.address_bits)});
    return items;
}

}  // namespace cxlvm::host_check
