#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <random>

#include "overlayfs/change_archive.h"
#include "overlayfs/layer_archive.h"
#include "overlayfs/marks.h"
#include "overlayfs/mount.h"
#include "overlayfs/tree_copy.h"
#include "overlayfs/upper.h"
#include "tests/kernel/layer_applier.h"
#include "tests/kernel/overlayfs_fixture.h"
#include "tests/kernel/random_history.h"
#include "tests/kernel/tree_manifest.h"

namespace hutch::overlayfs {
namespace {

using test::compare;
using test::LayerApplier;
using test::Manifest;
using test::manifest_of;
using Paths = std::vector<std::string>;

/// Archives of layers, and of what one stack has that another has not, applied to plain directories.
class OverlayLayer : public OverlayfsTest {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        base_ = directory(store_->layers(), "base/fs");
        top_ = directory(store_->layers(), "top/fs");
    }
    UniqueFd plain(const std::string& name) {
        const std::string path = path_ + "/" + name;
        EXPECT_EQ(mkdir(path.c_str(), 0755), 0);
        return open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY).value();
    }
    std::string layer_tar(const Paths& stack) {
        std::string bytes;
        const ByteSink sink = [&bytes](std::string_view piece) -> Result<void> {
            bytes += piece;
            return {};
        };
        const auto roots = open_layers(*store_, stack).value();
        const auto done = archive_layer(roots, {}, sink, [](const std::string&) { return false; });
        EXPECT_TRUE(done.ok()) << done.error().message;
        return bytes;
    }
    std::string changes_tar(const Stack& now, const Paths& before) {
        std::string bytes;
        const ByteSink sink = [&bytes](std::string_view piece) -> Result<void> {
            bytes += piece;
            return {};
        };
        const auto stacks = open_stacks(*store_, now, before).value();
        const auto done = archive_changes(stacks, {}, sink, [](const Change&) { return false; });
        EXPECT_TRUE(done.ok()) << done.error().message;
        return bytes;
    }
    std::string copy_of_base() {
        Import import = begin_layer(*store_).value();
        EXPECT_TRUE(copy_tree(base_.get(), import, {}).ok());
        return seal_layer(*store_, std::move(import)).value();
    }
    Paths entries(const std::string& tar) {
        const UniqueFd root = plain("entries" + std::to_string(++plains_));
        LayerApplier applier(root.get());
        applier.apply(tar);
        return applier.entries();
    }

    UniqueFd base_, top_;
    int plains_ = 0;
};

TEST_F(OverlayLayer, ParentsOfWhatChangedComeWithTheirOwnersModesAndTimes) {
    directory(base_.get(), "home/user/deep");
    directory(top_.get(), "home/user/deep");
    for (const UniqueFd* layer : {&base_, &top_}) {
        ASSERT_EQ(fchownat(layer->get(), "home/user", 1000, 1000, 0), 0);
        ASSERT_EQ(fchmodat(layer->get(), "home/user", 0700, 0), 0);
    }
    put(top_.get(), "home/user/deep/new", "x");
    directory(base_.get(), "other/idle");
    directory(top_.get(), "other/idle");  // entered, and nothing found
    const timespec times[2] = {{1, 0}, {1234567890, 42}};
    ASSERT_EQ(utimensat(top_.get(), "home/user", times, 0), 0);
    const std::string tar = changes_tar({{}, {"top", "base"}}, {"base"});
    EXPECT_EQ(entries(tar), Paths({"home", "home/user", "home/user/deep", "home/user/deep/new"}));
    const UniqueFd out = plain("out");
    LayerApplier(out.get()).apply(tar);
    const struct stat user = status_of(out.get(), "home/user");
    EXPECT_EQ(user.st_uid, 1000U);
    EXPECT_EQ(user.st_mode & 07777, 0700U);
    EXPECT_EQ(user.st_mtim.tv_sec, 1234567890);
    EXPECT_EQ(user.st_mtim.tv_nsec, 42);
    EXPECT_EQ(changes_tar({{}, {"base"}}, {"base"}).size(), 1024U) << "no change is an archive of nothing";
}

TEST_F(OverlayLayer, WhiteoutsComeBeforeTheirSiblings) {
    directory(base_.get(), "d/z");
    put(base_.get(), "d/y", "x");
    whiteout(directory(top_.get(), "d"), "z");
    whiteout(directory(top_.get(), "d"), "y");
    put(directory(top_.get(), "d/a").get(), "within", "x");
    const Paths expected = {"d", "d/.wh.y", "d/.wh.z", "d/a", "d/a/within"};
    EXPECT_EQ(entries(changes_tar({{}, {"top", "base"}}, {"base"})), expected);
    Paths with_root = expected;
    with_root.insert(with_root.begin(), ".");
    EXPECT_EQ(entries(layer_tar({"top", "base"})), with_root);
}

