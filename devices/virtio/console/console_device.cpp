// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console/console_device.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::console {

namespace {

std::array<std::byte, sizeof(Config)> config_space(std::optional<ConsoleSize> size) {
    const ConsoleSize known = size.value_or(ConsoleSize{});
    return std::bit_cast<std::array<std::byte, sizeof(Config)>>(
        Config{.columns = known.columns, .rows = known.rows, .max_ports = 1, .emergency_write = 0});
}

}  // namespace

ConsoleDevice::ConsoleDevice(CharacterHost& host_end, std::optional<ConsoleSize> size,
                             io::EventLoop& loop)
    : has_size_(size.has_value()),
      config_space_(config_space(size)),
      host_end_(host_end),
      loop_(loop),
      receive_(kReceiveQueue, kRound, loop, *this),
      transmit_(kTransmitQueue, kRound, loop, *this) {}

ConsoleDevice::~ConsoleDevice() {
    loop_.withdraw(reset_task_);
}

bool ConsoleDevice::activate(const Activation& activation) noexcept {
    for (LoopQueue* const queue : {&receive_, &transmit_}) {
        SplitQueue& ring = activation.queues[queue->number()];
        if (ring.running()) {
            queue->open(*host_, ring);
        }
    }
    return true;
}

void ConsoleDevice::queue_notified(std::uint16_t queue) noexcept {
    if (queue == kReceiveQueue) {
        receive_.wake();
    } else if (queue == kTransmitQueue) {
        transmit_.wake();
    }
}

void ConsoleDevice::set_size(ConsoleSize size) noexcept {
    if (has_size_) {
        const std::array<std::uint16_t, 2> fields{size.columns, size.rows};
        host_->update_config(0, std::as_bytes(std::span(fields)));
    }
}

std::size_t ConsoleDevice::receive(std::span<const std::byte> data) noexcept {
    input_ = data;
    receive_.run();
    const std::size_t taken = data.size() - std::exchange(input_, {}).size();
    input_refused_ = taken != data.size();
    return taken;
}

void ConsoleDevice::output_ready() noexcept {
    transmit_.wake();
}

Turn ConsoleDevice::serve(std::uint16_t queue, Chain& chain, std::uint32_t& written) noexcept {
    return queue == kReceiveQueue ? fill(chain, written) : send(chain);
}

Turn ConsoleDevice::fill(Chain& chain, std::uint32_t& written) noexcept {
    if (input_.empty()) {
        if (std::exchange(input_refused_, false)) {
            host_end_.input_ready();
        }
        return Turn::Wait;
    }
    const auto count =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(input_.size(), chain.writable_bytes));
    static_cast<void>(fill_front(chain.writable, input_.first(count)));
    input_ = input_.subspan(count);
    written = count;
    return Turn::Done;
}

Turn ConsoleDevice::send(Chain& chain) noexcept {
    while (!chain.readable.empty()) {
        const iovec& segment = chain.readable.front();
        const std::size_t taken =
            host_end_.write({static_cast<const std::byte*>(segment.iov_base), segment.iov_len});
        const bool all = taken == segment.iov_len;
        drop_front(chain.readable, taken);
        if (!all) {
            return Turn::Wait;  // for output_ready()
        }
    }
    return Turn::Done;
}

void ConsoleDevice::reset() noexcept {
    loop_.post(reset_task_);
}

void ConsoleDevice::on_reset() noexcept {
    receive_.close();
    transmit_.close();
    host_->reset_done();
}

}  // namespace cxlvm::virtio::console
