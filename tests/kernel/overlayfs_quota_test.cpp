// What a box may write, on each file system that can hold it to that.

#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <thread>

#include "overlayfs/inode_ranges.h"
#include "overlayfs/mount.h"
#include "overlayfs/quota.h"
#include "overlayfs/reaper.h"
#include "overlayfs/store_file.h"
#include "overlayfs/subvolume.h"
#include "overlayfs/upper.h"
#include "tests/kernel/overlayfs_fixture.h"

namespace hutch::overlayfs {
namespace {

constexpr DiskLimit kSmall{.bytes = 16 * kMiB, .inodes = 200};

struct FileSystem {
    const char* name;
    const char* make;  ///< mkfs, but for the image; null for a btrfs of ours
};

void PrintTo(const FileSystem& system, std::ostream* out) {
    *out << system.name;
}

constexpr FileSystem kBtrfs{"btrfs", nullptr};
constexpr FileSystem kExt4{"ext4", "mkfs.ext4 -q -O project,quota"};
constexpr FileSystem kXfs{"xfs", "mkfs.xfs -q -f"};

bool run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

/// A store on a file system of its own that enforces quotas.
class OverlayQuota : public OverlayfsTest, public ::testing::WithParamInterface<FileSystem> {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped()) return;
        const std::string disk = path_ + "/disk";
        ASSERT_EQ(mkdir(disk.c_str(), 0700), 0);
        mount(GetParam(), path_ + "/image", disk);
        if (mounted_.empty()) return;
        store_.emplace(Store::open(disk).value());
        users_ = test::make_user_namespace(kBase).value();
        image_ = layer("below", "x");
    }
    void TearDown() override {
        store_.reset();
        if (!mounted_.empty()) {
            EXPECT_TRUE(run("umount " + mounted_));
        }
        OverlayfsTest::TearDown();
    }

