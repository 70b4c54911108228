// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "io/error.hpp"
#include "io/open_error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

namespace {

/// ioctl(2) that is repeated when a signal interrupts it; returns what the request returns.
template <typename... Argument>
int call(const io::Fd& fd, unsigned long request, Argument... argument) noexcept {
    return io::retry_eintr([&] { return ::ioctl(fd.get(), request, argument...); });
}

template <typename... Argument>
int call_or_throw(const io::Fd& fd, const char* what, unsigned long request, Argument... argument) {
    const int result = call(fd, request, argument...);
    if (result < 0) {
        io::throw_errno(what);
    }
    return result;
}

template <typename... Argument>
int errno_of(const io::Fd& fd, unsigned long request, Argument... argument) noexcept {
    return call(fd, request, argument...) < 0 ? errno : 0;
}

/// A kernel structure that ends in an array: header and entries in one allocation.
template <typename Header, typename Entry>
class WithArray {
  public:
    explicit WithArray(std::size_t count)
        : storage_(std::make_unique<std::byte[]>(sizeof(Header) + count * sizeof(Entry))),
          header_(new (storage_.get()) Header{}) {}
    explicit WithArray(std::span<const Entry> entries) : WithArray(entries.size()) {
        std::memcpy(header_ + 1, entries.data(), entries.size_bytes());
    }
    [[nodiscard]] Header* operator->() const noexcept { return header_; }
    [[nodiscard]] Header* get() const noexcept { return header_; }
    [[nodiscard]] std::vector<Entry> entries(std::size_t count) const {
        std::vector<Entry> result(count);
        std::memcpy(result.data(), header_ + 1, count * sizeof(Entry));
        return result;
    }

