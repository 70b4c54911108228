// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "io/error.hpp"
#include "io/fd.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm {
namespace {

/// What opening `device` says.
std::string refusal(const std::string& device, io::Fault fault) {
    try {
        const Kvm kvm(device);
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), fault) << error.what();
        return error.what();
    }
    ADD_FAILURE() << device << " was opened";
    return {};
}

TEST(KvmDevice, AMissingDeviceNamesTheModulesToLoad) {
    const std::string what = refusal("/dev/there-is-no-kvm", io::Fault::Host);
    EXPECT_NE(what.find("/dev/there-is-no-kvm"), std::string::npos) << what;
    EXPECT_NE(what.find("modprobe kvm_amd"), std::string::npos) << what;
}

TEST(KvmDevice, AFileThatIsNoKvmIsRefused) {
    const std::string what = refusal("/dev/null", io::Fault::Input);
    EXPECT_NE(what.find("--kvm: /dev/null: not a KVM device"), std::string::npos) << what;
}

TEST(KvmDevice, ADescriptorThatIsNoNumberIsAnInputError) {
    refusal("fd=", io::Fault::Input);
    refusal("fd=x", io::Fault::Input);
    refusal("fd=-1", io::Fault::Input);
    refusal("fd=3x", io::Fault::Input);
    refusal("fd=99999999999999", io::Fault::Input);
}

TEST(KvmDevice, ADescriptorThatIsClosedIsRefused) {
    const std::string what = refusal("fd=987654", io::Fault::Input);
    EXPECT_NE(what.find("fd=987654"), std::string::npos) << what;
}

class KvmDeviceTest : public test::KvmTest {};

TEST_F(KvmDeviceTest, TellsWhatTheHostOffers) {
    const Kvm kvm("/dev/kvm");
    EXPECT_GE(kvm.max_vcpus(), 1u);
    EXPECT_GE(kvm.vcpu_id_limit(), kvm.max_vcpus());
    EXPECT_GE(kvm.run_size(), sizeof(kvm_run));
    EXPECT_GT(kvm.capability(KVM_CAP_USER_MEMORY), 0);
    EXPECT_EQ(kvm.capability(1'000'000), 0);
}

TEST_F(KvmDeviceTest, ListsCpuidLeavesHoweverManyThereAre) {
    const auto entries = Kvm("/dev/kvm").supported_cpuid();
    const auto basic = std::find_if(entries.begin(), entries.end(),
                                    [](const auto& entry) { return entry.function == 0; });
    ASSERT_NE(basic, entries.end());
    EXPECT_NE(basic->ebx, 0u) << "the vendor's name";
}

TEST_F(KvmDeviceTest, ADescriptorOfSomebodyElseIsUsedAndLeftOpen) {
    const io::Fd fd(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(fd);
    {
        const Kvm kvm("fd=" + std::to_string(fd.get()));
        const KvmVm vm(kvm);
    }
    EXPECT_GE(::fcntl(fd.get(), F_GETFD), 0);
}

TEST_F(KvmDeviceTest, AVcpuMayHaveAnIdOfMoreThanEightBits) {
    const Kvm kvm("/dev/kvm");
    if (!kvm.has_wide_apic_ids() || kvm.vcpu_id_limit() <= 300) {
        GTEST_SKIP() << "this KVM has no APIC ids above 254";
    }
    KvmVm vm(kvm);
    vm.use_wide_apic_ids();
    const IrqChip chip(kvm, vm);
    const KvmVcpu vcpu(kvm, vm, 300);
    vcpu.set_cpuid(kvm.supported_cpuid());
    // IA32_APIC_BASE: enabled, in x2APIC mode.
    constexpr kvm_msr_entry kX2apicMode{.index = 0x1b, .reserved = 0, .data = 0xfee0'0c00};
    ASSERT_EQ(vcpu.set_msrs(std::array{kX2apicMode}), 1u);
    // The interface shows all 32 bits of the id, at offset 0x20, where it had room for 8.
    kvm_lapic_state apic{};
    ASSERT_EQ(::ioctl(vcpu.fd(), KVM_GET_LAPIC, &apic), 0) << std::strerror(errno);
    std::uint32_t id = 0;
    std::memcpy(&id, &apic.regs[0x20], sizeof(id));
    EXPECT_EQ(id, 300u);
}

TEST_F(KvmDeviceTest, AVcpuKeepsTheRegistersThatAreSet) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    const IrqChip chip(kvm, vm);
    const KvmVcpu vcpu(kvm, vm, 0);
    vcpu.set_cpuid(kvm.supported_cpuid());
    kvm_regs regs{};
    regs.rip = 0x1234;
    regs.rflags = 2;
    vcpu.set_regs(regs);
    kvm_regs seen{};
    EXPECT_EQ(vcpu.get_regs(seen), 0);
    EXPECT_EQ(seen.rip, 0x1234u);
    kvm_sregs sregs = vcpu.sregs();
    sregs.cs.base = 0xff0;
    sregs.cs.selector = 0xff;
    vcpu.set_sregs(sregs);
    EXPECT_EQ(vcpu.sregs().cs.base, 0xff0u);
}

TEST_F(KvmDeviceTest, SettingRegistersStopsAtTheFirstThatIsRefused) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    const KvmVcpu vcpu(kvm, vm, 0);
    constexpr std::uint32_t kTimeStampCounter = 0x10;
    const std::array<kvm_msr_entry, 3> entries = {
        kvm_msr_entry{.index = kTimeStampCounter, .reserved = 0, .data = 0},
        kvm_msr_entry{.index = 0xdead'beef, .reserved = 0, .data = 1},
        kvm_msr_entry{.index = kTimeStampCounter, .reserved = 0, .data = 0}};
    EXPECT_EQ(vcpu.set_msrs(entries), 1u);
}

TEST_F(KvmDeviceTest, ASecondVcpuWithOneNumberIsRefused) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    const KvmVcpu vcpu(kvm, vm, 0);
    EXPECT_THROW(KvmVcpu(kvm, vm, 0), io::Error);
}

}  // namespace
}  // namespace cxlvm
