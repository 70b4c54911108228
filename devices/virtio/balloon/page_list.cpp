// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/balloon/page_list.hpp"

#include <algorithm>
#include <functional>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::balloon {

void PageBatch::take(std::span<iovec>& segments, const GuestMemory& memory) noexcept {
    std::size_t count = 0;
    outside_ = 0;
    run_count_ = 0;
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < kMaxPages; ++i) {
        if (!take_front(segments, std::as_writable_bytes(std::span(&number, 1)))) {
            segments = {};
            break;
        }
        if (const auto page = memory.span(Gpa(std::uint64_t{number} << kPageShift), kPageSize)) {
            pages_[count++] = page->data();
        } else {
            ++outside_;
        }
    }
    const auto pages = std::span(pages_).first(count);
    std::sort(pages.begin(), pages.end(), std::less<>{});
    for (std::byte* const page : pages) {
        if (run_count_ != 0) {
            std::span<std::byte>& last = runs_[run_count_ - 1];
            if (page < last.data() + last.size()) {
                continue;  // listed twice
            }
            if (page == last.data() + last.size()) {
                last = {last.data(), last.size() + kPageSize};
                continue;
            }
        }
        runs_[run_count_++] = {page, kPageSize};
    }
}

}  // namespace cxlvm::virtio::balloon
