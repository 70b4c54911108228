// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/consoles.hpp"

namespace cxlvm {

Consoles::Consoles(const VmConfig& config, io::EventLoop& loop, io::Log& log, QuitHandler quit)
    : loop_(loop), serial_(config.serial, loop, log, quit) {
    if (config.console) {
        virtio_.emplace(*config.console, loop, log, quit, kVirtioConsoleName);
    }
}

Consoles::~Consoles() {
    loop_.withdraw(serial_finished_);
    loop_.withdraw(virtio_finished_);
}

void Consoles::start() noexcept {
    serial_.start();
    if (virtio_) {
        virtio_->start();
    }
}

void Consoles::finish(io::Task& done) noexcept {
    done_ = &done;
    unfinished_ = virtio_ ? 2 : 1;
    serial_.finish(serial_finished_);
    if (virtio_) {
        virtio_->finish(virtio_finished_);
    }
}

void Consoles::on_finished() noexcept {
    if (--unfinished_ == 0) {
        loop_.post(*done_);
    }
}

void Consoles::abandon() noexcept {
    serial_.abandon();
    if (virtio_) {
        virtio_->abandon();
    }
}

void Consoles::leave_terminal() noexcept {
    serial_.leave_terminal();
    if (virtio_) {
        virtio_->leave_terminal();
    }
}

void Consoles::take_terminal() noexcept {
    serial_.take_terminal();
    if (virtio_) {
        virtio_->take_terminal();
    }
}

}  // namespace cxlvm
