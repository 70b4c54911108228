// SPDX-License-Identifier: Apache-2.0
// pattern SEED BYTES: writes that many pseudo-random bytes, the same for the same seed.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (arguments.size() != 3) {
        std::fputs("usage: pattern SEED BYTES\n", stderr);
        return 2;
    }
    std::uint64_t state = std::strtoull(arguments[1], nullptr, 10) * 0x9e37'79b9'7f4a'7c15 + 1;
    std::uint64_t left = std::strtoull(arguments[2], nullptr, 10);
    std::array<unsigned char, 4096> block{};
    while (left > 0) {
        for (auto& byte : block) {
            state ^= state << 13U;  // xorshift64
            state ^= state >> 7U;
            state ^= state << 17U;
            byte = static_cast<unsigned char>(state >> 56U);
        }
        std::span<const unsigned char> rest(block.data(),
                                            std::min<std::uint64_t>(left, block.size()));
        left -= rest.size();
        while (!rest.empty()) {
            const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
            if (written <= 0) {
                std::perror("pattern");
                return 1;
            }
            rest = rest.subspan(static_cast<std::size_t>(written));
        }
    }
    return 0;
}
