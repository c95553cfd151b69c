#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <algorithm>
#include <set>

#include "archives/plain.h"
#include "archives/spool.h"
#include "overlayfs/marks.h"
#include "overlayfs/merged_path.h"
#include "overlayfs/oci_layer.h"
#include "overlayfs/overlay.h"
#include "tests/kernel/overlayfs_fixture.h"
#include "tests/kernel/tar_builder.h"

namespace hutch::overlayfs {
namespace {

constexpr TreeLimits kOciLimits{64U << 20, 1000};

void owned(archive_entry* e, int64_t uid, mode_t mode, time_t time = 1'000'000'000) {
    archive_entry_set_uid(e, uid);
    archive_entry_set_gid(e, uid);
    archive_entry_set_perm(e, mode);
    archive_entry_set_mtime(e, time, 0);
}

/// Layers of an image, as overlayfs itself shows them.
class OverlayOci : public OverlayfsTest {
  protected:
    Result<void> add(TarBuilder& tar, const TreeLimits& limits = kOciLimits) {
        OciLayer layer = TRY(OciLayer::begin(*store_));
        TRY(layer.unpack(pull_bytes(tar.bytes()), limits));
        const auto below = TRY(open_layers(*store_, layers_));
        TRY(layer.settle(below));
        layers_.insert(layers_.begin(), TRY(seal_layer(*store_, layer.take())));
        return {};
    }
    void expect_added(TarBuilder& tar) {
        const auto added = add(tar);
        ASSERT_TRUE(added.ok()) << added.error().message;
    }
    void expect_refused_with(TarBuilder& tar, const std::string& words, const TreeLimits& limits = kOciLimits) {
        const size_t before = layers_.size();
        const auto added = add(tar, limits);
        ASSERT_FALSE(added.ok());
        EXPECT_NE(added.error().message.find(words), std::string::npos) << added.error().message;
        EXPECT_NE(added.error().kind, ErrorKind::kSystem) << added.error().message;
        EXPECT_EQ(layers_.size(), before);
        EXPECT_EQ(count(store_->tmp()), 0U);
    }
    /// The root of the stack, mounted.
    UniqueFd show() {
        const std::string place = path_ + "/merged";
        mkdir(place.c_str(), 0700);
        std::string options = "lowerdir=";
        for (const std::string& id : layers_) options += path_ + "/store/layers/" + id + "/fs:";
        options += path_ + "/store/layers/" + layer("nothing-else", "") + "/fs";  // of one layer none can be made
        EXPECT_EQ(sys_mount("overlay", place.c_str(), "overlay", MS_RDONLY, options.c_str()), 0)
            << std::strerror(errno);
        UniqueFd root = open_at(AT_FDCWD, place, O_RDONLY | O_DIRECTORY).value();
        EXPECT_EQ(sys_umount2(place.c_str(), MNT_DETACH), 0);
        return root;
    }
    static std::set<std::string> names(int dir, const std::string& path) {
        const UniqueFd opened = open_at(dir, path, O_RDONLY | O_DIRECTORY).value();
        const auto all = names_in(opened.get()).value();
        return {all.begin(), all.end()};
    }
    static bool there(int dir, const std::string& path) {
        struct stat status {};
        return fstatat(dir, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    }

    std::vector<std::string> layers_;  ///< topmost first
};

using Names = std::set<std::string>;

TEST_F(OverlayOci, WhiteoutsHideWhatIsBelow) {
    TarBuilder below, above;
    below.directory("d/").file("d/gone", "1").file("d/kept", "2").directory("tree/").file("tree/deep", "3");
    above.file("d/.wh.gone", "").file(".wh.tree", "").file("new", "4");
    expect_added(below);
    expect_added(above);
    const UniqueFd root = show();
    EXPECT_EQ(names(root.get(), "d"), Names({"kept"}));
    EXPECT_FALSE(there(root.get(), "tree"));
    EXPECT_TRUE(there(root.get(), "new"));
}

TEST_F(OverlayOci, AnOpaqueDirectoryShowsOnlyItsOwnWhateverTheOrder) {
    for (const bool first : {true, false}) {
        layers_.clear();
        TarBuilder below, above;
        below.directory("d/").file("d/old", "1").directory("d/sub/").file("d/sub/old", "2");
        const auto dress = [](archive_entry* e) { owned(e, 7, 0751); };
        if (first) above.file("d/.wh..wh..opq", "");
        above.directory("d/", dress).file("d/new", "3");
        if (!first) above.file("d/.wh..wh..opq", "");
        expect_added(below);
        expect_added(above);
        const UniqueFd root = show();
        EXPECT_EQ(names(root.get(), "d"), Names({"new"})) << first;
        const struct stat status = status_of(root.get(), "d");
        EXPECT_EQ(status.st_mode & 07777, 0751U);
        EXPECT_EQ(status.st_uid, 7U);
        EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
    }
}

TEST_F(OverlayOci, AWhiteoutAndADirectoryOfOneNameAreAnOpaqueDirectory) {
    for (const bool first : {true, false}) {
        layers_.clear();
        TarBuilder below, above;
        below.directory("d/").file("d/old", "1");
        if (first) above.file(".wh.d", "");
        above.directory("d/").file("d/new", "2");
        if (!first) above.file(".wh.d", "");
        expect_added(below);
        expect_added(above);
        EXPECT_EQ(names(show().get(), "d"), Names({"new"})) << first;
    }
}

TEST_F(OverlayOci, AWhiteoutOfWhatTheLayerHasItselfHidesOnlyTheOther) {
    TarBuilder below, above;
    below.file("f", "old");
    above.file("f", "new").file(".wh.f", "");
    expect_added(below);
    expect_added(above);
    EXPECT_EQ(content(show().get(), "f"), "new");
}

TEST_F(OverlayOci, DirectoriesThatNoEntryToldOfAreAsBelow) {
    TarBuilder below, above;
    const auto home = [](archive_entry* e) { owned(e, 1000, 0700); };
    below.directory("home/").directory("home/user/", home).directory("home/other/", home).file("home/other/f", "");
    above.file("home/user/new", "1").file("home/other/.wh.f", "").file("fresh/f", "2");
    expect_added(below);
    expect_added(above);
    const UniqueFd root = show();
    for (const char* name : {"home/user", "home/other"}) {
        const struct stat status = status_of(root.get(), name);
        EXPECT_EQ(status.st_uid, 1000U) << name;
        EXPECT_EQ(status.st_mode & 07777, 0700U) << name;
        EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000) << name;
    }
    EXPECT_EQ(status_of(root.get(), "fresh").st_mode & 07777, 0755U);
}

TEST_F(OverlayOci, EntriesBeneathWhatWasAFileOrALinkReplaceIt) {
    TarBuilder below, above;
    below.file("f", "1").symlink("l", "d").directory("d/").file("d/kept", "");
    above.file("f/x", "2").file("l/y", "3").file("own", "4").symlink("way", "/etc").file("own/z", "5");
    above.file("way/passwd", "6");
    expect_added(below);
    expect_added(above);
    const UniqueFd root = show();
    EXPECT_EQ(content(root.get(), "f/x"), "2");
    EXPECT_EQ(names(root.get(), "l"), Names({"y"}));
    EXPECT_EQ(names(root.get(), "d"), Names({"kept"})) << "written through a link";
    EXPECT_EQ(content(root.get(), "own/z"), "5");
    EXPECT_EQ(content(root.get(), "way/passwd"), "6");
}

TEST_F(OverlayOci, LinksToFilesOfLowerLayersGetACopyOfThem) {
    TarBuilder lowest, below, above;
    const auto tool = [](archive_entry* e) {
        owned(e, 3, 04755);
        archive_entry_xattr_add_entry(e, "user.note", "n", 1);
    };
    lowest.directory("bin/").file("bin/tool", "program", tool).symlink("bin/link", "tool");
    below.file("other", "");
    above.hard_link("again", "bin/tool").hard_link("third", "again").hard_link("bin/second-link", "bin/link");
    for (TarBuilder* tar : {&lowest, &below, &above}) expect_added(*tar);
    const UniqueFd root = show();
    EXPECT_EQ(content(root.get(), "again"), "program");
    const struct stat status = status_of(root.get(), "again");
    EXPECT_EQ(status.st_mode & 07777, 04755U);
    EXPECT_EQ(status.st_uid, 3U);
    EXPECT_EQ(status.st_ino, status_of(root.get(), "bin/tool").st_ino) << "they are one file";
    EXPECT_EQ(status.st_ino, status_of(root.get(), "third").st_ino);
    EXPECT_TRUE(S_ISLNK(status_of(root.get(), "bin/second-link").st_mode));
    char note = 0;
    const UniqueFd file = open_at(root.get(), "again", O_RDONLY).value();
    EXPECT_EQ(fgetxattr(file.get(), "user.note", &note, 1), 1);
}

TEST_F(OverlayOci, ALinkToWhatComesLaterInItsLayerIsToThat) {
    TarBuilder below, above;
    below.file("f", "old");
    above.hard_link("again", "sub/f").file("sub/f", "new");
    expect_added(below);
    expect_added(above);
    EXPECT_EQ(content(show().get(), "again"), "new");
}

TEST_F(OverlayOci, LinksToWhatIsNotThereAreRefused) {
    TarBuilder below, nothing, hidden, hidden_later, in_opaque, directory;
    below.directory("d/").file("d/f", "1").symlink("way", "d");
    expect_added(below);
    expect_refused_with(nothing.hard_link("x", "no/where"), "neither its layer nor those below");
    expect_refused_with(hidden.file("d/.wh.f", "").hard_link("x", "d/f"), "neither its layer nor those below");
    expect_refused_with(hidden_later.hard_link("x", "d/f").file(".wh.d", ""), "neither its layer nor those below");
    expect_refused_with(in_opaque.hard_link("x", "d/f").file("d/.wh..wh..opq", ""), "neither its layer nor those");
    expect_refused_with(directory.hard_link("x", "d"), "neither its layer nor those below have as a file");
    TarBuilder through;
    expect_refused_with(through.hard_link("x", "way/f"), "neither its layer nor those below");
}

TEST_F(OverlayOci, AnOpaqueRootStandsAlone) {
    TarBuilder below, above;
    below.file("old", "1");
    above.file("new", "2").file(".wh..wh..opq", "");
    expect_added(below);
    expect_added(above);
    const UniqueFd root = open_layer(*store_, layers_.front()).value();
    EXPECT_TRUE(is_opaque(root.get()).value());
}

TEST_F(OverlayOci, WhiteoutsOfNothingLeaveNothing) {
    TarBuilder below, above;
    below.file("f", "1");
    above.file("no/such/.wh.thing", "").file(".wh.other", "").file(".wh.f", "").file("f/.wh.x", "");
    expect_added(below);
    expect_added(above);
    const UniqueFd root = open_layer(*store_, layers_.front()).value();
    EXPECT_EQ(names(root.get(), "."), Names({"f"})) << "the whiteout of f alone";
    EXPECT_TRUE(is_whiteout(status_of(root.get(), "f")));
}

TEST_F(OverlayOci, WhatDriversAndHostsMeanIsLeftOut) {
    TarBuilder above;
    above.directory(".wh..wh.plnk/").file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs", "").add("null", AE_IFCHR, "");
    above.file("f", "1");
    expect_added(above);
    const UniqueFd root = open_layer(*store_, layers_.front()).value();
    EXPECT_EQ(names(root.get(), "."), Names({"f"}));
}

TEST_F(OverlayOci, RefusesWhatNoLayerSays) {
    const auto beyond = [](archive_entry* e) { owned(e, 65536, 0644); };
    TarBuilder up, in_whiteout, of_nothing, of_up, owner, mark, many;
    expect_refused_with(up.file("../x", ""), "goes up");
    expect_refused_with(in_whiteout.file(".wh.d/x", ""), "lies in a whiteout");
    expect_refused_with(of_nothing.file("d/.wh.", ""), "whiteout of nothing");
    expect_refused_with(of_up.file("d/.wh...", ""), "whiteout of nothing");
    expect_refused_with(owner.file("x", "", beyond), "beyond the 65,536 ids");
    expect_refused_with(
        mark.directory("d/",
                       [](archive_entry* e) { archive_entry_xattr_add_entry(e, "trusted.overlay.redirect", "/", 1); }),
        "overlayfs's own");
    for (int i = 0; i < 20; ++i) many.file(".wh." + std::to_string(i), "");
    expect_refused_with(many, "more than 10 entries", {1 << 20, 10});
}

TEST_F(OverlayOci, FindsPathsThroughTheImagesOwnLinks) {
    TarBuilder below, above;
    below.directory("nix/").file("nix/passwd", "root:x:0:0::/:").directory("run/").symlink("loop", "loop");
    above.directory("etc/").symlink("etc/passwd", "/nix/./passwd").symlink("etc/up", "../../../run");
    expect_added(below);
    expect_added(above);
    const auto roots = open_layers(*store_, layers_).value();
    EXPECT_EQ(read_merged(roots, "/etc/passwd", 100).value(), "root:x:0:0::/:");
    EXPECT_EQ(real_path(roots, "/etc/up").value(), "run");
    EXPECT_EQ(real_path(roots, "/loop").error().code, ELOOP);
    EXPECT_EQ(real_path(roots, "/etc/none").error().code, ENOENT);
    EXPECT_EQ(read_merged(roots, "/etc/passwd", 3).error().code, EFBIG);
}

TEST_F(OverlayOci, PackedBytesArePlainOnesAndTheirEndIsRead) {
    for (const int filter : {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_XZ}) {
        TarBuilder packed(filter), plain;
        const std::string data(300'000, 'z');
        const std::string wanted = plain.file("f", data).bytes();
        const bool may_go_on = filter == ARCHIVE_FILTER_NONE || filter == ARCHIVE_FILTER_GZIP;
        const std::string bytes = packed.file("f", data).bytes() + (may_go_on ? "what follows" : "");
        size_t read = 0;
        const Pull counting = [pull = pull_bytes(bytes), &read](char* buffer, size_t size) -> Result<size_t> {
            const size_t got = TRY(pull(buffer, size));
            read += got;
            return got;
        };
        const Pull pull = archives::plain_from(counting).value();
        std::string got;
        char buffer[1000];
        for (;;) {
            const auto n = pull(buffer, sizeof(buffer));
            ASSERT_TRUE(n.ok()) << filter << ' ' << n.error().message;
            if (n.value() == 0) break;
            got.append(buffer, n.value());
        }
        EXPECT_EQ(got.substr(0, wanted.size()), wanted) << filter;
        EXPECT_EQ(read, bytes.size()) << filter;
    }
}

TEST_F(OverlayOci, SpoolsFilesByNameAndByLink) {
    TarBuilder tar(ARCHIVE_FILTER_GZIP);
    tar.file("a/layer.tar", "one").file("b.json", "two").symlink("c/layer.tar", "../a/layer.tar");
    tar.symlink("out", "../../etc/passwd").hard_link("same", "b.json").file("b.json", "three");
    const UniqueFd file = open_at(AT_FDCWD, path_ + "/spool", O_RDWR | O_CREAT, 0600).value();
    const auto found = archives::spool(pull_bytes(tar.bytes()), file.get(), kOciLimits).value();
    const auto text = [&](const std::string& name) {
        const auto member = found.find(name);
        if (!member) return std::string("none");
        std::string bytes(member->size, '\0');
        EXPECT_EQ(pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(member->offset)),
                  static_cast<ssize_t>(bytes.size()));
        return bytes;
    };
    EXPECT_EQ(text("a/layer.tar"), "one");
    EXPECT_EQ(text("c/layer.tar"), "one");
    EXPECT_EQ(text("same"), "three");
    EXPECT_EQ(text("b.json"), "three");
    EXPECT_EQ(text("out"), "none");
}

}  // namespace
}  // namespace hutch::overlayfs
