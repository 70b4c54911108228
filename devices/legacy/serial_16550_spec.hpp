// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "devices/register.hpp"
#include "devices/register_file.hpp"

/// What the PC16550D data sheet (National Semiconductor, June 1995) says: section 8, "Registers",
/// and its Table II, "Summary of Registers".
namespace cxlvm::uart {

// Register addresses (Table I). Several registers share one.
enum class Offset : std::uint8_t {
    Data = 0,             ///< RBR (read) and THR (write); DLL while DLAB is set
    InterruptEnable = 1,  ///< IER; DLM while DLAB is set
    Identification = 2,   ///< IIR (read) and FCR (write)
    LineControl = 3,
    ModemControl = 4,
    LineStatus = 5,
    ModemStatus = 6,
    Scratch = 7,
};
inline constexpr std::uint64_t kPorts = 8;

// IER, 8.7.
inline constexpr Field<bool, 0, 0> kIerData;         ///< received data, and time-out
inline constexpr Field<bool, 1, 1> kIerTransmitter;  ///< transmitter holding register empty
inline constexpr Field<bool, 2, 2> kIerLineStatus;
inline constexpr Field<bool, 3, 3> kIerModemStatus;

// IIR, 8.6. Bit 0 is 0 while an interrupt is pending.
inline constexpr Field<std::uint8_t, 3, 0> kIirId;
inline constexpr Field<std::uint8_t, 7, 6> kIirFifos;  ///< both set while the FIFOs are on
/// Values of kIirId, by falling priority (Table IV).
enum class InterruptId : std::uint8_t {
    LineStatus = 0b0110,
    DataAvailable = 0b0100,
    CharacterTimeout = 0b1100,
    TransmitterEmpty = 0b0010,
    ModemStatus = 0b0000,
    None = 0b0001,
};

// FCR, 8.5.
inline constexpr Field<bool, 0, 0> kFcrEnable;
inline constexpr Field<bool, 1, 1> kFcrClearReceiver;     ///< clears itself
inline constexpr Field<bool, 2, 2> kFcrClearTransmitter;  ///< clears itself
inline constexpr Field<std::uint8_t, 7, 6> kFcrTrigger;

// LCR, 8.1.
inline constexpr Field<bool, 7, 7> kLcrDivisorLatch;  ///< DLAB

// MCR, 8.8.
inline constexpr Field<bool, 0, 0> kMcrDtr;
inline constexpr Field<bool, 1, 1> kMcrRts;
inline constexpr Field<bool, 2, 2> kMcrOut1;
inline constexpr Field<bool, 3, 3> kMcrOut2;
inline constexpr Field<bool, 4, 4> kMcrLoop;

// LSR, 8.4.
inline constexpr Field<bool, 0, 0> kLsrDataReady;
inline constexpr Field<bool, 1, 1> kLsrOverrun;
inline constexpr Field<bool, 5, 5> kLsrTransmitterHolding;  ///< THRE
inline constexpr Field<bool, 6, 6> kLsrTransmitterEmpty;    ///< TEMT

// MSR, 8.9. The low half says which line of the high half has changed.
inline constexpr Field<bool, 0, 0> kMsrDeltaCts;
inline constexpr Field<bool, 1, 1> kMsrDeltaDsr;
inline constexpr Field<bool, 2, 2> kMsrTrailingRi;  ///< RI went from on to off
inline constexpr Field<bool, 3, 3> kMsrDeltaDcd;
inline constexpr Field<bool, 4, 4> kMsrCts;
inline constexpr Field<bool, 5, 5> kMsrDsr;
inline constexpr Field<bool, 6, 6> kMsrRi;
inline constexpr Field<bool, 7, 7> kMsrDcd;

// The registers that keep what is written, in Table II's order; reset values from Table III. The
// divisor has none there: 1 (115200 baud) is what firmware leaves behind, and 0 would make a
// driver divide by zero.
// clang-format off
inline constexpr RegisterSpec kIer{.offset = 1, .width = 1, .reset = 0x00,
    .writable = mask_of<std::uint8_t>(kIerData, kIerTransmitter, kIerLineStatus, kIerModemStatus)};
inline constexpr RegisterSpec kLcr{.offset = 3, .width = 1, .reset = 0x00, .writable = 0xff};
inline constexpr RegisterSpec kMcr{.offset = 4, .width = 1, .reset = 0x00,
    .writable = mask_of<std::uint8_t>(kMcrDtr, kMcrRts, kMcrOut1, kMcrOut2, kMcrLoop)};
inline constexpr RegisterSpec kScr{.offset = 7, .width = 1, .reset = 0x00, .writable = 0xff};
inline constexpr RegisterSpec kDll{.offset = 0, .width = 1, .reset = 0x01, .writable = 0xff};
inline constexpr RegisterSpec kDlm{.offset = 1, .width = 1, .reset = 0x00, .writable = 0xff};
// clang-format on

}  // namespace cxlvm::uart
