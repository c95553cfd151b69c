#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <thread>

#include "base/fs_identity.h"
#include "overlayfs/mount.h"
#include "overlayfs/overlay.h"
#include "overlayfs/reaper.h"
#include "overlayfs/recover.h"
#include "overlayfs/upper.h"
#include "tests/kernel/overlayfs_fixture.h"

namespace hutch::overlayfs {
namespace {

class OverlayMount : public OverlayfsTest {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        users_ = test::make_user_namespace(kBase).value();
    }
    Result<UniqueFd> box(const std::string& id, const std::vector<std::string>& layers) {
        TRY(make_upper(*store_, id, layers));
        return mount_box(*store_, layers, id, users_.get(), kBase);
    }
    /// Writes through the mount as `id` of the box; answers errno.
    int write_as(uid_t id, const UniqueFd& mount, const std::string& name, std::string_view text) {
        return test::run_in_user_namespace(users_.get(), id, [&] {
            const auto file = open_at(mount.get(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            if (!file.ok()) return file.error().code;
            return write_all(file.value().get(), text).ok() ? 0 : EIO;
        });
    }
    std::string upper(const std::string& id) { return id + "/fs"; }

    UniqueFd users_;
};

TEST_F(OverlayMount, WhatBoxRootWritesIsRootsOnDisk) {
    const UniqueFd mount = box("b1", {layer("below", "x")}).value();
    ASSERT_EQ(write_as(0, mount, "file", "written"), 0);
    const struct stat on_disk = status_of(store_->uppers(), "b1/fs/file");
    EXPECT_EQ(on_disk.st_uid, 0U);
    EXPECT_EQ(on_disk.st_gid, 0U);
    EXPECT_EQ(status_of(mount.get(), "file").st_uid, kBase);
}

TEST_F(OverlayMount, OrdinaryUsersOfTheBoxKeepTheirIdOnDisk) {
    const UniqueFd mount = box("b1", {layer("below", "x")}).value();
    ASSERT_EQ(test::run_in_user_namespace(users_.get(), 0,
                                          [&] {
                                              if (mkdirat(mount.get(), "home", 0755) != 0) return errno;
                                              return fchownat(mount.get(), "home", 1000, 1000, 0) == 0 ? 0 : errno;
                                          }),
              0);
    EXPECT_EQ(write_as(1000, mount, "home/file", "mine"), 0);
    EXPECT_EQ(write_as(1000, mount, "file", "not mine"), EACCES);
    EXPECT_EQ(status_of(store_->uppers(), "b1/fs/home/file").st_uid, 1000U);
}

TEST_F(OverlayMount, FilesOfALayerAppearAsTheBoxsOwn) {
    const UniqueFd mount = box("b1", {layer("below", "x")}).value();
    EXPECT_EQ(status_of(mount.get(), "below").st_uid, kBase);
    EXPECT_EQ(write_as(0, mount, "below", "copied up"), 0);
    EXPECT_EQ(content(store_->uppers(), "b1/fs/below"), "copied up");
}

TEST_F(OverlayMount, BoxesShareALayerAndKeepTheirWrites) {
    const std::string shared = layer("shared", "same");
    const UniqueFd one = box("b1", {shared}).value();
    const UniqueFd two = box("b2", {shared}).value();
    ASSERT_EQ(write_as(0, one, "shared", "mine"), 0);
    EXPECT_EQ(content(one.get(), "shared"), "mine");
    EXPECT_EQ(content(two.get(), "shared"), "same");
    EXPECT_EQ(content(store_->layers(), shared + "/fs/shared"), "same");
}

TEST_F(OverlayMount, LeavesNoOtherMount) {
    const std::string before = mounts();
    UniqueFd mount = box("b1", {layer("below", "x")}).value();
    EXPECT_EQ(mounts(), before);
    mount.reset();
    EXPECT_EQ(mounts(), before);
    EXPECT_TRUE(discard_upper(*store_, "b1").ok()) << "its directory is no longer busy";
}

TEST_F(OverlayMount, FailureLeavesNoMountAndNamesTheLayer) {
    const std::string before = mounts();
    ASSERT_TRUE(make_upper(*store_, "b1", {layer("below", "x")}).ok());
    const auto mount = mount_box(*store_, {"absent"}, "b1", users_.get(), kBase);
    ASSERT_FALSE(mount.ok());
    EXPECT_EQ(mount.error().code, ENOENT);
    EXPECT_NE(mount.error().message.find("mounting b1: "), std::string::npos);
    if (takes_lowers_one_by_one()) {  // mount(2) does not say which
        EXPECT_NE(mount.error().message.find("absent"), std::string::npos) << mount.error().message;
    }
    EXPECT_EQ(mounts(), before);
}

TEST_F(OverlayMount, NeedsSafeIds) {
    EXPECT_EQ(mount_box(*store_, {"../x"}, "b1", users_.get(), kBase).error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(mount_box(*store_, {"l1"}, "b/1", users_.get(), kBase).error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(mount_box(*store_, {}, "b1", users_.get(), kBase).error().kind, ErrorKind::kInvalid);
}

TEST_F(OverlayMount, FortyLayersStackTopmostFirst) {
    if (!takes_lowers_one_by_one()) GTEST_SKIP() << "kernel without lowerdir+: see OlderKernelsWay";
    std::vector<std::string> layers;
    for (int i = 0; i < 40; ++i) layers.insert(layers.begin(), layer("top", std::to_string(i)));
    const UniqueFd mount = box("b1", layers).value();
    EXPECT_EQ(content(mount.get(), "top"), "39");
}

TEST_F(OverlayMount, OlderKernelsWayStacksFortyLayersToo) {
    OverlayDirs dirs;
    for (int i = 0; i < 40; ++i) {
        dirs.lowers.insert(dirs.lowers.begin(), path_ + "/store/layers/" + layer("top", std::to_string(i)) + "/fs");
    }
    ASSERT_TRUE(make_dirs_at(store_->uppers(), "b1/fs").ok() && make_dirs_at(store_->uppers(), "b1/work").ok());
    dirs.upper = path_ + "/store/uppers/b1/fs";
    dirs.work = path_ + "/store/uppers/b1/work";
    const std::string before = mounts();
    const auto mount = overlay_by_mount(dirs, store_->uppers(), "b1");
    ASSERT_TRUE(mount.ok()) << mount.error().message;
    EXPECT_EQ(mounts(), before);
    EXPECT_EQ(content(mount.value().get(), "top"), "39");
    put(mount.value().get(), "new", "up");
    EXPECT_EQ(content(store_->uppers(), "b1/fs/new"), "up");
}

TEST_F(OverlayMount, OlderKernelsWayRefusesMoreThanAPageOfOptions) {
    const OverlayDirs dirs{std::vector<std::string>(200, path_ + "/store/layers"), "u", "w"};
    EXPECT_EQ(overlay_by_mount(dirs, store_->root(), "tmp").error().code, E2BIG);
}

TEST_F(OverlayMount, DeviceNodesDoNotOpen) {
    Import import = begin_layer(*store_).value();
    ASSERT_EQ(mknodat(import.root(), "null", S_IFCHR | 0666, makedev(1, 3)), 0);
    const std::string id = seal_layer(*store_, std::move(import)).value();
    const UniqueFd mount = box("b1", {id}).value();
    EXPECT_EQ(open_at(mount.get(), "null", O_RDONLY).error().code, EACCES);

    ASSERT_TRUE(make_upper(*store_, "b2", {id}).ok());
    const OverlayDirs dirs{
        {path_ + "/store/layers/" + id + "/fs"}, path_ + "/store/uppers/b2/fs", path_ + "/store/uppers/b2/work"};
    const UniqueFd older = overlay_by_mount(dirs, store_->uppers(), "b2").value();
    EXPECT_EQ(open_at(older.get(), "null", O_RDONLY).error().code, EACCES);
}

TEST_F(OverlayMount, SetUidProgramsRunAsTheirOwner) {
    Import import = begin_layer(*store_).value();
    const std::string program = read_file_at(AT_FDCWD, "/usr/bin/id", 8 << 20).value();
    put(import.root(), "id", program, 04755);
    const UniqueFd mount = box("b1", {seal_layer(*store_, std::move(import)).value()}).value();
    // Only a mount of the caller's namespace honours set-uid (mnt_may_suid()).
    const std::string at = path_ + "/at";
    ASSERT_EQ(mkdir(at.c_str(), 0755), 0);
    ASSERT_EQ(chmod(path_.c_str(), 0755), 0);
    ASSERT_EQ(sys_move_mount(mount.get(), "", AT_FDCWD, at.c_str(), MOVE_MOUNT_F_EMPTY_PATH), 0);
    int output[2];
    ASSERT_EQ(pipe2(output, O_CLOEXEC), 0);
    const UniqueFd read_end(output[0]);
    UniqueFd write_end(output[1]);
    EXPECT_EQ(test::run_in_user_namespace(users_.get(), 1000,
                                          [&] {
                                              dup2(write_end.get(), 1);
                                              execl((at + "/id").c_str(), "id", "-u", nullptr);
                                              return 98;
                                          }),
              0);
    write_end.reset();
    char text[16] = {};
    ASSERT_GT(::read(read_end.get(), text, sizeof(text) - 1), 0);
    EXPECT_STREQ(text, "0\n");
    EXPECT_EQ(sys_umount2(at.c_str(), kMntDetach), 0);
}

TEST_F(OverlayMount, RedirectsInALayerAreNotFollowed) {
    Import below = begin_layer(*store_).value();
    ASSERT_TRUE(make_dirs_at(below.root(), "secret").ok());
    put(below.root(), "secret/file", "hidden");
    const std::string lower = seal_layer(*store_, std::move(below)).value();
    Import above = begin_layer(*store_).value();
    ASSERT_TRUE(make_dirs_at(above.root(), "door").ok());
    const UniqueFd door = open_at(above.root(), "door", O_RDONLY | O_DIRECTORY).value();
    ASSERT_EQ(fsetxattr(door.get(), "trusted.overlay.redirect", "/secret", 7, 0), 0);
    const std::string upper_layer = seal_layer(*store_, std::move(above)).value();
    const UniqueFd mount = box("b1", {upper_layer, lower}).value();
    EXPECT_FALSE(open_at(mount.get(), "door/file", O_RDONLY).ok());
}

TEST_F(OverlayMount, PlainRootCannotWriteThroughAnIdmappedUpper) {
    // Why FsIdentity is there: the same dirs, mounted with the thread's own identity.
    ASSERT_TRUE(make_upper(*store_, "b1", {layer("below", "x")}).ok());
    const UniqueFd view(sys_open_tree(store_->root(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(users_.get());
    ASSERT_EQ(sys_mount_setattr(view.get(), "", AT_EMPTY_PATH, attributes), 0);
    ASSERT_EQ(sys_move_mount(view.get(), "", store_->uppers(), "b1", MOVE_MOUNT_F_EMPTY_PATH), 0);
    const std::string at = path_ + "/store/uppers/b1";
    const OverlayDirs dirs{{at + "/layers/" + names_in(store_->layers()).value().front() + "/fs"},
                           at + "/uppers/b1/fs",
                           at + "/uppers/b1/work"};
    const auto mount =
        takes_lowers_one_by_one() ? overlay_by_fsconfig(dirs) : overlay_by_mount(dirs, store_->uppers(), "b1");
    if (mount.ok()) {
        EXPECT_EQ(open_at(mount.value().get(), "file", O_WRONLY | O_CREAT, 0644).error().code, EROFS);
    } else {
        EXPECT_EQ(mount.error().code, EOVERFLOW);
    }
    EXPECT_EQ(sys_umount2(at.c_str(), kMntDetach), 0);
}

TEST_F(OverlayMount, TheThreadIsItselfAgain) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct before[2] = {};
    __user_cap_data_struct after[2] = {};
    ASSERT_EQ(sys_capget(&header, before), 0);
    const std::string id = layer("below", "x");
    ASSERT_TRUE(box("b1", {id}).ok());
    EXPECT_FALSE(mount_box(*store_, {id}, "absent", users_.get(), kBase).ok());
    ASSERT_EQ(sys_capget(&header, after), 0);
    EXPECT_EQ(std::memcmp(before, after, sizeof(before)), 0);
    put(AT_FDCWD, path_ + "/mine", "");
    EXPECT_EQ(status_of(AT_FDCWD, path_ + "/mine").st_uid, 0U);
    EXPECT_EQ(status_of(AT_FDCWD, path_ + "/mine").st_gid, 0U);
}

TEST_F(OverlayMount, ThreadsMountAtOnce) {
    const std::string before = mounts();
    const std::string shared = layer("shared", "same");
    std::vector<UniqueFd> made[2];
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&, t] {
                for (int i = 0; i < 20; ++i) {
                    auto mount = box("b" + std::to_string(t) + "-" + std::to_string(i), {shared});
                    if (mount.ok()) made[t].push_back(std::move(mount).value());
                }
            });
        }
    }
    EXPECT_EQ(made[0].size() + made[1].size(), 40U);
    EXPECT_EQ(mounts(), before);
    for (const UniqueFd& mount : made[1]) {
        struct statvfs filesystem {};
        ASSERT_EQ(fstatvfs(mount.get(), &filesystem), 0);
        EXPECT_EQ(filesystem.f_flag & ST_RDONLY, 0U);
    }
}

TEST_F(OverlayMount, AnUpperIsMountedAgainWithItsFiles) {
    const std::string id = layer("below", "x");
    UniqueFd mount = box("b1", {id}).value();
    ASSERT_EQ(write_as(0, mount, "file", "kept"), 0);
    mount.reset();
    mount = mount_box(*store_, {id}, "b1", users_.get(), kBase).value();
    EXPECT_EQ(content(mount.get(), "file"), "kept");
    EXPECT_EQ(write_as(0, mount, "file", "changed"), 0);
}

TEST_F(OverlayMount, ASealedUpperIsALayerBelowTheNextOne) {
    const std::string image = layer("below", "x");
    UniqueFd mount = box("b1", {image}).value();
    ASSERT_EQ(write_as(0, mount, "file", "first"), 0);
    ASSERT_EQ(test::run_in_user_namespace(users_.get(), 0, [&] { return unlinkat(mount.get(), "below", 0); }), 0);
    mount.reset();
    ASSERT_TRUE(seal_upper(*store_, "b1", "snap1").ok());
    EXPECT_FALSE(mount_box(*store_, {"snap1", image}, "b1", users_.get(), kBase).ok()) << "no upper is made";
    for (const char* id : {"b1", "b2"}) {  // the box goes on, another is forked from it
        const auto next = box(id, {"snap1", image});
        ASSERT_TRUE(next.ok()) << next.error().message;
        EXPECT_EQ(content(next.value().get(), "file"), "first");
        EXPECT_FALSE(open_at(next.value().get(), "below", O_RDONLY).ok()) << "what was deleted stays deleted";
        EXPECT_EQ(write_as(0, next.value(), "file", "second"), 0);
    }
    EXPECT_EQ(content(store_->layers(), "snap1/fs/file"), "first");
    EXPECT_EQ(names_in(open_at(store_->layers(), "snap1", O_RDONLY).value().get()).value().size(), 1U)
        << "nothing of overlayfs' own is kept";
}

using OverlayStore = OverlayfsTest;

TEST_F(OverlayStore, Ext4SpreadsTheUppers) {
    struct statfs filesystem {};
    ASSERT_EQ(fstatfs(store_->root(), &filesystem), 0);
    if (filesystem.f_type != EXT4_SUPER_MAGIC) GTEST_SKIP() << "the store is not on ext4";
    int flags = 0;
    ASSERT_EQ(ioctl(store_->uppers(), FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_NE(flags & FS_TOPDIR_FL, 0);
}

TEST_F(OverlayStore, AnUpperTakesAfterTheLayerBelow) {
    Import import = begin_layer(*store_).value();
    ASSERT_EQ(fchown(import.root(), 5, 6), 0);
    ASSERT_EQ(fchmod(import.root(), 01777), 0);
    ASSERT_EQ(fsetxattr(import.root(), "user.note", "x", 1, 0), 0);
    ASSERT_EQ(fsetxattr(import.root(), "trusted.overlay.opaque", "y", 1, 0), 0);
    const timespec times[2] = {{1, 2}, {3, 4}};
    ASSERT_EQ(futimens(import.root(), times), 0);
    const mode_t old = umask(077);
    ASSERT_TRUE(make_upper(*store_, "b1", {seal_layer(*store_, std::move(import)).value()}).ok());
    ASSERT_TRUE(make_upper(*store_, "b2", {layer("x", "x")}).ok());
    umask(old);
    const struct stat odd = status_of(store_->uppers(), "b1/fs");
    EXPECT_EQ(odd.st_mode & 07777, 01777U);
    EXPECT_EQ(odd.st_uid, 5U);
    EXPECT_EQ(odd.st_gid, 6U);
    EXPECT_EQ(odd.st_mtim.tv_sec, 3);
    EXPECT_EQ(odd.st_mtim.tv_nsec, 4);
    const std::string root = path_ + "/store/uppers/b1/fs";
    EXPECT_EQ(getxattr(root.c_str(), "user.note", nullptr, 0), 1);
    EXPECT_LT(getxattr(root.c_str(), "trusted.overlay.opaque", nullptr, 0), 0);
    EXPECT_EQ(status_of(store_->uppers(), "b2/fs").st_mode & 07777, 0755U) << "whatever the umask";
}

TEST_F(OverlayStore, MakingAnUpperTwiceLeavesTheFirst) {
    const std::string id = layer("x", "x");
    ASSERT_TRUE(make_upper(*store_, "b1", {id}).ok());
    EXPECT_EQ(make_upper(*store_, "b1", {id}).error().code, EEXIST);
    EXPECT_TRUE(S_ISDIR(status_of(store_->uppers(), "b1/fs").st_mode));
    EXPECT_TRUE(S_ISDIR(status_of(store_->uppers(), "b1/work").st_mode));
    EXPECT_EQ(make_upper(*store_, "b2", {"absent"}).error().code, ENOENT);
    EXPECT_EQ(count(store_->uppers()), 1U);
}

TEST_F(OverlayStore, ASealedLayerSurvivesReopening) {
    const std::string id = layer("file", "kept");
    store_.emplace(Store::open(path_ + "/store").value());
    ASSERT_TRUE(recover(*store_, {id}, {}).ok());
    EXPECT_TRUE(has_layer(*store_, id).value());
    EXPECT_EQ(content(store_->layers(), id + "/fs/file"), "kept");
    const struct stat root = status_of(store_->layers(), id + "/fs");
    EXPECT_EQ(root.st_mode & 07777, 0755U);
    EXPECT_EQ(root.st_uid, 0U);
}

TEST_F(OverlayStore, AnImportNotSealedIsTrash) {
    {
        const Import import = begin_layer(*store_).value();
        EXPECT_EQ(count(store_->tmp()), 1U);
    }
    EXPECT_EQ(count(store_->tmp()), 0U);
    EXPECT_EQ(count(store_->layers()), 0U);
    EXPECT_EQ(count(store_->trash()), 1U);
    Import import = begin_layer(*store_).value();
    import.abandon();
    EXPECT_EQ(seal_layer(*store_, std::move(import)).error().kind, ErrorKind::kConflict);
}

TEST_F(OverlayStore, SealingAnUpperAgainIsFine) {
    ASSERT_TRUE(make_upper(*store_, "b1", {layer("x", "x")}).ok());
    ASSERT_TRUE(seal_upper(*store_, "b1", "snap1").ok());
    EXPECT_TRUE(seal_upper(*store_, "b1", "snap1").ok());
    EXPECT_EQ(seal_upper(*store_, "b1", "snap2").error().code, ENOENT);
    EXPECT_FALSE(has_layer(*store_, "snap2").value());
}

TEST_F(OverlayStore, ACrashBeforeTheHandOverLeavesTheUpper) {
    ASSERT_TRUE(make_upper(*store_, "b1", {layer("x", "x")}).ok());
    put(store_->uppers(), "b1/fs/file", "kept");
    ASSERT_EQ(mkdirat(store_->layers(), "snap1", 0700), 0);  // as an earlier version did just before its rename
    EXPECT_FALSE(has_layer(*store_, "snap1").value());
    ASSERT_TRUE(recover(*store_, {"snap1"}, {"b1"}).ok());
    EXPECT_EQ(count(store_->layers()), 0U) << "half a layer is none, though known";
    EXPECT_EQ(content(store_->uppers(), "b1/fs/file"), "kept");
    ASSERT_TRUE(seal_upper(*store_, "b1", "snap1").ok());
    EXPECT_EQ(content(store_->layers(), "snap1/fs/file"), "kept");
}

TEST_F(OverlayStore, DiscardingIsARenameAndTheReaperDeletes) {
    const std::string id = layer("x", "x");
    ASSERT_TRUE(make_upper(*store_, "b1", {id}).ok());
    const ino_t upper = status_of(store_->uppers(), "b1").st_ino;
    ASSERT_TRUE(discard_upper(*store_, "b1").ok());
    ASSERT_EQ(count(store_->trash()), 1U);
    EXPECT_EQ(status_of(store_->trash(), names_in(store_->trash()).value().front()).st_ino, upper);
    ASSERT_TRUE(discard_layer(*store_, id).ok());
    EXPECT_TRUE(discard_layer(*store_, id).ok()) << "a missing one is fine";
    EXPECT_TRUE(discard_upper(*store_, "b1").ok());
    EXPECT_EQ(count(store_->uppers()) + count(store_->layers()), 0U);
    Reaper reaper(*store_);
    EXPECT_TRUE(reaper.wait_idle().ok());
    EXPECT_EQ(count(store_->trash()), 0U);
}

TEST_F(OverlayStore, ReaperTakesWhatAnEarlierProcessLeftAndWhatComesLater) {
    ASSERT_TRUE(make_dirs_at(store_->trash(), "left/deep/er").ok());
    put(store_->trash(), "left/deep/er/file", "x");
    Reaper reaper(*store_);
    EXPECT_TRUE(reaper.wait_idle().ok());
    EXPECT_EQ(count(store_->trash()), 0U);
    ASSERT_TRUE(make_dirs_at(store_->trash(), "later").ok());
    reaper.nudge();
    EXPECT_TRUE(reaper.wait_idle().ok());
    EXPECT_EQ(count(store_->trash()), 0U);
}

TEST_F(OverlayStore, ReaperGoesOnPastWhatItCannotDelete) {
    put(store_->trash(), "stuck", "x");
    put(store_->trash(), "other", "x");
    const UniqueFd stuck = open_at(store_->trash(), "stuck", O_RDONLY).value();
    const auto set_flags = [&](int flags) { return ioctl(stuck.get(), FS_IOC_SETFLAGS, &flags); };
    if (set_flags(FS_IMMUTABLE_FL) != 0) GTEST_SKIP() << "filesystem without the immutable flag";
    Reaper reaper(*store_);
    const auto first = reaper.wait_idle();
    EXPECT_EQ(names_in(store_->trash()).value(), std::vector<std::string>{"stuck"});
    ASSERT_EQ(set_flags(0), 0);
    ASSERT_FALSE(first.ok());
    EXPECT_NE(first.error().message.find("trash/stuck"), std::string::npos);
    EXPECT_TRUE(reaper.wait_idle().ok()) << "it is tried again";
    EXPECT_EQ(count(store_->trash()), 0U);
}

TEST_F(OverlayStore, RecoverKeepsWhatIsKnownOnly) {
    const std::string known = layer("x", "x");
    const std::string unknown = layer("x", "x");
    for (const char* box : {"known", "unknown"}) ASSERT_TRUE(make_upper(*store_, box, {known}).ok());
    ASSERT_TRUE(make_dirs_at(store_->tmp(), "half/fs").ok());
    const Recovered recovered = recover(*store_, {known, "never-made"}, {"known"}).value();
    EXPECT_EQ(recovered.layers, std::vector<std::string>{unknown});
    EXPECT_EQ(recovered.uppers, std::vector<std::string>{"unknown"});
    EXPECT_EQ(recovered.unfinished, std::vector<std::string>{"half"});
    EXPECT_EQ(names_in(store_->layers()).value(), std::vector<std::string>{known});
    EXPECT_EQ(names_in(store_->uppers()).value(), std::vector<std::string>{"known"});
    EXPECT_EQ(count(store_->trash()), 3U);
    const Recovered again = recover(*store_, {known}, {"known"}).value();
    EXPECT_TRUE(again.layers.empty() && again.uppers.empty() && again.unfinished.empty());
}

TEST_F(OverlayStore, LayerBytesAreItsOwn) {
    const std::string id = layer("file", std::string(1 << 20, 'x'));
    EXPECT_GE(layer_bytes(*store_, id).value(), 1U << 20);
    EXPECT_LT(layer_bytes(*store_, id).value(), (1U << 20) + (1U << 16));
    EXPECT_FALSE(layer_bytes(*store_, "absent").ok());
    EXPECT_EQ(layer_bytes(*store_, "..").error().kind, ErrorKind::kInvalid);
}

}  // namespace
}  // namespace hutch::overlayfs
