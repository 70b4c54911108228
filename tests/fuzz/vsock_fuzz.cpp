// SPDX-License-Identifier: Apache-2.0
// Gives a virtio socket device arbitrary packets, rings whose bytes change at any moment, and
// clients and services on the host that come, write, read and go, with resets at any moment, and
// checks what must hold whatever a driver does. The input is a list of operations.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/vsock/vsock_device.hpp"
#include "io/error.hpp"
#include "io/event_loop.hpp"
#include "io/fd.hpp"
#include "io/log.hpp"
#include "io/unix_listener.hpp"
#include "memory/guest_memory.hpp"
#include "tests/fuzz/script.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio::vsock {
namespace {

using test::Script;

constexpr std::uint16_t kRing = 16;
constexpr std::uint32_t kCid = 3;
constexpr std::uint32_t kService = 22;  ///< the port where somebody listens
constexpr std::uint64_t kReceiveBuffers = 0x4'0000;
constexpr std::uint64_t kTransmitBuffers = 0x5'0000;
constexpr std::uint32_t kBuffer = 0x1000;

GuestMemory& memory() {
    static GuestMemory memory(test::two_blocks());
    return memory;
}

io::EventLoop& loop() {
    static io::EventLoop loop({.entries = 64, .name = "fuzz"});
    return loop;
}

/// Of this process, and removed with it.
class Folder {
  public:
    Folder() {
        std::string name = "/tmp/vsockfuzzXXXXXX";
        io::check(::mkdtemp(name.data()) != nullptr, "no folder for sockets");
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string socket() const { return path_ + "/s"; }

  private:
    std::string path_;
};

const Folder& folder() {
    static Folder folder;
    return folder;
}

class FakeHost final : public DeviceHost {
  public:
    void notify_queue(std::uint16_t queue) noexcept override {
        io::check(active && queue < kQueues, "a queue is announced out of turn");
    }
    void update_config(std::size_t /*offset*/,
                       std::span<const std::byte> /*data*/) noexcept override {
        io::check(false, "the configuration does not change");
    }
    void fail(const char* why) noexcept override {
        io::check(why != nullptr, "a failure needs a reason");
    }
    void reset_done() noexcept override {
        io::check(active, "a reset ends twice");
        active = false;
    }
    bool active = false;
};

class Machine {
  public:
    Machine() {
        device_.attach(host_);
        for (const QueueLimits& limits : device_.queues()) {
            rings_.emplace_back(memory(), limits);
        }
        io::check(::fcntl(service_.fd(), F_SETFL, O_NONBLOCK) == 0, "fcntl");
    }

    void begin() {
        std::ranges::fill(memory().span(Gpa(0), kReceiveBuffers).value(), std::byte{0});
        drivers_.clear();
        for (std::size_t i = 0; i < kQueues; ++i) {
            drivers_.emplace_back(memory(), std::min(kRing, rings_[i].max_size()),
                                  0x1000 + 0xa000 * i);
            rings_[i].stop();
            io::check(rings_[i].start(drivers_[i].setup(false, true)), "a ring does not start");
        }
        host_.active = true;
        io::check(device_.activate({.features = kFeatureVersion1, .queues = rings_}),
                  "the device does not begin");
    }

    void step(Script& script) {
        const std::uint8_t op = script.next();
        switch (op % 16U) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
                send(script);
                break;
            case 5:
            case 6:
                give(script);
                break;
            case 7:
            case 8:
                run();
                break;
            case 9:
                greet(op / 16U);
                break;
            case 10:
                answer(op / 16U);
                break;
            case 11:
                write(script.next(), script.next16());
                break;
            case 12:
                read(script.next());
                break;
            case 13:
                leave(script.next(), op / 16U);
                break;
            case 14:
                store(script);
                break;
            default:
                reset();
                begin();
                break;
        }
    }

    void reset() {
        device_.reset();
        for (unsigned rounds = 0; host_.active; ++rounds) {
            io::check(rounds < 1'000'000, "a reset does not end");
            loop().run_ready();
        }
    }
    /// However it got here, nothing is left.
    void finish() {
        reset();
        for (const io::Fd& socket : sockets_) {
            std::array<char, 4096> data{};
            while (::recv(socket.get(), data.data(), data.size(), MSG_DONTWAIT) > 0) {
            }
            io::check(::recv(socket.get(), data.data(), data.size(), MSG_DONTWAIT) == 0 ||
                          errno != EAGAIN || early_ != 0,
                      "a connection outlives a reset");
        }
        sockets_.clear();
        early_ = 0;
        requested_ = {};
        scribbled_ = false;
        while (io::Fd(::accept4(service_.fd(), nullptr, nullptr, SOCK_CLOEXEC))) {
        }
    }

  private:
    void run() {
        for (int i = 0; i < 4; ++i) {
            loop().run_ready();
        }
        while (const auto used = drivers_[kReceiveQueue].take_used()) {
            look_at(*used);
        }
        if (io::Fd socket{::accept4(service_.fd(), nullptr, nullptr, SOCK_CLOEXEC)}) {
            sockets_.push_back(std::move(socket));
        }
    }

    /// What the device has sent, as long as the script has not overwritten it.
    void look_at(const UsedElement& used) {
        if (scribbled_ || used.id >= kRing) {
            return;
        }
        const auto header =
            drivers_[kReceiveQueue].load<PacketHeader>(kReceiveBuffers + kBuffer * used.id);
        io::check(used.length == kHeaderSize + header.len && used.length <= kBuffer,
                  "a packet is not as long as it says");
        io::check(header.dst_cid == kCid, "a packet is for somebody else");
        if (Op{header.op} == Op::Request) {
            requested_ = {.guest = header.dst_port, .host = header.src_port};
        }
    }

