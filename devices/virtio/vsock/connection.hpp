// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/virtio/split_queue.hpp"
#include "devices/virtio/vsock/credit.hpp"
#include "devices/virtio/vsock/greeting.hpp"
#include "devices/virtio/vsock/packet.hpp"
#include "devices/virtio/vsock/stream_buffer.hpp"
#include "io/event_loop.hpp"
#include "io/fd.hpp"
#include "io/operations.hpp"
#include "io/socket_operation.hpp"

namespace cxlvm::virtio::vsock {

/// A stream between a port of the guest's and a unix socket of the host's, or room for one. The
/// loop's thread alone.
///
/// Towards the host, a packet's payload is sent from where it lies; what the socket does not take
/// at once moves to a buffer, whose size is the guest's credit, so that no reader keeps a buffer of
/// the guest's. Towards the guest, the socket is read into a buffer of the guest's, when there is
/// something to read and the guest has room.
class Connection final {
  public:
    /// Calls come from within those to the connection, and call nothing of it.
    class Owner {
      public:
        /// A client on the host asks for a port of the guest's. The guest knows the connection by
        /// the ports returned, until it is detached.
        [[nodiscard]] virtual Ports attach(Connection& connection,
                                           std::uint32_t guest_port) noexcept = 0;
        /// wants_turn() has become true.
        virtual void want_turn(Connection& connection) noexcept = 0;
        /// tick() must be called from time to time, until it says otherwise.
        virtual void want_ticks() noexcept = 0;
        /// The chain of the transmit queue that handle() kept is done with.
        virtual void give_back_sent(std::uint16_t head) noexcept = 0;
        /// The chain of the receive queue that take_turn() kept: holds so many bytes, or is unused.
        virtual void give_back_received(const Chain& chain, std::uint32_t written) noexcept = 0;
        /// The guest may use the name for another connection.
        virtual void detached(Connection& connection) noexcept = 0;
        /// Nothing is in flight, and nothing is left of it.
        virtual void freed(Connection& connection) noexcept = 0;

      protected:
        Owner() = default;
        Owner(const Owner&) = default;
        Owner& operator=(const Owner&) = default;
        ~Owner() = default;
    };

    /// Everything outlives this, which must not be destroyed while anything is in flight.
    Connection(io::EventLoop& loop, Owner& owner, std::uint32_t guest_cid, std::uint16_t number,
               std::span<std::byte> buffer) noexcept
        : guest_cid_(guest_cid), number_(number), loop_(loop), owner_(owner), buffer_(buffer) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() = default;

    // Beginnings, of a free one.
    /// A client has come, and will say what it wants.
    void greet(io::Fd client) noexcept;
    /// The guest's `request` is granted; `host` is connected.
    void accept(const PacketHeader& request, Ports ports, io::Fd host) noexcept;

    /// A packet of the guest's that names this connection. True: the chain of `head` is kept.
    [[nodiscard]] bool handle(const Packet& packet, std::uint16_t head) noexcept;
    /// The guest sends what nobody may send: a reset ends the connection.
    void reject() noexcept { reset(false); }

    /// Whether there is something for the guest that it has room for.
    [[nodiscard]] bool wants_turn() const noexcept;
    /// Fills `chain`, of the receive queue, with a packet; it has room for more than a header, and
    /// this wants a turn. True: the chain is kept. Else it holds a header.
    [[nodiscard]] bool take_turn(const Chain& chain) noexcept;

    /// Ends what has been half open for kPatience ticks, and what the guest has done with when the
    /// host has taken nothing for kDrainPatience. Whether more ticks are needed.
    static constexpr unsigned kPatience = 3;
    static constexpr unsigned kDrainPatience = 60;
    [[nodiscard]] bool tick() noexcept;

    /// Ends at once, and says nothing to the guest.
    void abort() noexcept;

    [[nodiscard]] std::uint16_t number() const noexcept { return number_; }
    /// Whoever serves turns remembers here that this one waits for its turn.
    bool queued = false;