TEST_F(OverlayLayer, AnOpaqueDirectoryIsTheWhiteoutsOfWhatItHides) {
    put(directory(base_.get(), "d/kept").get(), "within", "old");
    put(base_.get(), "d/gone", "x");
    directory(base_.get(), "fresh-beside");
    ASSERT_TRUE(set_opaque(directory(top_.get(), "d").get()).ok());
    ASSERT_TRUE(set_opaque(directory(top_.get(), "fresh").get()).ok());  // hides nothing
    directory(top_.get(), "d/kept");                                     // not opaque itself, and still all of it
    put(top_.get(), "d/new", "x");
    const Paths expected = {".", "d", "d/.wh.gone", "d/new", "d/kept", "d/kept/.wh.within", "fresh"};
    EXPECT_EQ(entries(layer_tar({"top", "base"})), expected);
}

TEST_F(OverlayLayer, NothingOfTheHostIsInIt) {
    put(base_.get(), "file", "x");
    ASSERT_EQ(linkat(base_.get(), "file", base_.get(), "linked", 0), 0);
    ASSERT_EQ(setxattr((path_ + "/store/layers/base/fs/file").c_str(), "user.note", "hello", 5, 0), 0);
    const std::string once = layer_tar({"base"});
    for (const char* key : {"SCHILY.ino", "SCHILY.dev", "SCHILY.nlink", "ctime", "atime", "LIBARCHIVE"}) {
        EXPECT_EQ(once.find(key), std::string::npos) << key;
    }
    EXPECT_NE(once.find("SCHILY.xattr.user.note=hello"), std::string::npos);
    const std::string copy = copy_of_base();
    EXPECT_EQ(layer_tar({copy}), once) << "a copy of a layer, in other inodes, gives the same bytes";
}

TEST_F(OverlayLayer, SocketsAreLeftOutAndNamesOfWhiteoutsRefused) {
    const UniqueFd socket_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{AF_UNIX, {}};
    const std::string path = "/proc/self/fd/" + std::to_string(base_.get()) + "/socket";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(entries(layer_tar({"base"})), Paths({"."}));
    put(base_.get(), ".wh.name", "x");
    const auto done = archive_layer(
        open_layers(*store_, {"base"}).value(), {}, [](std::string_view) { return Result<void>(); },
        [](const std::string&) { return false; });
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(done.error().message.find("/.wh.name"), std::string::npos);
}

TEST_F(OverlayLayer, AnErrorOfWhoTakesItEndsIt) {
    put(base_.get(), "file", std::string(1 << 20, 'x'));
    size_t taken = 0;
    const auto done = archive_layer(
        open_layers(*store_, {"base"}).value(), {},
        [&](std::string_view piece) -> Result<void> {
            taken += piece.size();
            return errno_error("writing", EINVAL);
        },
        [](const std::string&) { return false; });
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, EINVAL);
    EXPECT_LT(taken, size_t{300} << 10);
}

/// Further names of what is no regular file become files of their own: not all that unpack link these.
Manifest with_links_apart(Manifest manifest) {
    for (auto& [path, entry] : manifest) {
        if (!S_ISREG(entry.type)) entry.same_as.clear();
    }
    return manifest;
}

/// What only was touched, or got a further name, is no change: neither times nor what is one file are compared.
Manifest of_changes(Manifest manifest) {
    for (auto& [path, entry] : manifest) {
        entry.mtime.clear();
        entry.same_as.clear();
    }
    return manifest;
}

TEST_F(OverlayLayer, WhateverABoxHasWrittenItsLayersSayTogether) {
    const char* given = std::getenv("HUTCH_PROPERTY_SEED");
    const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
    SCOPED_TRACE("HUTCH_PROPERTY_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    const UniqueFd users = test::make_user_namespace(0).value();
    Paths layers = {"base"};
    const UniqueFd out = plain("out");
    LayerApplier applier(out.get());
    applier.apply(layer_tar(layers));
    for (int round = 0; round < 12 && !HasFatalFailure(); ++round) {
        const std::string box = "box" + std::to_string(round);
        ASSERT_TRUE(make_upper(*store_, box, layers).ok());
        UniqueFd mount = mount_box(*store_, layers, box, users.get(), 0).value();
        const uint64_t life = random();
        const int status = test::run_in_user_namespace(users.get(), 0, [&] {
            test::RandomHistory(mount.get(), life, test::RandomHistory::Files::kArchivable).take(150);
            return 0;
        });
        ASSERT_EQ(status, 0);
        const Manifest shown = with_links_apart(manifest_of(mount.get()));
        const std::string changes = changes_tar({box, layers}, layers);
        mount.reset();
        const UniqueFd other = plain("other" + std::to_string(round));
        LayerApplier beside(other.get());
        for (size_t i = layers.size(); i-- > 0;)
            beside.apply(layer_tar({layers.begin() + static_cast<long>(i), layers.end()}));
        beside.apply(changes);
        ASSERT_EQ(compare(of_changes(shown), of_changes(manifest_of(other.get()))), "") << "changes";
        ASSERT_TRUE(remove_tree_at(AT_FDCWD, path_ + "/other" + std::to_string(round)).ok());
        ASSERT_TRUE(seal_upper(*store_, box, "layer" + std::to_string(round)).ok());
        layers.insert(layers.begin(), "layer" + std::to_string(round));
        applier.apply(layer_tar(layers));
        ASSERT_EQ(compare(shown, manifest_of(out.get())), "") << "layer " << round;
    }
}

}  // namespace
}  // namespace hutch::overlayfs
