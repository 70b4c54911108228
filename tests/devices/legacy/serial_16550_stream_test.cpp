// SPDX-License-Identifier: Apache-2.0
// The two byte streams between the guest and the host.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "devices/legacy/serial_16550.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/fake_character_host.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm {
namespace {

using test::read8;
using test::write8;

constexpr std::uint64_t kData = 0;
constexpr std::uint64_t kIer = 1;
constexpr std::uint64_t kIir = 2;
constexpr std::uint64_t kFcr = 2;
constexpr std::uint64_t kMcr = 4;
constexpr std::uint64_t kLsr = 5;

constexpr unsigned kThreAndTemt = 0x60;

class SerialStreamTest : public testing::Test {
  protected:
    SerialStreamTest() {
        write8(serial_, kFcr, 0x01);
        write8(serial_, kMcr, 0x08);
    }
    std::size_t receive(std::string_view text) {
        return serial_.receive(std::as_bytes(std::span(text)));
    }
    void send(std::string_view text) {
        for (const char c : text) {
            write8(serial_, kData, static_cast<unsigned char>(c));
        }
    }
    std::string read_all() {
        std::string text;
        while ((*read8(serial_, kLsr) & 1U) != 0) {
            text.push_back(static_cast<char>(*read8(serial_, kData)));
        }
        return text;
    }
    unsigned transmitter() { return *read8(serial_, kLsr) & kThreAndTemt; }

    io::Log log_{2, io::LogLevel::Off};
    test::FakeCharacterHost host_;
    test::FakeIrqLine irq_;
    Serial16550 serial_{host_, irq_, log_};
};

TEST_F(SerialStreamTest, PassesEachByteToTheHostAtOnce) {
    send("hello");
    EXPECT_EQ(host_.output(), "hello");
    EXPECT_EQ(host_.writes(), 5U);
    EXPECT_EQ(transmitter(), kThreAndTemt);
    EXPECT_EQ(serial_.pending_output(), 0U);
}

TEST_F(SerialStreamTest, HoldsOutputAndClearsThreWhileTheHostIsFull) {
    host_.set_room(2);
    send("abcd");
    EXPECT_EQ(host_.output(), "ab");
    EXPECT_EQ(transmitter(), 0U);
    EXPECT_EQ(serial_.pending_output(), 2U);
    EXPECT_EQ(host_.writes(), 3U) << "a full host is not asked again";

    host_.set_room(test::FakeCharacterHost::kUnlimited);
    serial_.output_ready();
    EXPECT_EQ(host_.output(), "abcd");
    EXPECT_EQ(transmitter(), kThreAndTemt);
}

TEST_F(SerialStreamTest, GoesOnFromWhereAHostThatTakesALittleStopped) {
    host_.set_room(0);
    send("0123456789");
    for (unsigned i = 0; i < 5; ++i) {
        host_.set_room(2);
        serial_.output_ready();
        EXPECT_EQ(serial_.pending_output(), 8U - 2U * i);
    }
    EXPECT_EQ(host_.output(), "0123456789");
}

TEST_F(SerialStreamTest, InterruptsWhenTheHostHasTakenAllThatWasHeld) {
    write8(serial_, kIer, 0x02);
    read8(serial_, kIir);
    host_.set_room(0);
    ASSERT_EQ(irq_.take_pulses(), 1U) << "from enabling the interrupt";
    send("ab");
    EXPECT_EQ(irq_.take_pulses(), 0U);
    EXPECT_EQ(read8(serial_, kIir), 0xc1U);
    host_.set_room(1);
    serial_.output_ready();
    EXPECT_EQ(irq_.take_pulses(), 0U);
    host_.set_room(1);
    serial_.output_ready();
    EXPECT_EQ(irq_.take_pulses(), 1U);
    EXPECT_EQ(read8(serial_, kIir), 0xc2U);
}

TEST_F(SerialStreamTest, LosesAndCountsWhatIsWrittenIntoAFullTransmitter) {
    host_.set_room(0);
    send("0123456789abcdefXY");
    EXPECT_EQ(serial_.pending_output(), 16U);
    EXPECT_EQ(serial_.lost_output(), 2U);
    host_.set_room(test::FakeCharacterHost::kUnlimited);
    serial_.output_ready();
    EXPECT_EQ(host_.output(), "0123456789abcdef");
}

TEST_F(SerialStreamTest, HoldsOneByteWithoutFifos) {
    write8(serial_, kFcr, 0x00);
    host_.set_room(0);
    send("ab");
    EXPECT_EQ(serial_.pending_output(), 1U);
    EXPECT_EQ(serial_.lost_output(), 1U);
    EXPECT_EQ(receive("xy"), 1U);
}

TEST_F(SerialStreamTest, DropsHeldOutputWhenTheGuestClearsTheTransmitter) {
    host_.set_room(0);
    send("gone");
    write8(serial_, kFcr, 0x05);
    EXPECT_EQ(transmitter(), kThreAndTemt);
    host_.set_room(test::FakeCharacterHost::kUnlimited);
    serial_.output_ready();
    send("kept");
    EXPECT_EQ(host_.output(), "kept");
}

/// A host in whose first call something else happens, as if another thread did it: the device calls
/// with no lock held.
class InterruptedHost final : public CharacterHost {
  public:
    std::size_t write(std::span<const std::byte> data) noexcept override {
        EXPECT_FALSE(busy_) << "two threads are sending at once";
        busy_ = true;
        const std::size_t taken = calls_++ == 0 ? meanwhile(data.size()) : data.size();
        for (const std::byte value : data.first(taken)) {
            output_.push_back(static_cast<char>(value));
        }
        busy_ = false;
        return taken;
    }
    void input_ready() noexcept override {}

