// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/vm_options.hpp"

#include <fmt/format.h>

#include <array>

#include "io/bits.hpp"
#include "vmm/boot/boot.hpp"
#include "vmm/config/balloon_option.hpp"
#include "vmm/config/console_options.hpp"
#include "vmm/config/device_option.hpp"
#include "vmm/config/disk_option.hpp"
#include "vmm/config/host_bridge_option.hpp"
#include "vmm/config/net_option.hpp"
#include "vmm/config/rng_option.hpp"
#include "vmm/config/vm_keys.hpp"
#include "vmm/config/vsock_option.hpp"

namespace cxlvm::config {

namespace {

// boot

constexpr std::array<std::string_view, 4> kProtocols = {"auto", "linux", "bzimage", "pvh"};

constexpr VmKey kBoot[] = {
    {{{}, Kind::Text, {}, {}, {}},
     [](VmConfig& vm, const Value& value) {
         vm.boot.protocol = static_cast<BootProtocol>(parse_choice(value, kProtocols));
     },
     [](const VmConfig& vm) {
         return Texts{std::string(kProtocols[io::to_underlying(vm.boot.protocol)])};
     }}};

constexpr VmKey kCmdline[] = {
    {{{}, Kind::Text, {}, boot::kDefaultCommandLine, {}},
     [](VmConfig& vm, const Value& value) { vm.boot.cmdline = parse_any_text(value); },
     [](const VmConfig& vm) { return vm.boot.cmdline ? Texts{*vm.boot.cmdline} : Texts{}; }}};

constexpr VmKey kInitrd[] = {
    {{{}, Kind::Text, {}, "none", {}},
     [](VmConfig& vm, const Value& value) { vm.boot.initrds.push_back(parse_text(value)); },
     [](const VmConfig& vm) { return vm.boot.initrds; }}};

constexpr VmKey kKernel[] = {
    {{{}, Kind::Text, {}, "the built-in guest", {}},
     [](VmConfig& vm, const Value& value) { vm.boot.kernel = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(vm.boot.kernel); }}};

constexpr VmKey kNoCache[] = {
    {{{}, Kind::Flag, {}, {}, {}},
     [](VmConfig& vm, const Value& value) { vm.boot.cache = !parse_flag(value); },
     [](const VmConfig& vm) { return flag(!vm.boot.cache); }}};

// cpus

template <unsigned CpuConfig::*Member>
void set_cpu_number(VmConfig& vm, const Value& value) {
    vm.cpus.*Member = parse_number(value, 1);
}

template <unsigned CpuConfig::*Member>
Texts get_cpu_number(const VmConfig& vm) {
    return number_unless_zero(vm.cpus.*Member);
}

constexpr VmKey kCpus[] = {
    {{"count", Kind::Number, "N", {}, "virtual CPUs"},
     set_cpu_number<&CpuConfig::count>,
     get_cpu_number<&CpuConfig::count>},
    {{"sockets", Kind::Number, "N", "one", "packages that they are spread over"},
     set_cpu_number<&CpuConfig::sockets>,
     get_cpu_number<&CpuConfig::sockets>},
    {{"cores", Kind::Number, "N", "what is left", "cores of a package"},
     set_cpu_number<&CpuConfig::cores>,
     get_cpu_number<&CpuConfig::cores>},
    {{"threads", Kind::Number, "N", "one", "threads of a core"},
     set_cpu_number<&CpuConfig::threads>,
     get_cpu_number<&CpuConfig::threads>},
};

constexpr VmKey kKvm[] = {{{{}, Kind::Text, {}, {}, {}},
                           [](VmConfig& vm, const Value& value) { vm.kvm = parse_text(value); },
                           [](const VmConfig& vm) { return text_unless_empty(vm.kvm); }}};

// memory

constexpr std::array<std::string_view, 2> kHugePageSizes = {"2M", "1G"};

void set_backing(VmConfig& vm, const Value& value, PageBacking backing) {
    if (vm.memory.backing != PageBacking::Anonymous) {
        reject(value, "hugepages, shared and thp exclude one another; give one of them");
    }
    vm.memory.backing = backing;
}

template <PageBacking Backing>
void set_backing_flag(VmConfig& vm, const Value& value) {
    if (parse_flag(value)) {
        set_backing(vm, value, Backing);
    }
}

template <PageBacking Backing>
Texts get_backing_flag(const VmConfig& vm) {
    return flag(vm.memory.backing == Backing);
}

constexpr VmKey kMemory[] = {
    {{"size", Kind::Size, "SIZE", {}, "bytes, a multiple of the page size in use"},
     [](VmConfig& vm, const Value& value) { vm.memory.size = parse_size(value); },
     [](const VmConfig& vm) { return Texts{format_size(vm.memory.size)}; }},
    {{"hugepages", Kind::Text, "2M|1G", "ordinary pages", "from the host's reserved huge pages"},
     [](VmConfig& vm, const Value& value) {
         set_backing(
             vm, value,
             parse_choice(value, kHugePageSizes) == 0 ? PageBacking::Huge2M : PageBacking::Huge1G);
     },
     [](const VmConfig& vm) {
         switch (vm.memory.backing) {
             case PageBacking::Huge2M:
                 return Texts{"2M"};
             case PageBacking::Huge1G:
                 return Texts{"1G"};
             default:
                 return Texts{};
         }
     }},
    {{"shared", Kind::Flag, {}, "private", "a memory file that others can map"},
     set_backing_flag<PageBacking::Shared>,
     get_backing_flag<PageBacking::Shared>},
    {{"thp", Kind::Flag, {}, "off", "ask for transparent huge pages"},
     set_backing_flag<PageBacking::Transparent>,
     get_backing_flag<PageBacking::Transparent>},
    {{"prefault", Kind::Flag, {}, "off", "populate all of it before the guest starts"},
     [](VmConfig& vm, const Value& value) { vm.memory.prefault = parse_flag(value); },
     [](const VmConfig& vm) { return flag(vm.memory.prefault); }},
    {{"numa", Kind::Number, "N", "not bound", "host NUMA node that it is bound to"},
     [](VmConfig& vm, const Value& value) { vm.memory.numa_node = parse_number(value); },
     [](const VmConfig& vm) {
         return vm.memory.numa_node ? Texts{fmt::format("{}", *vm.memory.numa_node)} : Texts{};
     }},
};

// shutdown

constexpr VmKey kShutdownTimeout[] = {
    {{{}, Kind::Number, {}, {}, {}},
     [](VmConfig& vm, const Value& value) { vm.shutdown_timeout = parse_number(value); },
     [](const VmConfig& vm) { return Texts{fmt::format("{}", vm.shutdown_timeout)}; }}};

template <auto Member>
void reset_member(VmConfig& vm) {
    vm.*Member = VmConfig{}.*Member;
}

template <auto Member>
void reset_boot_member(VmConfig& vm) {
    vm.boot.*Member = BootConfig{}.*Member;
}

// By name.
constexpr VmOption kOptions[] = {
    kBalloonOption,
    {{"boot", "auto|linux|bzimage|pvh", "how the kernel is entered; auto takes the fastest way"},
     kBoot,
     reset_boot_member<&BootConfig::protocol>},
    {{"cmdline", "TEXT", "the kernel's command line"},
     kCmdline,
     reset_boot_member<&BootConfig::cmdline>},
    kConsoleOption,
    {{"cpus", "N[,KEY=N]...", "virtual CPUs and how the guest sees them laid out"},
     kCpus,
     reset_member<&VmConfig::cpus>},
    kDeviceOption,
    kDiskOption,
    kHostBridgeOption,
    {{"initrd", "FILE", "initial RAM disk; fd=N: a descriptor; joined in order", true},
     kInitrd,
     reset_boot_member<&BootConfig::initrds>},
    {{"kernel", "FILE", "bzImage, ELF vmlinux or PVH image; fd=N: a descriptor"},
     kKernel,
     reset_boot_member<&BootConfig::kernel>},
    {{"kvm", "FILE", "the KVM device; fd=N: a descriptor"}, kKvm, reset_member<&VmConfig::kvm>},
    {{"memory", "SIZE[,KEY[=VALUE]]...", "the guest's memory"},
     kMemory,
     reset_member<&VmConfig::memory>},
    kNetOption,
    {{"no-cache", {}, "keep no unpacked kernel under $XDG_CACHE_HOME"},
     kNoCache,
     reset_boot_member<&BootConfig::cache>},
    kRngOption,
    kSerialOption,
    {{"shutdown-timeout", "SECONDS",
      "how long a guest may take to power off when asked to; 0 is for ever"},
     kShutdownTimeout,
     reset_member<&VmConfig::shutdown_timeout>},
    kVsockOption,
};

}  // namespace

std::span<const VmOption> vm_options() noexcept {
    return kOptions;
}

}  // namespace cxlvm::config
