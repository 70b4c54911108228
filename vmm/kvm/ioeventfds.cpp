// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/ioeventfds.hpp"

namespace cxlvm {

std::error_code IoEventFds::connect(Gpa address, int eventfd) noexcept {
    return {vm_.assign_ioeventfd(address.value(), eventfd, space_ == Space::Ports),
            std::system_category()};
}

void IoEventFds::disconnect(Gpa address, int eventfd) noexcept {
    // ENOENT for one that KVM refused: it is not there either way.
    static_cast<void>(vm_.remove_ioeventfd(address.value(), eventfd, space_ == Space::Ports));
}

}  // namespace cxlvm