    /// Is given how many bytes there are; returns how many are taken.
    std::function<std::size_t(std::size_t)> meanwhile;
    [[nodiscard]] const std::string& output() const { return output_; }

  private:
    std::string output_;
    unsigned calls_ = 0;
    bool busy_ = false;
};

class SerialDrainTest : public testing::Test {
  protected:
    SerialDrainTest() { write8(serial_, kFcr, 0x01); }

    io::Log log_{2, io::LogLevel::Off};
    InterruptedHost host_;
    test::FakeIrqLine irq_;
    Serial16550 serial_{host_, irq_, log_};
};

TEST_F(SerialDrainTest, NoticesRoomThatAppearsWhileTheHostRefuses) {
    host_.meanwhile = [this](std::size_t) {
        serial_.output_ready();
        return 0;
    };
    write8(serial_, kData, 'a');
    EXPECT_EQ(host_.output(), "a");
    EXPECT_EQ(serial_.pending_output(), 0U);
}

TEST_F(SerialDrainTest, QueuesWhatAnotherVcpuWritesWhileItIsSending) {
    host_.meanwhile = [this](std::size_t size) {
        EXPECT_EQ(*read8(serial_, kLsr) & kThreAndTemt, 0U);
        write8(serial_, kData, 'b');
        write8(serial_, kData, 'c');
        return size;
    };
    write8(serial_, kData, 'a');
    EXPECT_EQ(host_.output(), "abc");
    EXPECT_EQ(*read8(serial_, kLsr) & kThreAndTemt, kThreAndTemt);
}

TEST_F(SerialDrainTest, SendsWhatIsWrittenAfterTheTransmitterWasClearedUnderIt) {
    host_.meanwhile = [this](std::size_t size) {
        write8(serial_, kFcr, 0x05);
        write8(serial_, kData, 'b');
        return size;
    };
    write8(serial_, kData, 'a');
    EXPECT_EQ(host_.output(), "ab");
}

TEST_F(SerialDrainTest, SendsWhatIsWrittenAfterAResetUnderIt) {
    host_.meanwhile = [this](std::size_t size) {
        serial_.reset();
        write8(serial_, kData, 'b');
        return size;
    };
    write8(serial_, kData, 'a');
    EXPECT_EQ(host_.output(), "ab");
}

TEST_F(SerialDrainTest, GivesAnEdgeToAVcpuThatSawNothingPendingWhileItWasSending) {
    write8(serial_, kMcr, 0x08);
    write8(serial_, kIer, 0x02);
    ASSERT_EQ(irq_.take_pulses(), 1U);
    host_.meanwhile = [this](std::size_t size) {
        EXPECT_EQ(read8(serial_, kIir), 0xc1U);
        return size;
    };
    write8(serial_, kData, 'a');
    EXPECT_EQ(irq_.take_pulses(), 1U);
}

TEST_F(SerialStreamTest, TakesInputUpToItsFifoAndAsksForMoreWhenTheGuestHasReadIt) {
    EXPECT_EQ(receive("0123456789abcdefgh"), 16U);
    EXPECT_EQ(receive("gh"), 0U);
    for (unsigned i = 0; i < 15; ++i) {
        read8(serial_, kData);
        EXPECT_EQ(host_.input_ready_calls(), 0U);
    }
    read8(serial_, kData);
    EXPECT_EQ(host_.input_ready_calls(), 1U);
    EXPECT_EQ(receive("gh"), 2U);
    EXPECT_EQ(read_all(), "gh");
    EXPECT_EQ(host_.input_ready_calls(), 1U) << "nothing was refused";
}

TEST_F(SerialStreamTest, AsksForInputAgainAfterTheGuestClearsTheReceiver) {
    ASSERT_EQ(receive("0123456789abcdefgh"), 16U);
    write8(serial_, kFcr, 0x03);
    EXPECT_EQ(host_.input_ready_calls(), 1U);
    EXPECT_EQ(read_all(), "");
}

TEST_F(SerialStreamTest, TakesNoInputInLoopbackAndAsksForItAfterwards) {
    write8(serial_, kMcr, 0x18);
    EXPECT_EQ(receive("x"), 0U);
    EXPECT_EQ(host_.input_ready_calls(), 0U);
    write8(serial_, kMcr, 0x08);
    EXPECT_EQ(host_.input_ready_calls(), 1U);
    EXPECT_EQ(receive("x"), 1U);
}

TEST_F(SerialStreamTest, RemembersARefusalWhenItIsOfferedNothing) {
    ASSERT_EQ(receive("0123456789abcdefgh"), 16U);
    EXPECT_EQ(receive(""), 0U);
    read_all();
    EXPECT_EQ(host_.input_ready_calls(), 1U);
}

TEST_F(SerialStreamTest, AsksForInputAgainAfterAReset) {
    ASSERT_EQ(receive("0123456789abcdefgh"), 16U);
    serial_.reset();
    EXPECT_EQ(host_.input_ready_calls(), 1U);
    EXPECT_EQ(receive("g"), 1U);
}

TEST_F(SerialStreamTest, SendsAgainAfterAResetThatFoundTheHostFull) {
    host_.set_room(0);
    send("lost");
    serial_.reset();
    EXPECT_EQ(serial_.pending_output(), 0U);
    host_.set_room(test::FakeCharacterHost::kUnlimited);
    send("x");
    EXPECT_EQ(host_.output(), "x");
}

TEST_F(SerialStreamTest, CarriesAMebibyteBothWaysWithoutAllocating) {
    constexpr std::size_t kSize = 1 << 20;
    host_.reserve(kSize);
    std::string in;
    in.reserve(kSize);
    std::string source(kSize, '\0');
    for (std::size_t i = 0; i < kSize; ++i) {
        source[i] = static_cast<char>(i * 31 + i / 251);
    }
    write8(serial_, kIer, 0x03);

    const test::AllocationCounter allocations;
    for (std::size_t i = 0; i < kSize;) {
        i += receive(std::string_view(source).substr(i, 40));
        while ((*read8(serial_, kLsr) & 1U) != 0) {
            const auto value = *read8(serial_, kData);
            in.push_back(static_cast<char>(value));
            write8(serial_, kData, value);
        }
        read8(serial_, kIir);
    }
    EXPECT_EQ(allocations.count(), 0U);
    EXPECT_EQ(in, source);
    EXPECT_EQ(host_.output(), source);
}

/// A host during whose every call another processor writes one more byte, whatever THRE says.
class InsistingHost final : public CharacterHost {
  public:
    explicit InsistingHost(std::size_t most) : most_(most) {}
    std::size_t write(std::span<const std::byte> data) noexcept override {
        ++calls_;
        if (serial_ != nullptr && calls_ < most_) {
            test::write8(*serial_, 0, 'x');
        }
        return data.size();
    }
    void input_ready() noexcept override {}
    void insist_on(Serial16550& serial) noexcept { serial_ = &serial; }
    [[nodiscard]] std::size_t calls() const noexcept { return calls_; }

  private:
    std::size_t most_;
    Serial16550* serial_ = nullptr;
    std::size_t calls_ = 0;
};

TEST(SerialDrain, ADrainerDoesNotSendForEverForAGuestThatIgnoresTheStatus) {
    constexpr std::size_t kForEver = 100'000;
    InsistingHost host(kForEver);
    test::FakeIrqLine irq;
    io::Log log(-1, io::LogLevel::Off);
    Serial16550 serial(host, irq, log);
    host.insist_on(serial);
    test::write8(serial, 2, 0x01);
    test::write8(serial, 0, 'x');
    EXPECT_LT(host.calls(), 1000U);
    EXPECT_GT(serial.lost_output(), 0U) << "the guest's fault, and counted";
    EXPECT_EQ(serial.pending_output(), 0U);

    // The transmitter is as good as new.
    const std::uint64_t lost = serial.lost_output();
    const std::size_t calls = host.calls();
    test::write8(serial, 0, 'y');
    EXPECT_GT(host.calls(), calls);
    EXPECT_GE(serial.lost_output(), lost);
    EXPECT_EQ(serial.pending_output(), 0U);
}

}  // namespace
}  // namespace cxlvm