  private:
    enum class Phase : std::uint8_t {
        Free,
        Greeting,   ///< the client has not said yet which port it wants
        Requested,  ///< the guest has not answered yet
        Established,
        Resetting,  ///< the guest is to be told that this is the end
        Draining,   ///< the guest knows; the host has not taken all yet
        Closing,    ///< operations are in flight
    };
    /// What is on its way to the host.
    enum class Sending : std::uint8_t { Nothing, Answer, Chain, Buffer };
    // Packets without payload that the guest is to get, as bits.
    static constexpr unsigned kRequest = 1U << 0;
    static constexpr unsigned kResponse = 1U << 1;
    static constexpr unsigned kReset = 1U << 2;
    static constexpr unsigned kShutdown = 1U << 3;
    static constexpr unsigned kCreditUpdate = 1U << 4;
    static constexpr unsigned kCreditRequest = 1U << 5;

    struct State {
        Phase phase = Phase::Free;
        bool attached = false;  ///< the guest has a name for it
        Ports ports{};
        Credit credit;
        unsigned pending = 0;              ///< packets
        std::uint32_t host_shutdown = 0;   ///< kShutdown*: what the host will not do
        std::uint32_t guest_shutdown = 0;  ///< kShutdown*: what the guest will not do
        bool write_ended = false;          ///< the host knows that no more comes
        bool readable = false;             ///< the socket had something to read when last asked
        bool credit_asked = false;         ///< and no credit has come since
        bool drain = false;                ///< of Resetting: the host gets what is in the buffer
        unsigned ticks = 0;                ///< since the phase began, or the host took something
        Sending sending = Sending::Nothing;
        std::uint16_t sent_head = 0;      ///< of Sending::Chain
        std::span<iovec> sent_payload{};  ///< of Sending::Chain
        bool receiving = false;           ///< into `chain`
        Chain chain{};
        std::uint32_t wanted = 0;  ///< bytes that may be received into `chain`
        Greeting greeting{};
        std::array<char, kAnswerSize> answer{};
        std::span<char> answer_left{};
    };

    void on_received(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_sent(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_readable(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    void read_greeting() noexcept;
    void take_greeting(std::int32_t result) noexcept;

    [[nodiscard]] bool handle_established(const Packet& packet, std::uint16_t head) noexcept;

    // From the guest to the host.
    [[nodiscard]] bool take_data(const Packet& packet, std::uint16_t head) noexcept;
    void send_more() noexcept;
    void forwarded(std::size_t size) noexcept;
    void lose_reader() noexcept;
    void take_shutdown(std::uint32_t flags) noexcept;

    // From the host to the guest.
    [[nodiscard]] bool may_receive() const noexcept;
    void receive_next() noexcept;
    /// Writes the header of what was received. Bytes of the packet; 0 when there is none.
    [[nodiscard]] std::uint32_t finish_packet(std::int32_t result) noexcept;
    void take_received(std::int32_t result) noexcept;
    void take_end() noexcept;
    [[nodiscard]] bool hung_up() const noexcept;
    void pend(unsigned packet) noexcept;
    [[nodiscard]] PacketHeader make_packet(Op op) noexcept;
    [[nodiscard]] PacketHeader next_packet() noexcept;

    void reset(bool drain) noexcept;
    void end_reset() noexcept;
    void detach() noexcept;
    void cancel_all() noexcept;
    void settle() noexcept;

    // Configuration.
    const std::uint32_t guest_cid_;
    const std::uint16_t number_;
    // Wiring.
    io::EventLoop& loop_;
    Owner& owner_;
    // State.
    State state_;
    StreamBuffer buffer_;
    io::Fd host_;
    static constexpr std::size_t kReceiveSegments = 8;
    std::array<iovec, kReceiveSegments> receive_segments_{};
    std::array<iovec, 2> send_segments_{};
    io::SocketOp receive_{io::Completion::to<&Connection::on_received>(*this)};
    io::SocketOp send_{io::Completion::to<&Connection::on_sent>(*this)};
    io::PollOp poll_{io::Completion::to<&Connection::on_readable>(*this)};
};

}  // namespace cxlvm::virtio::vsock
