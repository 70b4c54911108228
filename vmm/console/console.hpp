// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "devices/character.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "vmm/console/input.hpp"
#include "vmm/console/line.hpp"
#include "vmm/console/output.hpp"
#include "vmm/console/terminal.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// Called on the loop's thread when the operator asks to end the VM, each time.
struct QuitHandler {
    void* object = nullptr;
    void (*function)(void* object) noexcept = nullptr;

    /// `Method` is `void T::method() noexcept`.
    template <auto Method, typename T>
    [[nodiscard]] static constexpr QuitHandler to(T& object) noexcept {
        return {&object, [](void* self) noexcept { (static_cast<T*>(self)->*Method)(); }};
    }
};

/// The host's end of a serial port or a virtio console, as SerialConfig says, served by an
/// EventLoop.
///
/// Output is never lost while its reader is there: what does not fit is left to the device, and
/// finish() waits for the last byte. A slow reader therefore slows the guest's output and nothing
/// else. When a reader of standard output or a file has gone for good, the rest is counted as lost
/// and the VM goes on. A pseudo-terminal and a socket keep the latest 64 KiB for whoever connects
/// next. The end of standard input ends the input, not the VM.
class Console final : public CharacterHost,
                      private ConsoleOutput::Owner,
                      private ConsoleInput::Owner,
                      private Line::Owner {
  public:
    /// Opens what `config` names; throws io::Error. `loop` and `log` must outlive the console.
    Console(const SerialConfig& config, io::EventLoop& loop, io::Log& log, QuitHandler quit = {},
            const ConsoleName& name = kSerialName);
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;
    /// After finish() has reported, or after the loop has stopped. Restores the terminal.
    ~Console();

    // Any thread.
    std::size_t write(std::span<const std::byte> data) noexcept override;
    void input_ready() noexcept override { input_.device_ready(); }
    /// Bytes of output that no reader took.
    [[nodiscard]] std::uint64_t lost() const noexcept { return output_.lost(); }
    /// Of the terminal at standard input, where it is the console's; nothing otherwise.
    [[nodiscard]] std::optional<TerminalSize> terminal_size() const noexcept {
        return terminal_ ? terminal_->size() : std::nullopt;
    }
    /// Name of the pseudo-terminal or the socket; empty otherwise.
    [[nodiscard]] const std::string& path() const noexcept { return line_->path(); }

    /// The guest's end. Once, before start().
    void attach(CharacterDevice& device) noexcept;

    // The loop's thread, or the constructing one before the loop runs.
    /// Makes the terminal raw, if it is one, and begins to serve. Output that was written before
    /// has been kept.
    void start() noexcept;
    /// Ends the input at once, writes everything that is queued, restores the terminal, and then
    /// posts `done`: nothing of the console is in use any more. For the time after the last
    /// write(). It takes as long as a connected reader takes to read; see abandon().
    void finish(io::Task& done) noexcept;
    /// Puts the terminal back as it was, for a program that is about to be stopped.
    void leave_terminal() noexcept { leave_raw_mode(); }
    /// Makes the terminal raw again, and reads it again. In its background it is left alone and not
    /// read, since the kernel would stop the program. No effect before start() and after finish().
    void take_terminal() noexcept;
    /// Counts all output that is still unwritten as lost, so that finish() need not wait for it.
    void abandon() noexcept;

  private:
    enum class State : std::uint8_t {
        Unopened,
        Waiting,    ///< for a peer, or none will ever come
        Connected,  ///< the peer reads and writes
        HangingUp,  ///< the peer has gone: its descriptors are being let go
    };

    void output_room() noexcept override;
    void output_settled() noexcept override { settle(); }
    void output_failed(int error) noexcept override;
    void input_command(EscapeFilter::Command command) noexcept override;
    void input_ended(int error) noexcept override;
    void input_settled() noexcept override;
    void line_up(int input, int output) noexcept override;
    void line_hung_up() noexcept override;
    void line_settled() noexcept override { settle(); }

    void enter_raw_mode() noexcept;
    void start_input(int fd) noexcept;
    void leave_raw_mode() noexcept;
    void peer_gone() noexcept;
    void hang_up() noexcept;
    /// Takes every step of hanging up and finishing that is due.
    void settle() noexcept;
    void settle_hang_up() noexcept;
    void settle_finish() noexcept;

    // Configuration and wiring.
    SerialConfig::Kind kind_;
    const ConsoleName name_;
    io::EventLoop& loop_;
    io::Log& log_;
    QuitHandler quit_;
    CharacterDevice* device_ = nullptr;
    std::optional<RawTerminal> terminal_;
    std::unique_ptr<Line> line_;
    ConsoleOutput output_;
    ConsoleInput input_;

    State state_ = State::Unopened;
    bool read_input_ = true;  ///< false: a terminal that we are in the background of
    bool hung_up_ = false;    ///< the peer has gone: reading what it left
    bool abandoned_ = false;
    bool closing_ = false;
    bool settling_ = false;     ///< guards settle() against the calls that it causes
    io::Task* done_ = nullptr;  ///< finish() was called
};

}  // namespace cxlvm
