// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/blake2b.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace cxlvm::boot {

namespace {

using Words = std::array<std::uint64_t, 16>;

// RFC 7693, 2.6: the first 64 bits of the fractions of the square roots of the first primes.
constexpr std::array<std::uint64_t, 8> kInitial{
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// RFC 7693, 2.7: which message word goes where in each round; rounds 10 and 11 repeat 0 and 1.
constexpr std::array<std::array<std::uint8_t, 16>, 10> kSchedule{{
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}};

constexpr std::size_t kRounds = 12;

// RFC 7693, 3.1. Everything is a constant but the words, so that the state stays in registers.
template <std::size_t A, std::size_t B, std::size_t C, std::size_t D>
inline void mix(Words& v, std::uint64_t x, std::uint64_t y) noexcept {
    v[A] = v[A] + v[B] + x;
    v[D] = std::rotr(v[D] ^ v[A], 32);
    v[C] = v[C] + v[D];
    v[B] = std::rotr(v[B] ^ v[C], 24);
    v[A] = v[A] + v[B] + y;
    v[D] = std::rotr(v[D] ^ v[A], 16);
    v[C] = v[C] + v[D];
    v[B] = std::rotr(v[B] ^ v[C], 63);
}

template <std::size_t Round>
inline void round(Words& v, const Words& m) noexcept {
    constexpr auto& kOrder = kSchedule[Round % kSchedule.size()];
    mix<0, 4, 8, 12>(v, m[kOrder[0]], m[kOrder[1]]);
    mix<1, 5, 9, 13>(v, m[kOrder[2]], m[kOrder[3]]);
    mix<2, 6, 10, 14>(v, m[kOrder[4]], m[kOrder[5]]);
    mix<3, 7, 11, 15>(v, m[kOrder[6]], m[kOrder[7]]);
    mix<0, 5, 10, 15>(v, m[kOrder[8]], m[kOrder[9]]);
    mix<1, 6, 11, 12>(v, m[kOrder[10]], m[kOrder[11]]);
    mix<2, 7, 8, 13>(v, m[kOrder[12]], m[kOrder[13]]);
    mix<3, 4, 9, 14>(v, m[kOrder[14]], m[kOrder[15]]);
}

}  // namespace

std::string to_hex(const Digest& digest) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * digest.size());
    for (const std::byte byte : digest) {
        text.push_back(kDigits[std::to_integer<std::size_t>(byte >> 4)]);
        text.push_back(kDigits[std::to_integer<std::size_t>(byte & std::byte{15})]);
    }
    return text;
}

Blake2b::Blake2b() noexcept : chain_(kInitial) {
    // RFC 7693, 2.5: digest size, no key, fanout and depth 1.
    chain_[0] ^= 0x0101'0000 ^ std::uint64_t{sizeof(Digest)};
}

void Blake2b::compress(const std::byte* block, bool last) noexcept {
    Words m;
    std::memcpy(m.data(), block, sizeof(m));
    Words v;
    std::copy(chain_.begin(), chain_.end(), v.begin());
    std::copy(kInitial.begin(), kInitial.end(), v.begin() + 8);
    v[12] ^= count_;
    v[14] ^= last ? ~std::uint64_t{0} : 0;
    [&]<std::size_t... Round>(std::index_sequence<Round...>) {
        (round<Round>(v, m), ...);
    }
    (std::make_index_sequence<kRounds>());
    for (std::size_t i = 0; i < chain_.size(); ++i) {
        chain_[i] ^= v[i] ^ v[i + 8];
    }
}

void Blake2b::update(std::span<const std::byte> bytes) noexcept {
    // The last block is compressed by finish(), so a full one waits until more bytes follow it.
    while (!bytes.empty()) {
        if (pending_size_ == kBlockSize) {
            count_ += kBlockSize;
            compress(pending_.data(), false);
            pending_size_ = 0;
        }
        while (pending_size_ == 0 && bytes.size() > kBlockSize) {
            count_ += kBlockSize;
            compress(bytes.data(), false);
            bytes = bytes.subspan(kBlockSize);
        }
        const std::size_t part = std::min(bytes.size(), kBlockSize - pending_size_);
        std::memcpy(pending_.data() + pending_size_, bytes.data(), part);
        pending_size_ += part;
        bytes = bytes.subspan(part);
    }
}

Digest Blake2b::finish() noexcept {
    count_ += pending_size_;
    std::memset(pending_.data() + pending_size_, 0, kBlockSize - pending_size_);
    compress(pending_.data(), true);
    Digest digest;
    std::memcpy(digest.data(), chain_.data(), digest.size());
    return digest;
}

Digest Blake2b::of(std::span<const std::byte> bytes) noexcept {
    Blake2b hash;
    hash.update(bytes);
    return hash.finish();
}

}  // namespace cxlvm::boot
