// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/console.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace cxlvm {

Console::Console(const SerialConfig& config, io::EventLoop& loop, io::Log& log, QuitHandler quit,
                 const ConsoleName& name)
    : kind_(config.kind),
      name_(name),
      loop_(loop),
      log_(log),
      quit_(quit),
      line_(make_line(config, name, loop, log, *this)),
      output_(loop, *this),
      input_(loop, *this) {
    if (kind_ == SerialConfig::Kind::Stdio && ::isatty(STDIN_FILENO) == 1) {
        terminal_.emplace(STDIN_FILENO);
    }
}

Console::~Console() {
    leave_raw_mode();
}

std::size_t Console::write(std::span<const std::byte> data) noexcept {
    return kind_ == SerialConfig::Kind::Null ? data.size() : output_.write(data);
}

void Console::attach(CharacterDevice& device) noexcept {
    device_ = &device;
    input_.attach(device);
}

void Console::start() noexcept {
    state_ = State::Waiting;
    if (terminal_) {
        enter_raw_mode();
    }
    if (line_->reconnects()) {
        output_.keep_latest();
    }
    line_->open();
}

void Console::enter_raw_mode() noexcept {
    if (terminal_->in_background()) {
        // The kernel would stop the whole VM with SIGTTOU or SIGTTIN.
        log_.warn("{}: in the background of the terminal, so there is no input; use {} pty or unix",
                  name_.words, name_.option);
        read_input_ = false;
    } else if (terminal_->enter()) {
        log_.set_raw_terminal(::isatty(STDERR_FILENO) == 1);
    } else {
        log_.warn("{}: the terminal cannot be made raw: {}", name_.words,
                  std::generic_category().message(errno));
    }
}

void Console::leave_raw_mode() noexcept {
    if (terminal_) {
        terminal_->restore();
        log_.set_raw_terminal(false);
    }
}

void Console::line_up(int input, int output) noexcept {
    state_ = State::Connected;
    output_.connect(output);
    start_input(input);
}

void Console::start_input(int fd) noexcept {
    if (fd >= 0 && read_input_ && done_ == nullptr) {
        input_.start(fd, terminal_.has_value());
    }
}

void Console::take_terminal() noexcept {
    if (!terminal_ || state_ != State::Connected || done_ != nullptr) {
        return;
    }
    read_input_ = true;
    enter_raw_mode();
    if (!read_input_) {
        input_.stop();
    } else if (!input_.active() && input_.idle()) {
        start_input(STDIN_FILENO);
    }
}

void Console::input_settled() noexcept {
    settle();
    if (terminal_ && state_ == State::Connected) {
        start_input(STDIN_FILENO);  // taken again while it was being let go
    }
}

void Console::output_room() noexcept {
    if (device_ != nullptr) {
        device_->output_ready();
    }
}

void Console::output_failed(int error) noexcept {
    if (line_->reconnects()) {
        output_.keep_latest();
        peer_gone();
        return;
    }
    log_.warn("{}: output is lost from now on: {}", name_.words,
              std::generic_category().message(error));
    output_.discard();
}

void Console::input_command(EscapeFilter::Command command) noexcept {
    if (command == EscapeFilter::Command::Help) {
        output_.write(std::as_bytes(std::span(EscapeFilter::kHelp)));
    } else if (command == EscapeFilter::Command::Quit && quit_.function != nullptr) {
        quit_.function(quit_.object);
    }
}

void Console::input_ended(int error) noexcept {
    if (!line_->reconnects()) {
        log_.debug("{}: the input has ended", name_.words);
    } else if (error != 0 || hung_up_) {
        hang_up();
    }
    // Otherwise a client has closed its sending half and may still read.
}

void Console::line_hung_up() noexcept {
    peer_gone();
}

void Console::peer_gone() noexcept {
    hung_up_ = true;
    if (input_.active()) {
        input_.read_to_end();  // input_ended() follows
    } else {
        hang_up();
    }
}

void Console::hang_up() noexcept {
    if (state_ == State::Connected) {
        state_ = State::HangingUp;
        output_.disconnect();
        input_.stop();
        settle();
    }
}

void Console::finish(io::Task& done) noexcept {
    done_ = &done;
    if (state_ == State::Unopened) {
        start();
    }
    input_.stop();
    settle();
}

void Console::abandon() noexcept {
    abandoned_ = true;
    output_.discard();
    settle();
}

void Console::settle() noexcept {
    if (std::exchange(settling_, true)) {
        return;
    }
    settle_hang_up();
    settle_finish();
    settling_ = false;
}

void Console::settle_hang_up() noexcept {
    if (state_ != State::HangingUp || !output_.idle() || !input_.idle()) {
        return;
    }
    state_ = State::Waiting;
    hung_up_ = false;
    if (!abandoned_) {
        output_.keep_latest();
    }
    if (done_ == nullptr) {
        line_->drop_peer();
    }
}

void Console::settle_finish() noexcept {
    if (done_ == nullptr || state_ == State::HangingUp) {
        return;
    }
    if (!closing_) {
        if (state_ == State::Connected &&
            !(output_.empty() && (abandoned_ || line_->delivered()))) {
            return;
        }
        closing_ = true;
        output_.discard();  // what nobody came for
        output_.disconnect();
        line_->close();
    }
    if (output_.idle() && input_.idle() && line_->idle()) {
        leave_raw_mode();
        loop_.post(*std::exchange(done_, nullptr));
    }
}

}  // namespace cxlvm