    void mount(const FileSystem& system, const std::string& image, const std::string& disk) {
        if (system.make == nullptr) {
            if (!run("mkfs.btrfs --version")) GTEST_SKIP() << "needs mkfs.btrfs";
            const auto made = make_store_file(image, 1 << 30, disk);
            ASSERT_TRUE(made.ok()) << made.error().message;
            const auto mounted = mount_store_file(image, disk);
            ASSERT_TRUE(mounted.ok()) << mounted.error().message;
        } else {
            put(AT_FDCWD, image, "");
            ASSERT_EQ(truncate(image.c_str(), off_t{512} << 20), 0);
            if (!run(std::string(system.make) + " " + image)) GTEST_SKIP() << "needs mkfs of " << system.name;
            if (!run("mount -o loop,prjquota " + image + " " + disk)) GTEST_SKIP() << "a kernel without quota";
        }
        mounted_ = disk;
    }
    UniqueFd box(const std::vector<std::string>& layers) {
        EXPECT_TRUE(make_upper(*store_, "b1", layers).ok());
        EXPECT_TRUE(limit_upper(*store_, "b1", kSmall).value());
        return mount_box(*store_, layers, "b1", users_.get(), kBase).value();
    }
    template <typename Body>
    int in_box(Body body) {
        return test::run_in_user_namespace(users_.get(), 0, body);
    }
    /// As box root: 0, or the errno that stopped it.
    int write(const UniqueFd& mount, const std::string& name, size_t bytes) {
        return in_box([&] {
            const auto file = open_at(mount.get(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            if (!file.ok()) return file.error().code;
            const auto written = write_all(file.value().get(), std::string(bytes, 'x'));
            if (!written.ok()) return written.error().code;
            return fsync(file.value().get()) == 0 ? 0 : errno;
        });
    }
    static bool is_full(int code) { return code == EDQUOT || code == ENOSPC; }

    std::string mounted_;
    UniqueFd users_;
    std::string image_;
};

TEST_P(OverlayQuota, IsFound) {
    EXPECT_EQ(quota_of(store_->root()), on_btrfs(store_->root()) ? Quota::kQgroup : Quota::kProject);
}

TEST_P(OverlayQuota, AFullBoxCanBeReadAndCleaned) {
    const UniqueFd mount = box({image_});
    ASSERT_EQ(write(mount, "small", 1000), 0);
    EXPECT_TRUE(is_full(write(mount, "big", 2 * kSmall.bytes)));
    EXPECT_TRUE(is_full(write(mount, "more", kSmall.bytes)));
    EXPECT_EQ(content(mount.get(), "small"), std::string(1000, 'x'));
    EXPECT_EQ(in_box([&] { return unlinkat(mount.get(), "big", 0) == 0 ? 0 : errno; }), 0);
    (void)in_box([&] { return unlinkat(mount.get(), "more", 0); });
    EXPECT_EQ(write(mount, "after", kSmall.bytes / 2), 0) << "there is room again";
}

TEST_P(OverlayQuota, FilesAreBoundedInNumber) {
    if (on_btrfs(store_->root())) GTEST_SKIP() << "btrfs counts bytes only";
    const UniqueFd mount = box({image_});
    int code = 0;
    uint64_t files = 0;
    for (; code == 0 && files <= kSmall.inodes; ++files) code = write(mount, "file" + std::to_string(files), 0);
    EXPECT_TRUE(is_full(code)) << files;
}

TEST_P(OverlayQuota, WhatBecomesALayerCountsForNobody) {
    UniqueFd mount = box({image_});
    ASSERT_EQ(write(mount, "old", kSmall.bytes / 4 * 3), 0);
    mount.reset();
    ASSERT_TRUE(seal_upper(*store_, "b1", "sealed").ok());
    mount = box({"sealed", image_});
    EXPECT_EQ(write(mount, "new", kSmall.bytes / 4 * 3), 0) << "the box begins anew";
    EXPECT_TRUE(is_full(write(mount, "more", kSmall.bytes)));
    EXPECT_EQ(status_of(mount.get(), "old").st_size, static_cast<off_t>(kSmall.bytes / 4 * 3));
    const UniqueFd sealed = open_at(store_->layers(), "sealed", O_RDONLY | O_DIRECTORY).value();
    put(sealed.get(), "fs/beyond", std::string(kSmall.bytes, 'x'));
    EXPECT_EQ(status_of(sealed.get(), "fs/beyond").st_size, static_cast<off_t>(kSmall.bytes));
}

TEST_P(OverlayQuota, AFullBoxIsCopiedWhileItLives) {
    const UniqueFd mount = box({image_});
    ASSERT_EQ(write(mount, "kept", 1000), 0);
    ASSERT_TRUE(is_full(write(mount, "big", 2 * kSmall.bytes)));
    ASSERT_TRUE(sync_upper(*store_, "b1").ok());
    auto copied = copy_upper(*store_, "b1", {});
    ASSERT_TRUE(copied.ok()) << copied.error().message;
    const std::string id = seal_layer(*store_, std::move(copied).value()).value();
    EXPECT_EQ(content(store_->layers(), id + "/fs/kept"), std::string(1000, 'x'));
    const UniqueFd whole = open_at(store_->layers(), id, O_RDONLY | O_DIRECTORY).value();
    EXPECT_EQ(names_in(whole.get()).value().size(), 1U) << "nothing of overlayfs' own";
    put(whole.get(), "fs/beyond", std::string(kSmall.bytes, 'x'));
    EXPECT_EQ(status_of(whole.get(), "fs/beyond").st_size, static_cast<off_t>(kSmall.bytes)) << "no limit came along";
    EXPECT_EQ(is_subvolume(whole.get()), on_btrfs(store_->root())) << "on btrfs it is a snapshot: no file was copied";
}

TEST_P(OverlayQuota, TellsWhatABoxHolds) {
    const UniqueFd mount = box({image_});
    ASSERT_EQ(write(mount, "file", 4 * kMiB), 0);
    ASSERT_TRUE(sync_upper(*store_, "b1").ok());
    const uint64_t bytes = upper_bytes(*store_, "b1", {}).value();
    EXPECT_GE(bytes, 4 * kMiB);
    EXPECT_LT(bytes, 5 * kMiB);
    EXPECT_EQ(counted_use(store_->layers()).value().has_value(), false) << "only uppers are counted";
}

TEST_P(OverlayQuota, ADiscardedBoxGivesItsSpaceBack) {
    UniqueFd mount = box({image_});
    ASSERT_EQ(write(mount, "file", 4 * kMiB), 0);
    mount.reset();
    const UniqueFd upper = open_at(store_->uppers(), "b1", O_RDONLY | O_DIRECTORY).value();
    ASSERT_TRUE(discard_upper(*store_, "b1").ok());
    Reaper reaper(*store_);
    EXPECT_TRUE(reaper.wait_idle().ok());
    EXPECT_EQ(count(store_->trash()), 0U);
    mount = box({image_});
    EXPECT_EQ(write(mount, "file", kSmall.bytes / 4 * 3), 0);
}

// cp, rm and tar take two names with the same numbers for one file, and a directory with its parent's for a circle.
TEST_P(OverlayQuota, NoTwoFilesOfABoxHaveTheSameNumber) {
    std::vector<std::string> layers = {image_};
    for (const char* id : {"sealed1", "sealed2", "sealed3"}) {
        UniqueFd mount = box(layers);
        for (int i = 0; i < 20; ++i) ASSERT_EQ(write(mount, id + std::to_string(i), 1), 0);
        mount.reset();
        ASSERT_TRUE(seal_upper(*store_, "b1", id).ok());
        layers.insert(layers.begin(), id);
    }
    const UniqueFd mount = box(layers);
    for (int i = 0; i < 20; ++i) ASSERT_EQ(write(mount, std::to_string(i), 1), 0);
    std::set<std::pair<dev_t, ino_t>> numbers;
    const auto names = names_in(mount.get()).value();
    for (const std::string& name : names) {
        const struct stat status = status_of(mount.get(), name);
        numbers.emplace(status.st_dev, status.st_ino);
    }
    EXPECT_EQ(names.size(), 81U);
    EXPECT_EQ(numbers.size(), names.size());
}

/// `count` uppers made ahead, or nothing where the file system gains nothing by it.
std::unique_ptr<Spares> spares_of(const Store& store, size_t count) {
    auto spares = Spares::open(store, count).value();
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(60);  // only a failing test waits so long
    while (spares && spares->ready() < count && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return spares;
}

TEST_P(OverlayQuota, AnUpperMadeAheadIsAsGoodAsAnother) {
    const auto spares = spares_of(*store_, 2);
    ASSERT_EQ(spares != nullptr, on_btrfs(store_->root()));
    const size_t before = count(store_->spares());
    ASSERT_TRUE(make_upper(*store_, "b1", {image_}, spares.get()).ok());
    EXPECT_EQ(before, spares ? 2U : 0U);
    EXPECT_EQ(make_upper(*store_, "b1", {image_}, spares.get()).error().code, EEXIST);
    ASSERT_TRUE(limit_upper(*store_, "b1", kSmall).value());
    const UniqueFd mount = mount_box(*store_, {image_}, "b1", users_.get(), kBase).value();
    EXPECT_EQ(write(mount, "small", 1000), 0);
    EXPECT_TRUE(is_full(write(mount, "big", 2 * kSmall.bytes)));
}

TEST_P(OverlayQuota, AnUpperMadeAheadIsNotOfARangeOfItsLayers) {
    if (!on_btrfs(store_->root())) GTEST_SKIP() << "only btrfs has ranges";
    std::vector<std::string> layers = {image_};
    std::set<uint64_t> ranges;
    for (const char* id : {"sealed1", "sealed2", "sealed3"}) {
        const auto spares = spares_of(*store_, 2);  // of the ranges 1 and 2, each time
        ASSERT_TRUE(make_upper(*store_, "b1", layers, spares.get()).ok());
        ASSERT_TRUE(seal_upper(*store_, "b1", id).ok());
        ranges.insert(status_of(store_->layers(), std::string(id) + "/fs").st_ino >> kInodeRangeBits);
        layers.insert(layers.begin(), id);
    }
    EXPECT_EQ(ranges, (std::set<uint64_t>{1, 2, 3})) << "the third was made then";
}

TEST_P(OverlayQuota, UppersThatNobodyTookAreNotLeftBehind) {
    spares_of(*store_, 2).reset();
    EXPECT_EQ(count(store_->spares()), 0U);
    Reaper reaper(*store_);
    EXPECT_TRUE(reaper.wait_idle().ok());
    EXPECT_EQ(count(store_->trash()), 0U);
}

INSTANTIATE_TEST_SUITE_P(On, OverlayQuota, ::testing::Values(kBtrfs, kExt4, kXfs),
                         [](const auto& system) { return std::string(system.param.name); });

TEST_F(OverlayfsTest, WithoutQuotaNothingIsLimitedAndThatIsSaid) {
    if (quota_of(store_->root()) != Quota::kNone) GTEST_SKIP() << "the test's own file system has quotas";
    ASSERT_TRUE(make_upper(*store_, "b1", {layer("x", "x")}).ok());
    EXPECT_FALSE(limit_upper(*store_, "b1", kSmall).value());
}

}  // namespace
}  // namespace hutch::overlayfs
