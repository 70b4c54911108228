// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

#include "io/error.hpp"
#include "vmm/layout.hpp"
#include "vmm/machine/vcpu_setup.hpp"

namespace cxlvm {

namespace {

/// Regions that an address space has room for: RAM, the board, and every BAR of a full root bus.
constexpr std::size_t kMemoryRegions = MemorySlots::kMost;
/// The board's, and one for each device on a root bus.
constexpr std::size_t kPortRegions = 512;
/// Of messages about how the machine ended; longer ones are cut.
constexpr std::size_t kErrorSize = 512;

const VmConfig& validated(const VmConfig& config) {
    validate(config);
    return config;
}

GuestMemoryConfig memory_config(const MemoryConfig& config) {
    return {.size = config.size,
            .backing = config.backing,
            .numa_node = config.numa_node,
            .hole_base = layout::kHoleBase,
            .high_base = layout::kHighRam};
}

/// The arguments must outlive the result.
PrefaultConfig populating(const BuildCheckpoint& checkpoint, io::Log& log) {
    return {.progress = [&checkpoint, &log](std::uint64_t done, std::uint64_t total) {
        if (checkpoint) {
            checkpoint();
        }
        // Only called when it takes long, and then the user is waiting for it: at the level that is
        // shown unless asked otherwise.
        log.warn("populating guest memory takes long: {} of {} MiB done", done >> 20, total >> 20);
    }};
}

CmosConfig cmos_config(const GuestMemory& memory) {
    CmosConfig config;
    for (const GuestMemory::Block& block : memory.blocks()) {
        (block.range.base() < layout::kHighRam ? config.low_memory : config.high_memory) =
            block.range.size();
    }
    return config;
}

/// The device, when it takes as many vCPUs as the machine is to have.
Kvm open_kvm(const std::string& device, std::span<const std::uint32_t> apic_ids) {
    Kvm kvm(device);
    if (const unsigned limit = kvm.max_vcpus(); apic_ids.size() > limit) {
        io::throw_input(
            fmt::format("--cpus: {} are more than this host's KVM gives one guest; give at most {}",
                        apic_ids.size(), limit));
    }
    if (const unsigned limit = kvm.vcpu_id_limit(); apic_ids.back() >= limit) {
        io::throw_input(
            fmt::format("--cpus: this topology needs APIC id {}, and the largest that "
                        "this host's KVM gives is {}; give fewer",
                        apic_ids.back(), limit - 1));
    }
    return kvm;
}

KvmVm make_vm(const Kvm& kvm, std::span<const std::uint32_t> apic_ids,
              std::span<const cpu::CpuidEntry> supported) {
    KvmVm vm(kvm);
    if (apic_ids.back() > cpu::kLastXapicId) {
        if (!kvm.has_wide_apic_ids() || !cpu::has_x2apic(supported)) {
            io::throw_input(
                fmt::format("--cpus: this topology needs APIC id {}, and the largest that this "
                            "host's KVM gives without x2APIC (Linux 4.8) is {}; give fewer",
                            apic_ids.back(), cpu::kLastXapicId));
        }
        vm.use_wide_apic_ids();
    }
    return vm;
}

}  // namespace

Vm::Machine::Ram::Ram(const GuestMemory& memory, AddressSpace& space) {
    for (const GuestMemory::Block& block : memory.blocks()) {
        auto region = std::make_unique<Region>("ram", Region::Backing{.host = block.host,
                                                                      .fd = block.fd,
                                                                      .fd_offset = block.fd_offset,
                                                                      .read_only = false,
                                                                      .ram = true});
        if (const auto error = space.map(*region, block.range.base().value())) {
            throw io::Error(error, fmt::format("place RAM at {}", block.range));
        }
        regions_.push_back(std::move(region));
    }
}

Vm::Machine::Listening::Listening(AddressSpace& space, MemoryListener& listener)
    : space_(space), listener_(listener) {
    space_.add_listener(listener_);
}

Vm::Machine::Closing::~Closing() {
    try {
        const auto fd = std::make_shared<io::Fd>();
        *fd = vm_.release();
        thread_ = io::Thread("cxlvm-closer", [fd] { fd->reset(); });
    } catch (...) {
        return;  // no memory or no thread: it is closed by now, or with vm_
    }
}

Vm::Machine::Connected::Connected(AddressSpace& space, DoorbellHost& host) noexcept
    : space_(space) {
    space_.connect_doorbells(host);
}

Vm::Machine::Machine(const VmConfig& config, io::Log& log, io::EventLoop* embedder_loop,
                     const BuildCheckpoint& checkpoint)
    : config_(validated(config)),
      log_(log),
      topology_(cpu::topology_of(config_.cpus)),
      apic_ids_(cpu::apic_ids_of(topology_)),
      kvm_(open_kvm(config_.kvm, apic_ids_)),
      cpuid_(supported_cpuid(kvm_)),
      memory_(memory_config(config_.memory), populating(checkpoint, log_)),
      placement_(place(memory_.last(), cpu::guest_address_bits(cpuid_))),
      pci_plan_(plan_pci(config_, placement_)),
      loader_("cxlvm-loader", [this] { load(); }),
      vm_(make_vm(kvm_, apic_ids_, cpuid_)),
      vm_closing_(vm_, closer_),
      loop_(embedder_loop != nullptr ? *embedder_loop : own_loop_.emplace()),
      loop_is_ours_(embedder_loop == nullptr),
      ended_("the end of the machine"),
      ending_task_(io::Task::to<&Machine::on_ending>(*this)),
      abandon_task_(io::Task::to<&Machine::on_abandoned>(*this)),
      console_finished_task_(io::Task::to<&Machine::on_console_finished>(*this)),
      devices_stopped_task_(io::Task::to<&Machine::on_devices_stopped>(*this)),
      power_off_task_(io::Task::to<&Machine::on_power_off_requested>(*this)),
      power_off_timeout_(io::Completion::to<&Machine::on_power_off_timeout>(*this)),
      memory_space_(kMemoryRegions),
      port_space_(kPortRegions),
      slots_(kvm_, vm_),
      chip_(kvm_, vm_),
      guest_(loaded(checkpoint)),
      parts_(config_, memory_, loop_, log_),
      passed_parts_(config_, vm_, log_),
      consoles_(config_, loop_, log_, QuitHandler::to<&Machine::quit>(*this)),
      pci_(pci_plan_, chip_, log_),
      board_(cmos_config(memory_), {.memory = memory_space_,
                                    .ports = port_space_,
                                    .chip = chip_,
                                    .pci = pci_.segment(),
                                    .console = consoles_.serial(),
                                    .events = *this,
                                    .log = log_}),
      memory_doorbells_(vm_, IoEventFds::Space::Memory),
      memory_doorbells_connected_(memory_space_, memory_doorbells_),
      port_doorbells_(vm_, IoEventFds::Space::Ports),
      port_doorbells_connected_(port_space_, port_doorbells_),
      bars_(memory_space_, placement_.mmio64.last(), log_, &port_space_),
      devices_(parts_, {.memory = memory_,
                        .bars = bars_,
                        .pci = pci_,
                        .chip = chip_,
                        .console = consoles_.virtio(),
                        .console_place = config_.console ? config_.console->place : PciPlace{},
                        .loop = loop_,
                        .log = log_}),
      passed_(passed_parts_, {.bars = bars_, .pci = pci_, .chip = chip_, .log = log_}),
      ram_(memory_, memory_space_),
      dma_listens_(config_.devices.empty()
                       ? std::optional<Listening>()
                       : std::make_optional<Listening>(memory_space_, passed_parts_.dma())),
      slots_listen_(memory_space_, slots_),
      vcpus_(apic_ids_, {.kvm = kvm_,
                         .vm = vm_,
                         .memory = memory_space_,
                         .ports = port_space_,
                         .owner = *this,
                         .log = log_}) {
    error_.reserve(kErrorSize);
    consoles_.serial().attach(board_.serial());
    set_up_vcpus(kvm_, vcpus_, topology_, cpuid_, guest_.entry, log_);
    log_.info("{}, {} vCPUs, {} MiB", guest_.format, vcpus_.size(), memory_.size() >> 20);
}

Vm::Machine::~Machine() {
    if (started_) {
        end(ExitReason::PowerOff, EndCause::Request);
        abandon_output();
    }
    loop_thread_.join();
    stop_loop_at_end_ = loop_is_ours_;
    while (started_ && !finished()) {
        if (loop_is_ours_) {
            loop_.run();
        } else if (loop_.run_ready() == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    for (io::Task* const task : {&ending_task_, &abandon_task_, &power_off_task_}) {
        static_cast<void>(loop_.withdraw(*task));
    }
}

void Vm::Machine::load() noexcept {
    try {
        const Gpa rsdp =
            acpi::install({.apic_ids = apic_ids_, .host_bridges = host_bridges()}, memory_);
        loading_.set_value(boot::load(config_.boot, memory_, rsdp, log_));
    } catch (...) {
        loading_.set_exception(std::current_exception());
    }
}

std::vector<acpi::HostBridge> Vm::Machine::host_bridges() const {
    std::vector<acpi::HostBridge> bridges;
    for (const PciPlan::Bridge& bridge : pci_plan_.bridges) {
        bridges.push_back({.first_bus = bridge.first_bus,
                           .last_bus = bridge.last_bus,
                           .devices = bridge.devices,
                           .mmio32 = bridge.windows.mmio32,
                           .mmio64 = bridge.windows.mmio64});
    }
    return bridges;
}

boot::LoadedGuest Vm::Machine::loaded(const BuildCheckpoint& checkpoint) {
    boot::LoadedGuest guest = loading_.get_future().get();
    if (config_.memory.prefault) {
        if (checkpoint) {
            checkpoint();
        }
        memory_.prefault(populating(checkpoint, log_));
    }
    return guest;
}

VmStatistics Vm::Machine::statistics() const noexcept {
    VmStatistics sum;
    for (unsigned index = 0; index < vcpus_.size(); ++index) {
        const ExitCounters& counters = vcpus_[index].counters();
        sum.io_exits += counters.io.load(std::memory_order_relaxed);
        sum.mmio_exits += counters.mmio.load(std::memory_order_relaxed);
        sum.other_exits += counters.other.load(std::memory_order_relaxed);
        sum.unclaimed += counters.unclaimed.load(std::memory_order_relaxed);
    }
    return sum;
}

ExitReason Vm::Machine::run() {
    started_ = true;
    stop_loop_at_end_ = true;
    consoles_.start();
    devices_.start();
    try {
        vcpus_.start();
    } catch (...) {
        // The caller may have operations on the loop, and lets them go when this throws.
        end(ExitReason::HostError, EndCause::Request);
        abandon_output();
        serve();
        throw;
    }
    serve();
    return reason_;
}

void Vm::Machine::serve() noexcept {
    loop_.run();
    while (!finished()) {
        // Somebody else has stopped the loop: the machine ends with it.
        end(ExitReason::PowerOff, EndCause::Request);
        loop_.run();
    }
}

void Vm::Machine::start() {
    started_ = true;
    consoles_.start();
    devices_.start();
    if (loop_is_ours_) {
        stop_loop_at_end_ = true;
        loop_thread_ = io::Thread("cxlvm-loop", [this] { serve(); });
    }
    vcpus_.start();
}

bool Vm::Machine::finished() noexcept {
    const io::MutexLock lock(mutex_);
    return finished_;
}

ExitReason Vm::Machine::wait() noexcept {
    const io::MutexLock lock(mutex_);
    while (!finished_) {
        has_ended_.wait(mutex_);
    }
    return reason_;
}

const std::string& Vm::Machine::console_path() const noexcept {
    static const std::string none;
    const Console* const console = consoles_.virtio();
    return console != nullptr ? console->path() : none;
}

void Vm::Machine::terminal_resized() noexcept {
    const Console* const console = consoles_.virtio();
    const auto size = console != nullptr ? console->terminal_size() : std::nullopt;
    if (size) {
        devices_.console()->set_size({.columns = size->columns, .rows = size->rows});
    }
}

void Vm::Machine::request_power_off() noexcept {
    if (power_off_requests_.fetch_add(1) == 0) {
        loop_.post(power_off_task_);
    } else {
        stop();
    }
}

void Vm::Machine::stop(EndCause cause) noexcept {
    if (stops_.fetch_add(1) == 0 && !ending_.load()) {
        end(ExitReason::PowerOff, cause);
    } else {
        abandon_output();
    }
}

void Vm::Machine::abandon_output() noexcept {
    if (!abandoning_.exchange(true)) {
        loop_.post(abandon_task_);
    }
}

void Vm::Machine::raise(SystemEvent event) noexcept {
    switch (event) {
        case SystemEvent::PowerOff:
            end(ExitReason::PowerOff, EndCause::Guest);
            break;
        case SystemEvent::Reset:
            end(ExitReason::Reset, EndCause::Guest);
            break;
        case SystemEvent::GuestPanic:
            end(ExitReason::GuestPanic, EndCause::Guest);
            break;
        case SystemEvent::GuestCrashLoaded:
            log_.guest(crash_reports_,
                       "the guest's kernel crashed and starts the one that it keeps for that");
            break;
    }
}

void Vm::Machine::vcpu_ended(ExitReason reason, std::string_view message) noexcept {
    end(reason, EndCause::Guest, message);
}

void Vm::Machine::end(ExitReason reason, EndCause cause, std::string_view message) noexcept {
    if (ending_.exchange(true)) {
        return;
    }
    reason_ = reason;
    cause_ = cause;
    // Room was made at construction: nothing is allocated.
    error_.assign(message.substr(0, kErrorSize));
    passed_.end_resets();
    vcpus_.stop();
    loop_.post(ending_task_);
}

void Vm::Machine::on_power_off_requested() noexcept {
    if (!ending_.load()) {
        board_.power().press_power_button();
    }
    limit_time();
}

// For the guest to power off first, and then for its output to be read.
void Vm::Machine::limit_time() noexcept {
    if (config_.shutdown_timeout != 0 && !console_finished_ && power_off_timeout_.idle()) {
        loop_.start(power_off_timeout_.set(std::chrono::seconds(config_.shutdown_timeout)));
    }
}

void Vm::Machine::on_power_off_timeout(std::int32_t result, std::uint32_t, bool) noexcept {
    if (result == -ETIME && !ending_.load()) {
        log_.warn("the guest did not power off within {} s: ending it", config_.shutdown_timeout);
        end(ExitReason::PowerOff, EndCause::ShutdownTimeout);
    } else if (result == -ETIME && !console_finished_) {
        log_.warn("the guest's output was not read within {} s: giving it up",
                  config_.shutdown_timeout);
        consoles_.abandon();
    }
    finish_when_idle();
}

void Vm::Machine::on_ending() noexcept {
    // Every vCPU has been called back, and no device keeps one for long, but for a passed one that
    // is being reset: that vCPU returns with the host's kernel, after 100 ms, or a minute when the
    // device does not come back.
    vcpus_.join();
    // A guest that ended by itself has its output read, however long that takes; whoever asked for
    // the end does not wait for a reader for ever.
    if (stops_.load() != 0 || power_off_requests_.load() != 0) {
        limit_time();
    }
    passed_.stop();
    devices_.stop(devices_stopped_task_);
    consoles_.finish(console_finished_task_);
}

void Vm::Machine::on_abandoned() noexcept {
    consoles_.abandon();
}

void Vm::Machine::on_console_finished() noexcept {
    console_finished_ = true;
    loop_.cancel(power_off_timeout_);
    finish_when_idle();
}

void Vm::Machine::on_devices_stopped() noexcept {
    devices_stopped_ = true;
    finish_when_idle();
}

void Vm::Machine::finish_when_idle() noexcept {
    if (!devices_stopped_ || !console_finished_ || !power_off_timeout_.idle()) {
        return;
    }
    {
        const io::MutexLock lock(mutex_);
        finished_ = true;
        has_ended_.notify_all();
    }
    ended_.signal();
    if (stop_loop_at_end_) {
        loop_.stop();
    }
}

}  // namespace cxlvm
