// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/filler.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "io/bits.hpp"

namespace cxlvm::boot {

namespace {

constexpr std::uint64_t kPageSize = 4096;
/// Shorter runs of zeros cost less to copy than another segment to read.
constexpr std::uint64_t kWorthLeavingOut = 64U << 10;
/// Shorter filler is not worth a mapping, nor the huge page that the mapping breaks.
constexpr std::uint64_t kWorthMapping = 1U << 20;
/// Filler goes on behind no more than this of something else.
constexpr std::uint64_t kIsland = 4 * kPageSize;

/// Whole pages of one byte, relative to the segment's start.
struct Run {
    std::uint64_t begin;
    std::uint64_t end;
    bool zero;
};

bool is_uniform(std::span<const std::byte> page) noexcept {
    return std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

/// `skew` is where within a page the content begins.
std::vector<Run> uniform_runs(std::span<const std::byte> content, std::uint64_t skew) {
    std::vector<Run> runs;
    std::uint64_t at = io::align_up(skew, kPageSize) - skew;
    for (; at + kPageSize <= content.size(); at += kPageSize) {
        const auto page = content.subspan(at, kPageSize);
        if (!is_uniform(page)) {
            continue;
        }
        const bool zero = page.front() == std::byte{0};
        if (!runs.empty() && runs.back().end == at && runs.back().zero == zero) {
            runs.back().end += kPageSize;
        } else {
            runs.push_back({.begin = at, .end = at + kPageSize, .zero = zero});
        }
    }
    return runs;
}

/// The runs that are worth something, filler with its islands.
std::vector<Run> worthwhile(const std::vector<Run>& runs) {
    std::vector<Run> joined;
    for (const Run& run : runs) {
        if (run.zero) {
            if (run.end - run.begin >= kWorthLeavingOut) {
                joined.push_back(run);
            }
        } else if (!joined.empty() && !joined.back().zero &&
                   run.begin - joined.back().end <= kIsland) {
            joined.back().end = run.end;
        } else {
            joined.push_back(run);
        }
    }
    std::erase_if(joined,
                  [](const Run& run) { return !run.zero && run.end - run.begin < kWorthMapping; });
    return joined;
}

/// Where the zeros at the end begin.
std::uint64_t content_size(std::span<const std::byte> content) noexcept {
    const auto end = std::find_if(content.rbegin(), content.rend(),
                                  [](std::byte byte) { return byte != std::byte{0}; });
    return static_cast<std::uint64_t>(content.rend() - end);
}

/// Takes the segment apart at `runs`. A run of zeros belongs to the part before it.
std::vector<Segment> split(const Segment& segment, const std::vector<Run>& runs) {
    std::vector<Segment> parts;
    std::uint64_t at = 0;
    const auto add = [&](std::uint64_t content_end, std::uint64_t end, bool constant) {
        if (at != end) {
            parts.push_back({.address = Gpa(segment.address.value() + at),
                             .offset = segment.offset + at,
                             .file_size = content_end - at,
                             .memory_size = end - at,
                             .constant = constant});
        }
        at = end;
    };
    for (const Run& run : runs) {
        if (run.zero) {
            add(run.begin, run.end, segment.constant);
        } else {
            add(run.begin, run.begin, segment.constant);
            add(run.end, run.end, true);
        }
    }
    add(std::max(at, segment.file_size), segment.memory_size, segment.constant);
    return parts;
}

}  // namespace

void split_off_filler(KernelImage& kernel, std::span<const std::byte> bytes) {
    std::vector<Segment> result;
    std::size_t left = kernel.segments.size();
    for (Segment& segment : kernel.segments) {
        --left;
        const auto content = bytes.subspan(segment.offset, segment.file_size);
        segment.file_size = content_size(content);
        if (!segment.constant) {
            std::vector<Segment> parts =
                split(segment, worthwhile(uniform_runs(content.first(segment.file_size),
                                                       segment.address.value() % kPageSize)));
            if (result.size() + parts.size() + left <= kMaxSegments) {
                std::ranges::move(parts, std::back_inserter(result));
                continue;
            }
        }
        result.push_back(segment);
    }
    kernel.segments = std::move(result);
}

}  // namespace cxlvm::boot
