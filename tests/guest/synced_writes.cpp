// SPDX-License-Identifier: Apache-2.0
// synced_writes write FILE [direct]: fills FILE block by block, round and round; behind each
// fsync(2)
//     it prints "synced N" for the N blocks that were written so far, over all rounds.
// synced_writes check FILE N: whether FILE has at least what it had when N was printed.
//
// Block n of round r holds the number r * blocks + n + 1 in every word, so that a block that is
// missing, torn or older than it may be shows.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

namespace {

constexpr std::uint64_t kBlocks = 64;
constexpr std::size_t kBlockSize = 4096;

struct alignas(4096) Block {
    std::array<std::uint64_t, kBlockSize / sizeof(std::uint64_t)> words;
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

int write_blocks(const char* path, bool direct) {
    const int file = ::open(path, O_RDWR | (direct ? O_DIRECT : 0));
    if (file < 0) {
        fail(path);
    }
    static Block block;
    for (std::uint64_t number = 0;; ++number) {
        block.words.fill(number + 1);
        const auto offset = static_cast<off_t>(number % kBlocks * kBlockSize);
        if (::pwrite(file, &block, sizeof(block), offset) != sizeof(block) || ::fsync(file) != 0) {
            fail("write");
        }
        std::printf("synced %llu\n", static_cast<unsigned long long>(number + 1));
        std::fflush(stdout);
    }
}

int check_blocks(const char* path, std::uint64_t synced) {
    const int file = ::open(path, O_RDONLY);
    if (file < 0) {
        fail(path);
    }
    static Block block;
    for (std::uint64_t n = 0; n < std::min(synced, kBlocks); ++n) {
        const auto offset = static_cast<off_t>(n * kBlockSize);
        if (::pread(file, &block, sizeof(block), offset) != sizeof(block)) {
            fail("read");
        }
        // The last round in which block n was synced, and any later one: the next was perhaps on
        // its way.
        const std::uint64_t least = (synced - 1 - n) / kBlocks * kBlocks + n + 1;
        const std::uint64_t word = block.words.front();
        const bool whole = std::all_of(block.words.begin(), block.words.end(),
                                       [word](std::uint64_t other) { return other == word; });
        if (!whole || word < least || word % kBlocks != (n + 1) % kBlocks) {
            std::printf("block %llu holds %llu%s, and at least %llu was synced\n",
                        static_cast<unsigned long long>(n), static_cast<unsigned long long>(word),
                        whole ? "" : " in part", static_cast<unsigned long long>(least));
            return 1;
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const std::string_view command = argc > 2 ? arguments[1] : "";
    if (command == "write") {
        return write_blocks(arguments[2], argc > 3);
    }
    if (command == "check" && argc == 4) {
        return check_blocks(arguments[2], std::strtoull(arguments[3], nullptr, 10));
    }
    std::fputs("usage: synced_writes write FILE [direct] | check FILE N\n", stderr);
    return 2;
}