    void send(Script& script) {
        const std::uint8_t kind = script.next();
        PacketHeader header{};
        header.src_cid = kCid;
        header.dst_cid = kHostCid;
        header.type = kTypeStream;
        header.op = kind % 10U;
        header.src_port = script.next() % 8U;
        header.dst_port = (kind & 0x80U) != 0 ? 23 : kService;
        header.len = script.next16() % kBuffer;
        header.flags = script.next() % 8U;
        header.buf_alloc = std::uint32_t{script.next16()} * 4;
        header.fwd_cnt = script.next16();
        std::uint32_t size = kHeaderSize + header.len;
        const std::uint8_t spoil = script.next();
        switch (spoil) {
            case 1:
                header.src_cid = script.next16();
                break;
            case 2:
                header.type = script.next();
                break;
            case 3:
                header.op = script.next16();
                break;
            case 4:
                size = script.next16() % kBuffer;
                break;
            case 5:
                header.dst_port = 0xffff'ff00U | script.next();
                break;
            default:
                break;
        }
        if (spoil >= 0x80) {
            header.src_port = requested_.guest;
            header.dst_port = requested_.host;
        }
        put(header, size);
    }

    void answer(unsigned how) {
        PacketHeader header = make_header(how % 4 == 0 ? Op::Reset : Op::Response, {}, kCid);
        header.src_cid = kCid;
        header.dst_cid = kHostCid;
        header.src_port = requested_.guest;
        header.dst_port = requested_.host;
        header.buf_alloc = how * 4096;
        put(header, kHeaderSize);
    }

    void put(const PacketHeader& header, std::uint32_t size) {
        test::VirtioDriver& driver = drivers_[kTransmitQueue];
        const auto head = static_cast<std::uint16_t>(driver.avail_index() % kRing);
        const std::uint64_t base = kTransmitBuffers + std::uint64_t{kBuffer} * head;
        driver.store(base, header);
        driver.describe(head, {base, size, 0, 0});
        driver.make_available(head);
        device_.queue_notified(kTransmitQueue);
    }

    void give(Script& script) {
        test::VirtioDriver& driver = drivers_[kReceiveQueue];
        const std::uint8_t how = script.next();
        const auto head = static_cast<std::uint16_t>(driver.avail_index() % kRing);
        const std::uint64_t base = kReceiveBuffers + std::uint64_t{kBuffer} * head;
        const std::uint32_t size = how < 0xf0 ? kBuffer : how & 0x3fU;
        driver.describe(head, {base, size, kDescriptorWrite, 0});
        driver.make_available(head);
        device_.queue_notified(kReceiveQueue);
    }

    void greet(unsigned how) {
        static constexpr std::array<std::string_view, 8> kLines = {"CONNECT 1\n",
                                                                   "CONNECT 4294967294\nstream",
                                                                   "CONNECT 5\n",
                                                                   "CONN",
                                                                   "HELLO WORLD\n",
                                                                   "CONNECT 99999999999\n",
                                                                   "",
                                                                   "CONNECT 1\n"};
        io::Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const sockaddr_un address = *io::unix_address(folder().socket());
        if (sockets_.size() < 64 &&
            ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
                0) {
            const std::string_view line = kLines[how % kLines.size()];
            (void)::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
            sockets_.push_back(std::move(client));
            ++early_;  // it may still be in the backlog at the end
        }
    }

    void write(std::uint8_t which, std::uint16_t size) {
        static const std::string data(65536, 'w');
        if (!sockets_.empty()) {
            (void)::send(sockets_[which % sockets_.size()].get(), data.data(), size,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }

    void read(std::uint8_t which) {
        std::array<char, 8192> data{};
        if (!sockets_.empty()) {
            (void)::recv(sockets_[which % sockets_.size()].get(), data.data(), data.size(),
                         MSG_DONTWAIT);
        }
    }

    void leave(std::uint8_t which, unsigned how) {
        if (sockets_.empty()) {
            return;
        }
        const auto socket = sockets_.begin() + static_cast<std::ptrdiff_t>(which % sockets_.size());
        if (how % 3 == 0) {
            sockets_.erase(socket);
        } else {
            (void)::shutdown(socket->get(), how % 3 == 1 ? SHUT_WR : SHUT_RD);
        }
    }

    void store(Script& script) {
        std::uint64_t address = 0x1000 + std::uint64_t{script.next()} % 3 * 0xa000;
        address += script.next16() % 0x9000U;
        scribbled_ = true;
        for (std::size_t count = script.next() % 16U; count != 0; --count) {
            (void)memory().store(Gpa(address++), script.next());
        }
    }

    io::Log log_{2, io::LogLevel::Off};
    FakeHost host_;
    io::UnixListener service_{
        {.path = folder().socket() + "_" + std::to_string(kService), .option = "service"}};
    VsockDevice device_{{.cid = kCid, .path = folder().socket()}, loop(), log_};
    std::vector<SplitQueue> rings_;
    std::vector<test::VirtioDriver> drivers_;
    std::vector<io::Fd> sockets_;
    int early_ = 0;
    Ports requested_{};
    bool scribbled_ = false;
};

}  // namespace
}  // namespace cxlvm::virtio::vsock

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::test::Script script(std::span(data, size));
    static cxlvm::virtio::vsock::Machine machine;  // connections in plenty take time to make
    machine.begin();
    while (!script.done()) {
        machine.step(script);
    }
    machine.finish();
    return 0;
}
