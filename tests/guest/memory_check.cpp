// SPDX-License-Identifier: Apache-2.0
// memory_check PERCENT: writes a value of its own into every cache line of that share of the
// available memory, then reads all of them back. Two guest pages that share a host page, or a page
// that is lost, cannot escape it.
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace {

constexpr std::size_t kLine = 64;  // bytes
constexpr std::size_t kStep = kLine / sizeof(std::uint64_t);

std::uint64_t available_bytes() {
    std::FILE* file = std::fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];
    while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
        if (std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            break;
        }
    }
    if (file != nullptr) {
        static_cast<void>(std::fclose(file));
    }
    return kib << 10U;
}

constexpr std::uint64_t value_of(std::size_t index) {
    return (index + 1) * 0x9e37'79b9'7f4a'7c15;
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const std::uint64_t percent =
        arguments.size() == 2 ? std::strtoull(arguments[1], nullptr, 10) : 0;
    if (percent == 0 || percent > 100) {
        std::fputs("usage: memory_check PERCENT\n", stderr);
        return 2;
    }
    const std::uint64_t size = available_bytes() / 100 * percent & ~std::uint64_t{0xfff};
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (size == 0 || address == MAP_FAILED) {
        std::perror("memory_check: mmap");
        return 1;
    }
    const std::span words(static_cast<std::uint64_t*>(address), size / sizeof(std::uint64_t));
    for (std::size_t i = 0; i < words.size(); i += kStep) {
        words[i] = value_of(i);
    }
    std::printf("memory_check: wrote %llu MiB\n", static_cast<unsigned long long>(size >> 20U));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < words.size(); i += kStep) {
        if (words[i] != value_of(i)) {
            if (++wrong == 1) {
                std::printf("memory_check: offset %#zx holds %#llx\n", i * sizeof(std::uint64_t),
                            static_cast<unsigned long long>(words[i]));
            }
        }
    }
    if (wrong != 0) {
        std::printf("memory_check: FAIL: %zu lines are wrong\n", wrong);
        return 1;
    }
    std::printf("memory_check: PASS: %llu MiB\n", static_cast<unsigned long long>(size >> 20U));
    return 0;
}
