#include <gtest/gtest.h>
#include <sys/xattr.h>

#include "overlayfs/flatten.h"
#include "overlayfs/marks.h"
#include "tests/kernel/overlayfs_fixture.h"
#include "tests/kernel/tree_manifest.h"

namespace hutch::overlayfs {
namespace {

/// Layers written by hand: "top" on "middle", to be flattened, on "below", which stays.
class OverlayFlatten : public OverlayfsTest {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        top_ = directory(store_->layers(), "top/fs");
        middle_ = directory(store_->layers(), "middle/fs");
        below_ = directory(store_->layers(), "below/fs");
    }
    static void opaque(const UniqueFd& dir, const std::string& path) {
        ASSERT_TRUE(set_opaque(directory(dir.get(), path).get()).ok());
    }
    static bool has(const UniqueFd& dir, const std::string& name) {
        return faccessat(dir.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    static bool opaque_at(const UniqueFd& dir, const std::string& path) {
        return is_opaque(open_at(dir.get(), path, O_RDONLY | O_DIRECTORY).value().get()).value();
    }
    UniqueFd flat(const std::vector<std::string>& below = {"below"}) {
        auto import = flatten(*store_, {"top", "middle"}, below, {});
        EXPECT_TRUE(import.ok()) << import.error().message;
        return open_layer(*store_, seal_layer(*store_, std::move(import).value()).value()).value();
    }

    UniqueFd top_, middle_, below_;
};

TEST_F(OverlayFlatten, TheTopmostWinsAndDirectoriesMerge) {
    put(top_.get(), "file", "top");
    put(middle_.get(), "file", "middle");
    directory(top_.get(), "dir");
    ASSERT_EQ(fchmodat(top_.get(), "dir", 01700, 0), 0);
    directory(middle_.get(), "dir");
    put(middle_.get(), "dir/of-middle", "x");
    put(top_.get(), "dir/of-top", "x");
    put(below_.get(), "below", "x");
    ASSERT_EQ(fchmod(top_.get(), 0711), 0);
    const UniqueFd made = flat();
    EXPECT_EQ(content(made.get(), "file"), "top");
    EXPECT_TRUE(has(made, "dir/of-top") && has(made, "dir/of-middle"));
    EXPECT_EQ(status_of(made.get(), "dir").st_mode & 07777, 01700U);
    EXPECT_EQ(status_of(made.get(), ".").st_mode & 07777, 0711U);
    EXPECT_FALSE(has(made, "below"));
}

TEST_F(OverlayFlatten, AWhiteoutStaysWhereItHidesSomething) {
    for (const char* name : {"of-middle", "of-below", "of-none"}) whiteout(top_, name);
    put(middle_.get(), "of-middle", "x");
    directory(below_.get(), "of-below");
    directory(top_.get(), "new");
    whiteout(open_at(top_.get(), "new", O_RDONLY).value(), "within");
    const UniqueFd made = flat();
    EXPECT_EQ(names_in(made.get()).value().size(), 2U);
    EXPECT_TRUE(is_whiteout(status_of(made.get(), "of-below")));
    EXPECT_EQ(count(open_at(made.get(), "new", O_RDONLY).value().get()), 0U);
}

TEST_F(OverlayFlatten, ADirectoryIsOpaqueWhereItHidesSomething) {
    opaque(top_, "of-below");
    opaque(top_, "of-none");
    opaque(top_, "of-a-file");
    directory(below_.get(), "of-below/within");
    put(below_.get(), "of-a-file", "x");
    whiteout(top_, "of-below/within");
    directory(top_.get(), "over-a-whiteout");
    whiteout(middle_, "over-a-whiteout");
    directory(below_.get(), "over-a-whiteout");
    directory(top_.get(), "over-a-file");
    put(middle_.get(), "over-a-file", "x");
    directory(below_.get(), "over-a-file");
    directory(top_.get(), "merged");
    directory(below_.get(), "merged");
    const UniqueFd made = flat();
    EXPECT_TRUE(opaque_at(made, "of-below"));
    EXPECT_FALSE(has(made, "of-below/within")) << "the mark hides it already";
    EXPECT_FALSE(opaque_at(made, "of-none"));
    EXPECT_FALSE(opaque_at(made, "of-a-file"));
    EXPECT_TRUE(opaque_at(made, "over-a-whiteout"));
    EXPECT_TRUE(opaque_at(made, "over-a-file"));
    EXPECT_FALSE(opaque_at(made, "merged"));
}

TEST_F(OverlayFlatten, AtTheBottomNothingOfOverlayfsIsLeft) {
    whiteout(top_, "whiteout");
    opaque(top_, "dir");
    put(top_.get(), "file", "x");
    const std::string file = path_ + "/store/layers/top/fs/file";
    ASSERT_EQ(setxattr(file.c_str(), "trusted.overlay.origin", "x", 1, 0), 0);
    ASSERT_EQ(setxattr(file.c_str(), "user.note", "x", 1, 0), 0);
    const UniqueFd made = flat({});
    EXPECT_EQ(count(made.get()), 2U);
    EXPECT_FALSE(opaque_at(made, "dir"));
    const std::string copy = "/proc/self/fd/" + std::to_string(made.get()) + "/file";
    EXPECT_LT(getxattr(copy.c_str(), "trusted.overlay.origin", nullptr, 0), 0);
    EXPECT_EQ(getxattr(copy.c_str(), "user.note", nullptr, 0), 1);
}

TEST_F(OverlayFlatten, NamesOfOneFileStayNamesOfOneFile) {
    directory(middle_.get(), "dir");
    put(middle_.get(), "one", "x");
    for (const char* name : {"dir/two", "three"}) ASSERT_EQ(linkat(middle_.get(), "one", middle_.get(), name, 0), 0);
    put(top_.get(), "three", "y");
    const UniqueFd made = flat();
    EXPECT_EQ(status_of(made.get(), "one").st_ino, status_of(made.get(), "dir/two").st_ino);
    EXPECT_EQ(status_of(made.get(), "one").st_nlink, 2U);
    EXPECT_EQ(status_of(made.get(), "three").st_nlink, 1U);
}

TEST_F(OverlayFlatten, AnyDepth) {
    constexpr int kDepth = 3000;
    for (const UniqueFd* dir : {&top_, &middle_, &below_}) {
        UniqueFd here = duplicate(dir->get()).value();
        for (int i = 0; i < kDepth; ++i) here = make_dirs_beneath(here.get(), "d").value();
        put(here.get(), dir == &top_ ? "top" : "other", "x");
    }
    UniqueFd here = flat();
    for (int i = 0; i < kDepth; ++i) here = open_at(here.get(), "d", O_RDONLY | O_DIRECTORY).value();
    EXPECT_EQ(count(here.get()), 2U);
}

TEST_F(OverlayFlatten, StopsWhenToldAndLeavesNothing) {
    put(top_.get(), "file", "x");
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(flatten(*store_, {"top"}, {"below"}, source.get_token()).error().code, ECANCELED);
    EXPECT_EQ(flatten(*store_, {"absent"}, {"below"}, {}).error().code, ENOENT);
    EXPECT_EQ(flatten(*store_, {}, {"below"}, {}).error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(count(store_->tmp()), 0U);
}

}  // namespace
}  // namespace hutch::overlayfs
