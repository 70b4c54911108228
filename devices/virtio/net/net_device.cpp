// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net_device.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

constexpr std::uint16_t kQueueSize = BufferWindow::kMaxChainSegments;
constexpr std::uint16_t kUsualMtu = 1500;
constexpr const char* kVhostRefused = "the kernel does not serve its queues (vhost)";

/// Of the link, as far as it is known; 0 when it is not.
std::uint16_t link_mtu(const NetConfig& config, const Backend& backend) noexcept {
    return config.mtu != 0 ? config.mtu : backend.mtu();
}

std::uint64_t offered(const NetConfig& config, const Backend& backend) noexcept {
    std::uint64_t features = kFeatureMac | kFeatureStatus | kFeatureMergeable | backend.offloads();
    if (link_mtu(config, backend) != 0) {
        features |= kFeatureMtu;
    }
    if (backend.ports().size() > 1) {
        features |= kFeatureMultiQueue | kFeatureCtrlQueue;
    }
    if ((features & kGuestOffloads) != 0) {
        features |= kFeatureCtrlGuestOffloads | kFeatureCtrlQueue;
    }
    return features;
}

std::vector<QueueLimits> queue_limits(std::size_t pairs, std::uint64_t features) {
    const std::size_t control = (features & kFeatureCtrlQueue) != 0 ? 1 : 0;
    return std::vector<QueueLimits>(2 * pairs + control,
                                    {.max_size = kQueueSize, .max_segments = kQueueSize});
}

std::array<std::byte, kConfigSize> config_space(const NetConfig& config, const Backend& backend) {
    std::array<std::byte, kConfigSize> bytes{};
    const auto put = [&bytes](Config offset, const auto& value) {
        std::memcpy(bytes.data() + static_cast<std::size_t>(offset), &value, sizeof(value));
    };
    const MacAddress mac = config.mac ? *config.mac : random_mac();
    put(Config::Mac, mac.bytes);
    put(Config::Status, kStatusLinkUp);
    put(Config::MaxQueuePairs, static_cast<std::uint16_t>(backend.ports().size()));
    put(Config::Mtu, link_mtu(config, backend));
    return bytes;
}

/// What an errno value, or 0, of a port that has ended means.
const char* why_ended(int error) noexcept {
    switch (error) {
        case 0:
        case EPIPE:
        case ECONNRESET:
            return "the other end has closed the connection";
        case EBADFD:
            return "the interface was removed";
        case EPROTO:
            return "what came is no frame behind its length";
        default:
            return io::errno_text(error);
    }
}

std::unique_ptr<Backend> checked_backend(const NetConfig& config) {
    check(config);
    return open_backend(config);
}

}  // namespace

NetDevice::NetDevice(const NetConfig& config, io::EventLoop& loop, io::Log& log)
    : NetDevice(config, checked_backend(config), loop, log) {}

NetDevice::NetDevice(const NetConfig& config, std::unique_ptr<Backend> backend, io::EventLoop& loop,
                     io::Log& log, VhostCalls& calls)
    : backend_(std::move(backend)),
      features_(offered(config, *backend_)),
      limits_(queue_limits(backend_->ports().size(), features_)),
      config_space_(config_space(config, *backend_)),
      loop_(loop),
      log_(log),
      vhost_(config.uses_vhost() ? std::make_unique<Vhost>(config, *backend_, loop,
                                                           static_cast<QueueOwner&>(*this), calls)
                                 : nullptr),
      control_(loop, *this) {
    const std::uint16_t mtu = link_mtu(config, *backend_);
    const std::size_t longest_frame =
        mtu == 0 ? kMaxFrame : std::max(mtu, kUsualMtu) + kEthernetHeader + kVlanTag;
    QueueOwner& owner = *this;
    for (const auto& port : backend_->ports()) {
        pairs_.push_back(std::make_unique<Pair>(*port, longest_frame, loop_, owner));
    }
}

NetDevice::~NetDevice() {
    for (io::Task* const task : {&open_task_, &reset_task_, &link_task_}) {
        loop_.withdraw(*task);
    }
}

// 5.1.3.1. That MQ and CTRL_GUEST_OFFLOADS need CTRL_VQ follows from what they are.
bool NetDevice::accepts(std::uint64_t features) const noexcept {
    struct Dependency {
        std::uint64_t features;
        std::uint64_t need_one_of;
    };
    constexpr Dependency kDependencies[] = {
        {kGuestSegmentation, kFeatureGuestCsum},
        {kFeatureGuestEcn, kFeatureGuestTso4 | kFeatureGuestTso6},
        {kHostSegmentation, kFeatureCsum},
        {kFeatureHostEcn, kFeatureHostTso4 | kFeatureHostTso6},
        {kFeatureMultiQueue | kFeatureCtrlGuestOffloads, kFeatureCtrlQueue},
    };
    return std::ranges::all_of(kDependencies, [features](const Dependency& dependency) {
        return (features & dependency.features) == 0 || (features & dependency.need_one_of) != 0;
    });
}