  private:
    std::unique_ptr<std::byte[]> storage_;
    Header* header_;
};

io::Fd open_device(const std::string& device) {
    if (auto copy = io::open_descriptor(device, "--kvm: " + device)) {
        return std::move(*copy);
    }
    io::Fd fd(::open(device.c_str(), O_RDWR | O_CLOEXEC));
    if (fd) {
        return fd;
    }
    io::throw_open_error(errno,
                         {.path = device, .purpose = io::OpenPurpose::Kvm, .option = "--kvm"});
}

/// Flags of KVM_CAP_X2APIC_API.
constexpr int kWideApicIds = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

/// Since Linux 4.13 any KVM has all of it.
constexpr std::array kRequired = {
    KvmCapability{KVM_CAP_IRQCHIP, "IRQCHIP"},
    KvmCapability{KVM_CAP_USER_MEMORY, "USER_MEMORY"},
    KvmCapability{KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR"},
    KvmCapability{KVM_CAP_EXT_CPUID, "EXT_CPUID"},
    KvmCapability{KVM_CAP_MP_STATE, "MP_STATE"},
    KvmCapability{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING"},
    KvmCapability{KVM_CAP_IRQFD, "IRQFD"},
    KvmCapability{KVM_CAP_IOEVENTFD, "IOEVENTFD"},
    KvmCapability{KVM_CAP_IOEVENTFD_ANY_LENGTH, "IOEVENTFD_ANY_LENGTH"},
    KvmCapability{KVM_CAP_SET_IDENTITY_MAP_ADDR, "SET_IDENTITY_MAP_ADDR"},
    KvmCapability{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
};

}  // namespace

std::span<const KvmCapability> required_capabilities() noexcept {
    return kRequired;
}

Kvm::Kvm(const std::string& device) : fd_(open_device(device)) {
    const int version = call(fd_, KVM_GET_API_VERSION, 0);
    if (version < 0) {
        io::throw_input("--kvm: " + device + ": not a KVM device; give /dev/kvm, the default");
    }
    if (version != KVM_API_VERSION) {
        io::throw_error(0, fmt::format("--kvm: {}: KVM interface version {} instead of {}", device,
                                       version, KVM_API_VERSION));
    }
    for (const KvmCapability& required : kRequired) {
        if (capability(required.number) <= 0) {
            io::throw_error(
                0,
                fmt::format("--kvm: {}: this KVM lacks KVM_CAP_{}; Linux 4.13 or newer is needed",
                            device, required.name));
        }
    }
    run_size_ = static_cast<std::size_t>(
        call_or_throw(fd_, "KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE, 0));
    if (run_size_ < sizeof(kvm_run)) {
        io::throw_error(0, fmt::format("--kvm: {}: a vCPU mapping of {} bytes is too small", device,
                                       run_size_));
    }
}

int Kvm::capability(unsigned number) const noexcept {
    const int value = call(fd_, KVM_CHECK_EXTENSION, static_cast<unsigned long>(number));
    return value < 0 ? 0 : value;
}

std::vector<kvm_cpuid_entry2> Kvm::supported_cpuid() const {
    // How many there are is found out by asking: E2BIG means more than given.
    constexpr std::uint32_t kFirstGuess = 128;
    constexpr std::uint32_t kAbsurd = 4096;
    for (std::uint32_t count = kFirstGuess; count <= kAbsurd; count *= 2) {
        const WithArray<kvm_cpuid2, kvm_cpuid_entry2> cpuid(count);
        cpuid->nent = count;
        if (call(fd_, KVM_GET_SUPPORTED_CPUID, cpuid.get()) == 0) {
            return cpuid.entries(cpuid->nent);
        }
        if (errno != E2BIG) {
            break;
        }
    }
    io::throw_errno("KVM_GET_SUPPORTED_CPUID");
}

unsigned Kvm::max_vcpus() const noexcept {
    // The kernel's documentation: 4 when the capability is absent.
    constexpr int kDefault = 4;
    const int limit = capability(KVM_CAP_MAX_VCPUS);
    return static_cast<unsigned>(limit > 0 ? limit : kDefault);
}

unsigned Kvm::vcpu_id_limit() const noexcept {
    const int limit = capability(KVM_CAP_MAX_VCPU_ID);
    return limit > 0 ? static_cast<unsigned>(limit) : max_vcpus();
}

bool Kvm::has_wide_apic_ids() const noexcept {
    return (capability(KVM_CAP_X2APIC_API) & kWideApicIds) == kWideApicIds;
}

KvmVm::KvmVm(const Kvm& kvm)
    : fd_(io::retry_eintr([&] { return ::ioctl(kvm.fd(), KVM_CREATE_VM, 0UL); })) {
    if (!fd_) {
        const int error = errno;
        io::throw_error(error, error == EBUSY
                                   ? "KVM_CREATE_VM (another hypervisor, such as VirtualBox, holds "
                                     "the processor's virtualization extension; end its machines)"
                                   : "KVM_CREATE_VM");
    }
    std::uint64_t identity_map = layout::kKvmIdentityMap.value();
    call_or_throw(fd_, "KVM_SET_IDENTITY_MAP_ADDR", KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    call_or_throw(fd_, "KVM_SET_TSS_ADDR", KVM_SET_TSS_ADDR,
                  static_cast<unsigned long>(layout::kKvmTss.value()));
}

void KvmVm::use_wide_apic_ids() {
    kvm_enable_cap enable{};
    enable.cap = KVM_CAP_X2APIC_API;
    enable.args[0] = kWideApicIds;
    call_or_throw(fd_, "KVM_ENABLE_CAP KVM_CAP_X2APIC_API", KVM_ENABLE_CAP, &enable);
    wide_apic_ids_ = true;
}

void KvmVm::create_irqchip() const {
    call_or_throw(fd_, "KVM_CREATE_IRQCHIP", KVM_CREATE_IRQCHIP, 0);
}

int KvmVm::set_memory(const kvm_userspace_memory_region& region) const noexcept {
    return errno_of(fd_, KVM_SET_USER_MEMORY_REGION, &region);
}

int KvmVm::set_irq_line(std::uint32_t gsi, bool level) const noexcept {
    kvm_irq_level line{};
    line.irq = gsi;
    line.level = level ? 1 : 0;
    return errno_of(fd_, KVM_IRQ_LINE, &line);
}

int KvmVm::set_gsi_routes(const kvm_irq_routing& routes) const noexcept {
    return errno_of(fd_, KVM_SET_GSI_ROUTING, &routes);
}

int KvmVm::assign_irqfd(int eventfd, std::uint32_t gsi) const noexcept {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<std::uint32_t>(eventfd);
    irqfd.gsi = gsi;
    return errno_of(fd_, KVM_IRQFD, &irqfd);
}

int KvmVm::assign_level_irqfd(int eventfd, int resamplefd, std::uint32_t gsi) const noexcept {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<std::uint32_t>(eventfd);
    irqfd.gsi = gsi;
    irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
    irqfd.resamplefd = static_cast<std::uint32_t>(resamplefd);
    return errno_of(fd_, KVM_IRQFD, &irqfd);
}

int KvmVm::remove_irqfd(int eventfd, std::uint32_t gsi) const noexcept {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<std::uint32_t>(eventfd);
    irqfd.gsi = gsi;
    irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
    return errno_of(fd_, KVM_IRQFD, &irqfd);
}

int KvmVm::assign_ioeventfd(std::uint64_t address, int eventfd, bool port) const noexcept {
    kvm_ioeventfd ioeventfd{};
    ioeventfd.addr = address;  // a length of 0 matches every width (KVM_CAP_IOEVENTFD_ANY_LENGTH)
    ioeventfd.fd = eventfd;
    ioeventfd.flags = port ? std::uint32_t{KVM_IOEVENTFD_FLAG_PIO} : 0;
    return errno_of(fd_, KVM_IOEVENTFD, &ioeventfd);
}

int KvmVm::remove_ioeventfd(std::uint64_t address, int eventfd, bool port) const noexcept {
    kvm_ioeventfd ioeventfd{};
    ioeventfd.addr = address;
    ioeventfd.fd = eventfd;
    ioeventfd.flags =
        KVM_IOEVENTFD_FLAG_DEASSIGN | (port ? std::uint32_t{KVM_IOEVENTFD_FLAG_PIO} : 0);
    return errno_of(fd_, KVM_IOEVENTFD, &ioeventfd);
}

KvmVcpu::KvmVcpu(const Kvm& kvm, const KvmVm& vm, std::uint32_t id)
    : fd_(io::retry_eintr(
          [&] { return ::ioctl(vm.fd(), KVM_CREATE_VCPU, static_cast<unsigned long>(id)); })) {
    if (!fd_) {
        io::throw_errno(fmt::format("KVM_CREATE_VCPU {}", id));
    }
    run_ = io::Mapping({.size = kvm.run_size(),
                        .protection = PROT_READ | PROT_WRITE,
                        .flags = MAP_SHARED,
                        .fd = fd_.get()},
                       fmt::format("the state of vCPU {}", id));
}

kvm_run& KvmVcpu::run_page() const noexcept {
    return *reinterpret_cast<kvm_run*>(run_.bytes().data());
}

void KvmVcpu::set_cpuid(std::span<const kvm_cpuid_entry2> entries) const {
    const WithArray<kvm_cpuid2, kvm_cpuid_entry2> cpuid(entries);
    cpuid->nent = static_cast<std::uint32_t>(entries.size());
    call_or_throw(fd_, "KVM_SET_CPUID2", KVM_SET_CPUID2, cpuid.get());
}

std::size_t KvmVcpu::set_msrs(std::span<const kvm_msr_entry> entries) const {
    const WithArray<kvm_msrs, kvm_msr_entry> msrs(entries);
    msrs->nmsrs = static_cast<std::uint32_t>(entries.size());
    return static_cast<std::size_t>(call_or_throw(fd_, "KVM_SET_MSRS", KVM_SET_MSRS, msrs.get()));
}

kvm_sregs KvmVcpu::sregs() const {
    kvm_sregs sregs{};
    call_or_throw(fd_, "KVM_GET_SREGS", KVM_GET_SREGS, &sregs);
    return sregs;
}

void KvmVcpu::set_sregs(const kvm_sregs& sregs) const {
    call_or_throw(fd_, "KVM_SET_SREGS", KVM_SET_SREGS, &sregs);
}

void KvmVcpu::set_regs(const kvm_regs& regs) const {
    call_or_throw(fd_, "KVM_SET_REGS", KVM_SET_REGS, &regs);
}

void KvmVcpu::set_mp_state(std::uint32_t state) const {
    kvm_mp_state mp_state{};
    mp_state.mp_state = state;
    call_or_throw(fd_, "KVM_SET_MP_STATE", KVM_SET_MP_STATE, &mp_state);
}

void KvmVcpu::set_signal_mask(abi::SignalSet blocked) const {
    abi::SignalMask mask{.length = sizeof(blocked), .set = {}};
    std::memcpy(mask.set, &blocked, sizeof(blocked));
    call_or_throw(fd_, "KVM_SET_SIGNAL_MASK", KVM_SET_SIGNAL_MASK, &mask);
}

std::uint32_t KvmVcpu::tsc_khz() const noexcept {
    const int value = call(fd_, KVM_GET_TSC_KHZ, 0);
    return value < 0 ? 0 : static_cast<std::uint32_t>(value);
}

int KvmVcpu::run() const noexcept {
    // Not repeated on EINTR: that is how the vCPU is called back.
    return ::ioctl(fd_.get(), KVM_RUN, 0UL) < 0 ? errno : 0;
}

void KvmVcpu::notify_paused() const noexcept {
    static_cast<void>(call(fd_, KVM_KVMCLOCK_CTRL, 0));
}

int KvmVcpu::get_regs(kvm_regs& regs) const noexcept {
    return errno_of(fd_, KVM_GET_REGS, &regs);
}

int KvmVcpu::get_sregs(kvm_sregs& sregs) const noexcept {
    return errno_of(fd_, KVM_GET_SREGS, &sregs);
}

}  // namespace cxlvm
