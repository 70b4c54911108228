// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/vector_delivery.hpp"

namespace cxlvm::pci {

VectorDelivery::VectorDelivery(VectorRegisters& registers, std::span<MsiVector* const> vectors)
    : registers_(registers), slots_(vectors.size()) {
    for (std::size_t i = 0; i < vectors.size(); ++i) {
        slots_[i].vector = vectors[i];
    }
}

bool VectorDelivery::route(Slot& slot, unsigned vector) noexcept {
    const auto message = registers_.message(vector);
    if (message != slot.routed) {
        slot.vector->route(message);
        slot.routed = message;
    }
    return message.has_value();
}

void VectorDelivery::settle(unsigned vector) noexcept {
    Slot& slot = slots_[vector];
    const io::MutexLock lock(slot.mutex);
    if (route(slot, vector) && registers_.take_pending(vector)) {
        slot.vector->fire();
    }
}

void VectorDelivery::settle_all() noexcept {
    for (unsigned vector = 0; vector < count(); ++vector) {
        settle(vector);
    }
}

void VectorDelivery::raise(unsigned vector) noexcept {
    Slot& slot = slots_[vector];
    const io::MutexLock lock(slot.mutex);
    if (route(slot, vector)) {
        slot.vector->fire();
    } else {
        registers_.set_pending(vector);
    }
}

}  // namespace cxlvm::pci
