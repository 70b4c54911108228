// SPDX-License-Identifier: Apache-2.0
#include "io/open_error.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/fd.hpp"

namespace cxlvm::io {
namespace {

struct Expected {
    int error;
    OpenPurpose purpose;
    mode_t found;
    Fault fault;
    const char* remedy;  ///< a part of it
    const char* cause = "";
};

TEST(OpenRemedy, HasARowForEachErrorThatMatters) {
    constexpr auto kRead = OpenPurpose::Read;
    constexpr auto kWrite = OpenPurpose::Write;
    constexpr auto kKvm = OpenPurpose::Kvm;
    const Expected table[] = {
        {ENOENT, kRead, 0, Fault::Input, "check the path"},
        {ENOENT, kWrite, 0, Fault::Input, "make its folder"},
        {ENOENT, kKvm, 0, Fault::Host, "modprobe kvm_amd or kvm_intel"},
        {EACCES, kRead, S_IFREG, Fault::Input, "chmod"},
        {EACCES, kWrite, S_IFREG, Fault::Input, "may write to"},
        {EACCES, kKvm, S_IFCHR, Fault::Host, "usermod -aG kvm $USER"},
        {EPERM, kRead, S_IFREG, Fault::Input, "lsattr"},
        {EPERM, kKvm, S_IFCHR, Fault::Host, "usermod -aG kvm $USER"},
        {EROFS, kWrite, 0, Fault::Input, "read-only"},
        {EISDIR, kWrite, S_IFDIR, Fault::Input, "not a folder"},
        {EISDIR, kKvm, S_IFDIR, Fault::Input, "not a folder"},
        {ENOTDIR, kRead, 0, Fault::Input, "in front of a /"},
        {ELOOP, kRead, 0, Fault::Input, "symbolic link"},
        {ENAMETOOLONG, kRead, 0, Fault::Input, "shorter"},
        {ETXTBSY, kWrite, S_IFREG, Fault::Input, "another file", "a program runs from it"},
        {EBUSY, kRead, S_IFBLK, Fault::Input, "end what uses it"},
        {ENXIO, kWrite, S_IFIFO, Fault::Input, "start its reader", "nobody reads this pipe"},
        {ENXIO, kRead, S_IFSOCK, Fault::Input, "give a file", "it is a socket"},
        {ENXIO, kKvm, S_IFSOCK, Fault::Input, "give a file", "it is a socket"},
        {ENXIO, kWrite, S_IFCHR, Fault::Input, "driver"},
        {ENXIO, kKvm, S_IFCHR, Fault::Host, "modprobe"},
        {ENODEV, kRead, S_IFCHR, Fault::Input, "driver"},
        {ENODEV, kKvm, S_IFCHR, Fault::Host, "modprobe"},
        {EMFILE, kRead, 0, Fault::Host, "ulimit -n"},
        {EMFILE, kKvm, S_IFCHR, Fault::Host, "ulimit -n"},
        {ENFILE, kRead, 0, Fault::Host, "fs.file-max"},
        {EFBIG, kWrite, S_IFREG, Fault::Host, "ulimit -f"},
        {ENOMEM, kRead, 0, Fault::Host, "memory"},
        {ENOSPC, kWrite, 0, Fault::Host, "free some space"},
        {EDQUOT, kWrite, 0, Fault::Host, "quota"},
        {EIO, kRead, 0, Fault::Host, "dmesg"},
    };
    for (const Expected& row : table) {
        const OpenRemedy remedy = open_remedy(row.error, row.purpose, row.found);
        SCOPED_TRACE(errno_text(row.error));
        EXPECT_EQ(remedy.fault, row.fault);
        EXPECT_EQ(remedy.cause, row.cause);
        EXPECT_NE(remedy.remedy.find(row.remedy), std::string_view::npos) << remedy.remedy;
    }
    EXPECT_TRUE(open_remedy(EOVERFLOW, kRead, 0).remedy.empty()) << "what is not known is not said";
}

/// A folder with one of everything that cannot be opened, for the length of a test.
class OpenError : public testing::Test {
  protected:
    OpenError() : folder_(testing::TempDir() + "cxlvm_open_error_" + std::to_string(::getpid())) {
        std::filesystem::create_directory(folder_);
        std::ofstream(path("file")) << "x";
        std::filesystem::create_symlink("loop", path("loop"));
        EXPECT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
        socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path("socket").copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(
            ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    ~OpenError() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

  private:
    std::string folder_;
    Fd socket_;
};

TEST_F(OpenError, SaysWhatTheKernelFoundAndWhatToDo) {
    struct Case {
        std::string path;
        int flags;
        int error;
        const char* said;
    };
    const Case cases[] = {
        {path("none"), O_RDONLY, ENOENT, "No such file or directory; check the path"},
        {path("none/file"), O_WRONLY | O_CREAT, ENOENT,
         "No such file or directory; make its folder first, or give another path"},
        {path("file/x"), O_RDONLY, ENOTDIR,
         "Not a directory; check the path: what is in front of a / is a file"},
        {path(""), O_WRONLY, EISDIR, "Is a directory; give a file, not a folder"},
        {path("loop"), O_RDONLY, ELOOP,
         "Too many levels of symbolic links; give what the symbolic link stands for"},
        {path("pipe"), O_WRONLY | O_NONBLOCK, ENXIO,
         "nobody reads this pipe; start its reader first"},
        {path("socket"), O_RDONLY, ENXIO, "it is a socket; give a file"},
        {path(std::string(300, 'x')), O_RDONLY, ENAMETOOLONG,
         "File name too long; give a shorter path"},
        {"/proc/self/exe", O_WRONLY, ETXTBSY, "a program runs from it; give another file"},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.said);
        try {
            (void)open_file(one.path, one.flags, 0600, "--log");
            ADD_FAILURE() << "was opened";
        } catch (const Error& error) {
            EXPECT_EQ(error.what(), "--log: cannot open " + one.path + ": " + one.said);
            EXPECT_EQ(error.errno_value(), one.error);
            EXPECT_EQ(error.fault(), Fault::Input);
        }
    }
}

TEST_F(OpenError, OfAnExhaustedProcessIsTheHosts) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    std::string said;
    Fault fault = Fault::Input;
    try {
        (void)open_file(path("file"), O_RDONLY);
    } catch (const Error& error) {
        said = error.what();
        fault = error.fault();
    }
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(fault, Fault::Host);
    EXPECT_EQ(said, "cannot open " + path("file") +
                        ": Too many open files; raise the limit of open files (ulimit -n)");
}

}  // namespace
}  // namespace cxlvm::io
