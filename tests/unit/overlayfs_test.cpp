#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "overlayfs/store.h"
#include "overlayfs/tar_rules.h"
#include "overlayfs/tree.h"

namespace hutch::overlayfs {
namespace {

class OverlayfsUnit : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/hutch-test-XXXXXX";
        path_ = mkdtemp(name);
        dir_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    void TearDown() override { EXPECT_TRUE(remove_tree_at(AT_FDCWD, path_).ok()); }

    std::string path_;
    UniqueFd dir_;
};

TEST(TreePath, DropsWhatMeansNothing) {
    EXPECT_EQ(tree_path("./usr//bin/./ls/").value(), "usr/bin/ls");
    EXPECT_EQ(tree_path("/etc/passwd").value(), "etc/passwd");
    EXPECT_EQ(tree_path("a..b/...").value(), "a..b/...");
    for (const char* root : {"", "/", ".", "./", "//./"}) EXPECT_EQ(tree_path(root).value(), "") << root;
}

TEST(TreePath, RefusesToGoUp) {
    for (const char* name : {"..", "../x", "a/../b", "a/..", "/../x", "./.."}) {
        ASSERT_FALSE(tree_path(name).ok()) << name;
        EXPECT_EQ(tree_path(name).error().kind, ErrorKind::kInvalid);
    }
}

TEST(TreePath, RefusesWhiteoutsAtAnyDepth) {
    for (const char* name : {".wh.x", "a/.wh.x", "a/.wh..wh..opq", ".wh.x/y"})
        EXPECT_FALSE(tree_path(name).ok()) << name;
    EXPECT_TRUE(tree_path("a.wh.x/.wh").ok());
}

TEST(TreePath, RefusesWhatNoPathCanBe) {
    EXPECT_FALSE(tree_path(std::string_view("a\0b", 3)).ok());
    EXPECT_FALSE(tree_path(std::string(256, 'n')).ok());
    EXPECT_TRUE(tree_path(std::string(255, 'n')).ok());
    std::string deep;
    for (int i = 0; i < 2047; ++i) deep += "d/";
    EXPECT_TRUE(tree_path(deep).ok());
    EXPECT_FALSE(tree_path(deep + "d/d").ok());
}

TEST(XattrRules, KeepWhatABoxKnowsAndRefuseOverlayfsOwn) {
    EXPECT_EQ(xattr_rule("security.capability"), XattrRule::kKeep);
    EXPECT_EQ(xattr_rule("user.note"), XattrRule::kKeep);
    EXPECT_EQ(xattr_rule("trusted.overlay.redirect"), XattrRule::kRefuse);
    EXPECT_EQ(xattr_rule("trusted.overlay.overlay.opaque"), XattrRule::kRefuse);
    EXPECT_EQ(xattr_rule("user.overlay.whiteout"), XattrRule::kRefuse);
    EXPECT_EQ(xattr_rule("security.selinux"), XattrRule::kDrop);
    EXPECT_EQ(xattr_rule("system.posix_acl_access"), XattrRule::kDrop);
}

TEST_F(OverlayfsUnit, StoreIsClosedToOthersAndOpensAgain) {
    const std::string root = path_ + "/store";
    ASSERT_EQ(mkdir(root.c_str(), 0755), 0);
    ASSERT_TRUE(Store::open(root).ok());
    const Store store = Store::open(root).value();
    struct stat status {};
    ASSERT_EQ(fstat(store.root(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
    EXPECT_EQ(names_in(store.root()).value().size(), 4U);
    EXPECT_EQ(Store::open("store").error().kind, ErrorKind::kInvalid);
}

TEST_F(OverlayfsUnit, StoreIsNotOpenedThroughALink) {
    ASSERT_EQ(symlinkat("/tmp", dir_.get(), "store"), 0);
    EXPECT_FALSE(Store::open(path_ + "/store").ok());
}

TEST_F(OverlayfsUnit, TrashTakesTheSameNameTwice) {
    const Store store = Store::open(path_ + "/store").value();
    for (int i = 0; i < 2; ++i) {
        ASSERT_EQ(mkdirat(store.layers(), "l1", 0755), 0);
        EXPECT_TRUE(move_to_trash(store.layers(), "l1", store.trash()).value());
    }
    EXPECT_FALSE(move_to_trash(store.layers(), "l1", store.trash()).value());
    EXPECT_EQ(names_in(store.trash()).value().size(), 2U);
}

TEST_F(OverlayfsUnit, TreeBytesCountsBlocksOnceAndNoHoles) {
    const auto big = open_at(dir_.get(), "data", O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(big.ok() && write_all(big.value().get(), std::string(1 << 20, 'x')).ok());
    ASSERT_EQ(fsync(big.value().get()), 0);  // blocks of delayed allocation are counted either way, but not exactly
    ASSERT_EQ(linkat(dir_.get(), "data", dir_.get(), "again", 0), 0);
    const auto hole = open_at(dir_.get(), "hole", O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(hole.ok());
    ASSERT_EQ(ftruncate(hole.value().get(), 1 << 30), 0);
    const uint64_t bytes = tree_bytes(dir_.get()).value();
    EXPECT_GE(bytes, 1U << 20);
    EXPECT_LT(bytes, (1U << 20) + (1U << 16));
}

TEST_F(OverlayfsUnit, TreeBytesNeedsNoDescriptorPerLevel) {
    UniqueFd here = open_at(dir_.get(), ".", O_RDONLY | O_DIRECTORY).value();
    for (int level = 0; level < 200; ++level) {
        ASSERT_EQ(mkdirat(here.get(), "d", 0755), 0);
        here = open_at(here.get(), "d", O_RDONLY | O_DIRECTORY).value();
    }
    const auto file = open_at(here.get(), "file", O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(file.ok() && write_all(file.value().get(), std::string(1 << 20, 'x')).ok());
    ASSERT_EQ(fsync(file.value().get()), 0);
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    const rlimit few{100, old.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    const auto bytes = tree_bytes(dir_.get());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    EXPECT_GE(bytes.value(), 1U << 20);
}

}  // namespace
}  // namespace hutch::overlayfs
