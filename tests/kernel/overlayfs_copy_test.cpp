#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cstdlib>

#include "overlayfs/mount.h"
#include "overlayfs/tree_copy.h"
#include "overlayfs/upper.h"
#include "tests/kernel/overlayfs_fixture.h"
#include "tests/kernel/posix_acl.h"
#include "tests/kernel/tree_manifest.h"

namespace hutch::overlayfs {
namespace {

using test::compare;
using test::manifest_of;

class OverlayCopy : public OverlayfsTest {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        ASSERT_TRUE(make_dirs_at(store_->uppers(), "b1/fs").ok());
        upper_ = open_at(store_->uppers(), "b1/fs", O_RDONLY | O_DIRECTORY).value();
    }
    /// The copy's root.
    UniqueFd copied() {
        auto import = copy_upper(*store_, "b1", {});
        EXPECT_TRUE(import.ok()) << (import.ok() ? "" : import.error().message);
        const std::string id = seal_layer(*store_, std::move(import).value()).value();
        EXPECT_EQ(names_in(open_at(store_->layers(), id, O_RDONLY).value().get()).value().size(), 1U);
        return open_at(store_->layers(), id + "/fs", O_RDONLY | O_DIRECTORY).value();
    }
    void set_xattr(const std::string& name, const std::string& xattr, const std::string& value) {
        const std::string path = path_ + "/store/uppers/b1/fs/" + name;
        ASSERT_EQ(lsetxattr(path.c_str(), xattr.c_str(), value.data(), value.size(), 0), 0) << name << " " << xattr;
    }
    void set_time(const std::string& name, time_t seconds) {
        const timespec times[2] = {{seconds, 111'222'333}, {seconds + 1, 444'555'666}};
        ASSERT_EQ(utimensat(upper_.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
    }
    void node(const std::string& name, mode_t mode, dev_t device = 0) {
        ASSERT_EQ(mknodat(upper_.get(), name.c_str(), mode, device), 0) << name;
    }

    UniqueFd upper_;
};

TEST_F(OverlayCopy, FilesOfEveryKindWithAllTheirAttributes) {
    const int dir = upper_.get();
    put(dir, "plain", "content", 0640);
    put(dir, "set-uid", "content", 06755);
    put(dir, "capable", "content", 0755);
    put(dir, "empty", "", 0000);
    ASSERT_EQ(fchownat(dir, "plain", 1000, 65535, 0), 0);
    set_xattr("capable", "security.capability", test::kFileCapability);
    set_xattr("plain", "user.note", "kept");
    set_xattr("plain", "user.empty", "");
    set_xattr("plain", "user.long", std::string(2000, 'v'));
    set_xattr("plain", "trusted.overlay.origin", "whatever");
    set_xattr("plain", "system.posix_acl_access", test::posix_acl(6));
    ASSERT_TRUE(make_dirs_at(dir, "dir/within").ok());
    put(dir, "dir/within/file", std::string(3 * kMiB + 5, 'x'));
    set_xattr("dir", "trusted.overlay.opaque", "y");
    set_xattr("dir", "system.posix_acl_default", test::posix_acl(7));
    ASSERT_EQ(fchmodat(dir, "dir", 03775, 0), 0);
    ASSERT_EQ(symlinkat("/etc/passwd", dir, "link"), 0);
    ASSERT_EQ(symlinkat(std::string(4095, 't').c_str(), dir, "long link"), 0);
    set_xattr("link", "trusted.overlay.origin", "of a link");
    ASSERT_EQ(fchownat(dir, "link", 5, 6, AT_SYMLINK_NOFOLLOW), 0);
    node("whiteout", S_IFCHR | 0000);
    node("null", S_IFCHR | 0666, makedev(1, 3));
    node("disk", S_IFBLK | 0660, makedev(7, 300));
    node("fifo", S_IFIFO | 0604);
    node("socket", S_IFSOCK | 0755);
    put(dir, "\xff\xfe\n\x01", "odd");
    put(dir, std::string(255, 'n'), "long");
    for (const char* name : {"plain", "dir/within", "dir", "link", "whiteout", "fifo"}) set_time(name, 1'000'000'000);
    set_xattr(".", "user.root", "too");
    ASSERT_EQ(fchown(dir, 7, 8), 0);
    ASSERT_EQ(fchmod(dir, 01777), 0);
    set_time(".", -5);

    const auto before = manifest_of(dir);
    ASSERT_EQ(before.size(), 17U);
    set_time("plain", 1'000'000'000);  // the manifest has read it
    const UniqueFd copy = copied();
    const struct stat times = status_of(copy.get(), "plain");
    EXPECT_EQ(compare(before, manifest_of(copy.get())), "");
    EXPECT_EQ(times.st_atim.tv_sec, 1'000'000'000);
    EXPECT_EQ(times.st_atim.tv_nsec, 111'222'333);
}

TEST_F(OverlayCopy, AHugeFileOfHoles) {
    constexpr off_t kSize = off_t{1} << 40;
    const UniqueFd file = open_at(upper_.get(), "sparse", O_RDWR | O_CREAT, 0644).value();
    ASSERT_EQ(ftruncate(file.get(), kSize), 0);
    ASSERT_EQ(pwrite(file.get(), "middle", 6, kSize / 2), 6);
    ASSERT_EQ(pwrite(file.get(), "end", 3, kSize - 3), 3);
    const UniqueFd copy = copied();
    const struct stat status = status_of(copy.get(), "sparse");
    EXPECT_EQ(status.st_size, kSize);
    EXPECT_LT(status.st_blocks * 512, static_cast<blkcnt_t>(kMiB));
    const UniqueFd read = open_at(copy.get(), "sparse", O_RDONLY).value();
    char text[6] = {};
    ASSERT_EQ(pread(read.get(), text, 6, kSize / 2), 6);
    EXPECT_EQ(std::string(text, 6), "middle");
    ASSERT_EQ(pread(read.get(), text, 6, kSize - 3), 3);
    EXPECT_EQ(std::string(text, 3), "end");
}

TEST_F(OverlayCopy, TenThousandLevelsWithFewDescriptors) {
    constexpr int kDepth = 10'000;
    UniqueFd here = open_at(upper_.get(), ".", O_RDONLY | O_DIRECTORY).value();
    for (int i = 0; i < kDepth; ++i) {
        ASSERT_EQ(mkdirat(here.get(), "d", 0755), 0);
        here = open_at(here.get(), "d", O_RDONLY | O_DIRECTORY).value();
    }
    put(here.get(), "bottom", "reached");
    ASSERT_EQ(linkat(here.get(), "bottom", upper_.get(), "top", 0), 0);
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    const rlimit few{64, old.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    const UniqueFd copy = copied();
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    here = duplicate(copy.get()).value();
    for (int i = 0; i < kDepth; ++i) here = open_at(here.get(), "d", O_RDONLY | O_DIRECTORY).value();
    EXPECT_EQ(content(here.get(), "bottom"), "reached");
    EXPECT_EQ(status_of(here.get(), "bottom").st_ino, status_of(copy.get(), "top").st_ino);
}

TEST_F(OverlayCopy, NamesOfOneFileStayNamesOfOneFile) {
    ASSERT_TRUE(make_dirs_at(upper_.get(), "a/b").ok());
    put(upper_.get(), "file", "shared");
    ASSERT_EQ(symlinkat("target", upper_.get(), "link"), 0);
    for (const char* name : {"a/file", "a/b/file"}) ASSERT_EQ(linkat(upper_.get(), "file", upper_.get(), name, 0), 0);
    ASSERT_EQ(linkat(upper_.get(), "link", upper_.get(), "a/link", 0), 0);
    const UniqueFd copy = copied();
    EXPECT_EQ(compare(manifest_of(upper_.get()), manifest_of(copy.get())), "");
    EXPECT_EQ(status_of(copy.get(), "file").st_nlink, 3U);
    EXPECT_NE(status_of(copy.get(), "file").st_ino, status_of(upper_.get(), "file").st_ino);
}

TEST_F(OverlayCopy, AsManyNamesAsTheFilesystemAllows) {
    put(upper_.get(), "file", "shared");
    int names = 1;
    while (names < 70'000 && linkat(upper_.get(), "file", upper_.get(), std::to_string(names).c_str(), 0) == 0) ++names;
    if (names == 70'000) GTEST_SKIP() << "filesystem without a bound that a test could reach";
    EXPECT_EQ(status_of(copied().get(), "file").st_nlink, static_cast<nlink_t>(names));
}

TEST_F(OverlayCopy, WithoutSpaceItFailsAndLeavesNothing) {
    ASSERT_EQ(mkdirat(store_->root(), "small", 0700), 0);
    const std::string small = path_ + "/store/small";
    ASSERT_EQ(sys_mount("none", small.c_str(), "tmpfs", 0, "size=3m"), 0);
    {
        const Store store = Store::open(small).value();
        ASSERT_TRUE(make_dirs_at(store.uppers(), "b1/fs").ok());
        put(store.uppers(), "b1/fs/big", std::string(2 * kMiB, 'x'));
        const auto copy = copy_upper(store, "b1", {});
        ASSERT_FALSE(copy.ok());
        EXPECT_TRUE(copy.error().out_of_space()) << copy.error().message;
        EXPECT_NE(copy.error().message.find("b1"), std::string::npos);
        EXPECT_EQ(count(store.tmp()) + count(store.layers()), 0U);
    }
    EXPECT_EQ(sys_umount2(small.c_str(), 0), 0);
}

TEST_F(OverlayCopy, StopsWhenTold) {
    put(upper_.get(), "file", "x");
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(copy_upper(*store_, "b1", source.get_token()).error().code, ECANCELED);
    EXPECT_EQ(count(store_->tmp()), 0U);
}

TEST_F(OverlayCopy, BlocksAreSharedWhereTheFilesystemCan) {
    const std::string image = path_ + "/image";
    const std::string at = path_ + "/reflinks";
    put(AT_FDCWD, image, "");
    ASSERT_EQ(truncate(image.c_str(), off_t{512} << 20), 0);
    ASSERT_EQ(mkdir(at.c_str(), 0700), 0);
    const std::string make =
        "mkfs.btrfs -q " + image + " >/dev/null 2>&1 || mkfs.xfs -q -f " + image + " >/dev/null 2>&1";
    if (std::system(make.c_str()) != 0) GTEST_SKIP() << "needs mkfs.btrfs or mkfs.xfs";
    ASSERT_EQ(std::system(("mount -o loop " + image + " " + at).c_str()), 0);
    {
        const Store store = Store::open(at).value();
        ASSERT_TRUE(make_dirs_at(store.uppers(), "b1/fs").ok());
        put(store.uppers(), "b1/fs/big", std::string(64 * kMiB, 'x'));
        ASSERT_EQ(syncfs(store.root()), 0);
        struct statvfs before {};
        struct statvfs after {};
        ASSERT_EQ(fstatvfs(store.root(), &before), 0);
        ASSERT_TRUE(seal_layer(store, copy_upper(store, "b1", {}).value()).ok());
        ASSERT_EQ(fstatvfs(store.root(), &after), 0);
        EXPECT_LT((before.f_bfree - after.f_bfree) * before.f_frsize, 16 * kMiB);
    }
    EXPECT_EQ(std::system(("umount " + at).c_str()), 0);
}

TEST_F(OverlayCopy, ACopiedUpperIsALayerToForkFrom) {
    const UniqueFd users = test::make_user_namespace(kBase).value();
    const std::string image = layer("below", "x");
    ASSERT_TRUE(make_upper(*store_, "b2", {image}).ok());
    const UniqueFd box = mount_box(*store_, {image}, "b2", users.get(), kBase).value();
    const auto in_box = [&](auto body) { return test::run_in_user_namespace(users.get(), 0, body); };
    ASSERT_EQ(in_box([&] {
                  const bool done = unlinkat(box.get(), "below", 0) == 0 && mkdirat(box.get(), "dir", 0755) == 0 &&
                                    symlinkat("to", box.get(), "dir/link") == 0;
                  return done ? 0 : errno;
              }),
              0);
    const std::string copy = seal_layer(*store_, copy_upper(*store_, "b2", {}).value()).value();
    const auto before = manifest_of(box.get());
    ASSERT_EQ(in_box([&] { return mkdirat(box.get(), "later", 0755); }), 0);
    ASSERT_TRUE(make_upper(*store_, "b3", {copy}).ok());
    const UniqueFd fork = mount_box(*store_, {copy, image}, "b3", users.get(), kBase).value();
    auto after = manifest_of(fork.get());
    after[""].mtime = before.at("").mtime;  // its root is a new upper's
    EXPECT_EQ(compare(before, after), "");
}

}  // namespace
}  // namespace hutch::overlayfs
