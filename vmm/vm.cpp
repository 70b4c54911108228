// SPDX-License-Identifier: Apache-2.0
#include "vmm/vm.hpp"

#include "vmm/machine/machine.hpp"

namespace cxlvm {

Vm::Vm(const VmConfig& config, io::Log& log, const BuildCheckpoint& checkpoint)
    : machine_(std::make_unique<Machine>(config, log, nullptr, checkpoint)) {}

Vm::Vm(const VmConfig& config, io::Log& log, io::EventLoop& loop, const BuildCheckpoint& checkpoint)
    : machine_(std::make_unique<Machine>(config, log, &loop, checkpoint)) {}

Vm::~Vm() = default;

io::EventLoop& Vm::loop() noexcept {
    return machine_->loop();
}

ExitReason Vm::run() {
    return machine_->run();
}

void Vm::start() {
    machine_->start();
}

ExitReason Vm::wait() {
    return machine_->wait();
}

const io::EventFd& Vm::ended() const noexcept {
    return machine_->ended();
}

void Vm::request_power_off() noexcept {
    machine_->request_power_off();
}

void Vm::stop() noexcept {
    machine_->stop();
}

void Vm::pause() noexcept {
    machine_->pause();
}

void Vm::resume() noexcept {
    machine_->resume();
}

void Vm::leave_terminal() noexcept {
    machine_->leave_terminal();
}

void Vm::take_terminal() noexcept {
    machine_->take_terminal();
}

void Vm::terminal_resized() noexcept {
    machine_->terminal_resized();
}

virtio::balloon::BalloonDevice* Vm::balloon() noexcept {
    return machine_->balloon();
}

EndCause Vm::end_cause() const noexcept {
    return machine_->end_cause();
}

const std::string& Vm::error() const noexcept {
    return machine_->error();
}

VmStatistics Vm::statistics() const noexcept {
    return machine_->statistics();
}

const std::string& Vm::serial_path() const noexcept {
    return machine_->serial_path();
}

const std::string& Vm::console_path() const noexcept {
    return machine_->console_path();
}

}  // namespace cxlvm
