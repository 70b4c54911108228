// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/kernel_cache.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::Bytes;
using test::bytes_of;
using test::pattern;

mode_t mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
}

void set_age(const std::string& path, int days) {
    const timespec time{.tv_sec = ::time(nullptr) - std::int64_t{days} * 24 * 3600, .tv_nsec = 0};
    const timespec times[]{time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0) << path;
}

class Cache : public testing::Test {
  protected:
    void SetUp() override { cache_.emplace(folder()); }

    std::string folder() const { return root_.path() + "/cache/cxlvm/kernels"; }
    std::string entry(const Digest& digest) const { return folder() + "/" + to_hex(digest); }
    static Digest digest(std::string_view text) { return Blake2b::of(bytes_of(text)); }
    /// Of a kernel file that was last changed a while ago.
    static FileIdentity file(std::uint64_t inode) {
        return {.device = 1, .inode = inode, .size = 100, .modified = 1000, .changed = 2000};
    }
    bool store(const Digest& digest) {
        return cache_->store(digest, kernel_, content_).has_value();
    }
    std::vector<std::string> files() const {
        std::vector<std::string> names;
        for (const auto& item : std::filesystem::directory_iterator(folder())) {
            names.push_back(item.path().filename().string());
        }
        return names;
    }
    void expect_content(const CachedKernel& found) const {
        Bytes bytes(found.kernel.segments[0].file_size);
        found.file.read(found.kernel.segments[0].offset, bytes);
        EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), content_.begin() + 64));
    }

    test::TemporaryFolder root_;
    Bytes content_ = pattern(20'000);
    KernelImage kernel_{.segments = {{.address = Gpa(0x20'0000),
                                      .offset = 64,
                                      .file_size = 19'000,
                                      .memory_size = 30'000}},
                        .entry64 = Gpa(0x20'0000),
                        .pvh_entry = std::nullopt,
                        .is_linux = true};
    std::optional<KernelCache> cache_;
};

TEST_F(Cache, MakesItsFolderPrivate) {
    EXPECT_EQ(mode_of(folder()), 0700U);
    EXPECT_EQ(mode_of(root_.path() + "/cache/cxlvm"), 0700U);
}

TEST_F(Cache, GivesBackWhatWasStored) {
    EXPECT_FALSE(cache_->find(digest("a")));
    ASSERT_TRUE(store(digest("a")));
    const auto found = cache_->find(digest("a"));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->kernel.entry64, kernel_.entry64);
    EXPECT_EQ(found->kernel.is_linux, true);
    expect_content(*found);
    EXPECT_EQ(mode_of(entry(digest("a"))), 0400U);
    EXPECT_FALSE(cache_->find(digest("b")));
}

TEST_F(Cache, FindsAKernelByTheFileItCameFrom) {
    ASSERT_TRUE(store(digest("a")));
    EXPECT_FALSE(cache_->find(file(1)));
    cache_->remember(file(1), digest("a"));
    const auto found = cache_->find(file(1));
    ASSERT_TRUE(found);
    expect_content(*found);
    FileIdentity changed = file(1);
    changed.changed += 1;
    EXPECT_FALSE(cache_->find(changed));
}

TEST_F(Cache, DoesNotTrustTimeStampsThatAreTooFresh) {
    ASSERT_TRUE(store(digest("a")));
    FileIdentity fresh = file(1);
    fresh.changed = std::int64_t{::time(nullptr)} * 1'000'000'000 + 3'000'000'000;
    cache_->remember(fresh, digest("a"));
    EXPECT_FALSE(cache_->find(fresh));
}

TEST_F(Cache, DetectsATruncatedEntryAndTakesANewOne) {
    ASSERT_TRUE(store(digest("a")));
    ASSERT_EQ(::chmod(entry(digest("a")).c_str(), 0600), 0);
    ASSERT_EQ(::truncate(entry(digest("a")).c_str(), 8192), 0);
    ASSERT_EQ(::chmod(entry(digest("a")).c_str(), 0400), 0);
    EXPECT_FALSE(cache_->find(digest("a")));
    ASSERT_TRUE(store(digest("a")));
    expect_content(*cache_->find(digest("a")));
}

TEST_F(Cache, DetectsOneChangedByteBehindTheHeader) {
    ASSERT_TRUE(store(digest("a")));
    const std::string path = entry(digest("a"));
    struct stat before {};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    // Time stamps go forward in ticks; the change must not fall into that of the seal.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
    {
        std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekp(6000);
        stream.put('!');
    }
    ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
    const timespec times[]{before.st_atim, before.st_mtim};  // ctime cannot be put back
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    EXPECT_FALSE(cache_->find(digest("a")));
}

TEST_F(Cache, DetectsAnEntryThatOthersCouldWrite) {
    ASSERT_TRUE(store(digest("a")));
    ASSERT_EQ(::chmod(entry(digest("a")).c_str(), 0644), 0);
    EXPECT_FALSE(cache_->find(digest("a")));
}

TEST_F(Cache, DoesNotFollowLinks) {
    ASSERT_TRUE(store(digest("a")));
    std::filesystem::rename(entry(digest("a")), root_.path() + "/elsewhere");
    std::filesystem::create_symlink(root_.path() + "/elsewhere", entry(digest("a")));
    EXPECT_FALSE(cache_->find(digest("a")));
}

TEST_F(Cache, IsNotMadeInAFolderThatOthersMayEnter) {
    ASSERT_EQ(::chmod(folder().c_str(), 0750), 0);
    EXPECT_THROW(KernelCache{folder()}, io::Error);
    ASSERT_EQ(::chmod(folder().c_str(), 0700), 0);
    EXPECT_NO_THROW(KernelCache{folder()});
}

TEST_F(Cache, IsNotMadeBehindALinkOrAFile) {
    std::filesystem::create_directory_symlink(folder(), root_.path() + "/cache/cxlvm/link");
    EXPECT_THROW(KernelCache{root_.path() + "/cache/cxlvm/link"}, io::Error);
    (void)root_.write("file", pattern(1));
    EXPECT_THROW(KernelCache{root_.path() + "/file/cxlvm/kernels"}, io::Error);
}

TEST_F(Cache, StoresNothingWhileAnotherProcessDoes) {
    const io::Fd other(::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
    EXPECT_FALSE(store(digest("a")));
    cache_->remember(file(1), digest("a"));
    EXPECT_TRUE(files().empty());
    ASSERT_EQ(::flock(other.get(), LOCK_UN), 0);
    EXPECT_TRUE(store(digest("a")));
}

TEST_F(Cache, PassesOverWhatAKilledProcessLeft) {
    std::ofstream(folder() + "/new") << "half of an entry";
    ASSERT_TRUE(store(digest("a")));
    expect_content(*cache_->find(digest("a")));
    EXPECT_FALSE(std::filesystem::exists(folder() + "/new"));
}

TEST_F(Cache, RemovesWhatWasNotUsedForNinetyDays) {
    ASSERT_TRUE(store(digest("old")));
    ASSERT_TRUE(store(digest("used")));
    cache_->remember(file(1), digest("old"));
    cache_->remember(file(2), digest("used"));
    const auto record_of = [&](const Digest& digest) {
        for (const std::string& name : files()) {
            std::ifstream stream(folder() + "/" + name, std::ios::binary);
            const std::string text{std::istreambuf_iterator<char>(stream), {}};
            const std::string_view raw(reinterpret_cast<const char*>(digest.data()), digest.size());
            if (name.rfind("file-", 0) == 0 && text.find(raw) != std::string::npos) {
                return folder() + "/" + name;
            }
        }
        return std::string();
    };
    set_age(record_of(digest("old")), 91);
    set_age(record_of(digest("used")), 89);
    // The age of an entry alone does not matter; but a change of its times breaks its seal.
    std::filesystem::remove(entry(digest("old")));
    std::ofstream(entry(digest("old"))) << "old";
    set_age(entry(digest("old")), 91);
    set_age(entry(digest("old")) + ".seal", 91);
    ASSERT_TRUE(store(digest("new")));
    EXPECT_FALSE(std::filesystem::exists(entry(digest("old"))));
    EXPECT_FALSE(std::filesystem::exists(entry(digest("old")) + ".seal"));
    EXPECT_TRUE(cache_->find(file(2)));
    EXPECT_TRUE(cache_->find(digest("new")));
    EXPECT_EQ(files().size(), 5U) << "two entries, two seals, one record";
}

TEST_F(Cache, LeavesFilesOfOthersAlone) {
    for (const char* const name : {"notes.txt", "file-of-mine", "x.seal"}) {
        std::ofstream(folder() + "/" + name) << "precious";
        set_age(folder() + "/" + name, 900);
    }
    ASSERT_TRUE(store(digest("a")));
    for (const char* const name : {"notes.txt", "file-of-mine", "x.seal"}) {
        EXPECT_TRUE(std::filesystem::exists(folder() + "/" + name)) << name;
    }
}

TEST_F(Cache, HoldsNoMoreThanItsLimit) {
    ASSERT_TRUE(store(digest("a")));
    const std::uint64_t size = std::filesystem::file_size(entry(digest("a")));
    cache_.emplace(folder(), 3 * size - 1);
    for (const char* const name : {"b", "c", "d"}) {
        ASSERT_TRUE(store(digest(name)));
    }
    std::uint64_t total = 0;
    for (const std::string& name : files()) {
        total += std::filesystem::file_size(folder() + "/" + name);
    }
    EXPECT_LT(total, 3 * size);
    EXPECT_GT(total, 2 * size);
    EXPECT_TRUE(cache_->find(digest("d"))) << "the newest stays";
}

TEST_F(Cache, NotesThatAKernelWasUsed) {
    ASSERT_TRUE(store(digest("a")));
    cache_->remember(file(1), digest("a"));
    std::string record;
    for (const std::string& name : files()) {
        if (name.rfind("file-", 0) == 0) {
            record = folder() + "/" + name;
        }
    }
    set_age(record, 80);
    ASSERT_TRUE(cache_->find(file(1)));
    struct stat status {};
    ASSERT_EQ(::stat(record.c_str(), &status), 0);
    EXPECT_GT(status.st_mtim.tv_sec, ::time(nullptr) - 3600);
}

TEST_F(Cache, ServesManyAtOnce) {
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            KernelCache cache(folder());
            for (int round = 0; round < 20; ++round) {
                const Digest name = Cache::digest(std::to_string(round % 3));
                const auto found = cache.find(name);
                if (found && found->kernel.segments[0].file_size != 19'000) {
                    ++failures;
                }
                // Nothing is stored while another does; the first insists, so that all are there.
                while (!cache.store(name, kernel_, content_) && i == 0) {
                    std::this_thread::yield();
                }
                cache.remember(file(static_cast<std::uint64_t>(i)), name);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(failures, 0);
    for (const char* const name : {"0", "1", "2"}) {
        const auto found = cache_->find(digest(name));
        ASSERT_TRUE(found) << name;
        expect_content(*found);
    }
    EXPECT_FALSE(std::filesystem::exists(folder() + "/new"));
}

class CacheFolder : public testing::Test {
  protected:
    void SetUp() override {
        ::unsetenv("XDG_CACHE_HOME");
        ::unsetenv("HOME");
    }
    void TearDown() override {
        ::unsetenv("XDG_CACHE_HOME");
        ::setenv("HOME", home_.c_str(), 1);
    }

    std::string home_ = std::getenv("HOME") == nullptr ? "/" : std::getenv("HOME");
};

TEST_F(CacheFolder, IsInTheUsersCache) {
    EXPECT_THROW((void)KernelCache::default_folder(), io::Error);
    ::setenv("HOME", "/home/u", 1);
    EXPECT_EQ(KernelCache::default_folder(), "/home/u/.cache/cxlvm/kernels");
    ::setenv("XDG_CACHE_HOME", "not/absolute", 1);
    EXPECT_EQ(KernelCache::default_folder(), "/home/u/.cache/cxlvm/kernels");
    ::setenv("XDG_CACHE_HOME", "/var/cache/u", 1);
    EXPECT_EQ(KernelCache::default_folder(), "/var/cache/u/cxlvm/kernels");
}

}  // namespace
}  // namespace cxlvm::boot