// The work is left to the loop's thread: it takes system calls, and nobody else touches the ports.
bool NetDevice::activate(const Activation& activation) noexcept {
    activation_ = activation;
    // 5.1.2: behind the pairs that there may be.
    const std::size_t pairs = has(kFeatureMultiQueue) ? pairs_.size() : 1;
    control_number_.store(static_cast<std::uint16_t>(has(kFeatureCtrlQueue) ? 2 * pairs : 0));
    loop_.post(open_task_);
    return true;
}

void NetDevice::on_open() noexcept {
    if (!backend_->set_guest_offloads(activation_.features & kGuestOffloads)) {
        host_->fail("the host's interface does not take its offloads");
        return;
    }
    if (!open_queues()) {
        host_->fail(kVhostRefused);
        return;
    }
    // 5.1.6.5: one, until the driver says otherwise.
    if (!use_pairs(1)) {
        host_->fail("the host's interface does not take its number of queues");
    }
}

bool NetDevice::open_queues() noexcept {
    const std::span<SplitQueue> rings = activation_.queues;
    const std::uint16_t control = control_number_.load();
    const std::size_t pairs = has(kFeatureMultiQueue) ? pairs_.size() : 1;
    const auto open = [&](NetQueue& queue, std::size_t number) {
        if (number < rings.size() && rings[number].running()) {
            queue.open({.host = host_,
                        .ring = &rings[number],
                        .number = static_cast<std::uint16_t>(number),
                        .features = activation_.features});
        }
    };
    if (control != 0) {
        open(control_, control);
    }
    if (vhost_) {
        return vhost_->open(*host_, activation_, pairs);
    }
    for (std::size_t i = 0; i < pairs; ++i) {
        open(pairs_[i]->receive, 2 * i);
        open(pairs_[i]->transmit, 2 * i + 1);
    }
    return true;
}

bool NetDevice::use_pairs(unsigned pairs) noexcept {
    const std::size_t most = has(kFeatureMultiQueue) ? pairs_.size() : 1;
    if (pairs == 0 || pairs > most || !backend_->set_pairs(pairs)) {
        return false;
    }
    used_pairs_ = pairs;
    settle_use();
    return true;
}

// Queues of ours look at the link themselves.
void NetDevice::settle_use() noexcept {
    if (vhost_) {
        if (!vhost_->use(link_up() ? used_pairs_ : 0)) {
            host_->fail(kVhostRefused);
        }
        return;
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        pairs_[i]->receive.use(i < used_pairs_);
        pairs_[i]->transmit.use(i < used_pairs_);
    }
}

bool NetDevice::use_guest_offloads(std::uint64_t features) noexcept {
    const std::uint64_t allowed = activation_.features & kGuestOffloads;
    return has(kFeatureCtrlGuestOffloads) && (features & ~allowed) == 0 &&
           backend_->set_guest_offloads(features);
}

void NetDevice::queue_notified(std::uint16_t queue) noexcept {
    const std::uint16_t control = control_number_.load();
    if (control != 0 && queue == control) {
        control_.wake();
    } else if (vhost_) {
        vhost_->kick(queue);
    } else if (queue / 2U < pairs_.size()) {
        Pair& pair = *pairs_[queue / 2U];
        NetQueue& waker = queue % 2 == 0 ? static_cast<NetQueue&>(pair.receive) : pair.transmit;
        waker.wake();
    }
}

void NetDevice::interrupts_changed() noexcept {
    if (vhost_) {
        vhost_->interrupts_changed();
    }
}

void NetDevice::reset() noexcept {
    loop_.post(reset_task_);
}

template <typename Function>
void NetDevice::for_each_queue(Function&& function) {
    for (const auto& pair : pairs_) {
        function(pair->receive);
        function(pair->transmit);
    }
    function(control_);
}

void NetDevice::on_reset() noexcept {
    resetting_ = true;
    used_pairs_ = 0;
    for_each_queue([](NetQueue& queue) { queue.close(); });
    if (vhost_) {
        vhost_->close();
    }
    queue_quiet();
}

void NetDevice::queue_quiet() noexcept {
    bool quiet = vhost_ == nullptr || vhost_->quiet();
    for_each_queue([&quiet](const NetQueue& queue) { quiet = quiet && queue.quiet(); });
    if (resetting_ && quiet) {
        resetting_ = false;
        host_->reset_done();
    }
}

void NetDevice::set_link(bool up) noexcept {
    link_wanted_.store(up);
    if (!link_posted_.exchange(true)) {
        loop_.post(link_task_);
    }
}

void NetDevice::on_link() noexcept {
    link_posted_.store(false);
    plugged_ = link_wanted_.load();
    link_changed();
}

void NetDevice::port_ended(int error) noexcept {
    if (!ended_) {
        ended_ = true;
        log_.warn("net: {}: {}; the guest's link is down", backend_->name(), why_ended(error));
        link_changed();
    }
}

void NetDevice::link_changed() noexcept {
    publish_link();
    if (vhost_) {
        settle_use();
        return;
    }
    // For frames that were there meanwhile, or for those that wait for a port that has ended.
    for_each_queue([](NetQueue& queue) { queue.wake(); });
}

void NetDevice::publish_link() noexcept {
    const std::uint16_t status = link_up() ? kStatusLinkUp : 0;
    host_->update_config(static_cast<std::size_t>(Config::Status),
                         std::as_bytes(std::span(&status, 1)));
}

}  // namespace cxlvm::virtio::net
