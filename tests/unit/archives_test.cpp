#include <gtest/gtest.h>

#include "archives/tar_rules.h"

namespace hutch::archives {
namespace {

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

TEST(CopiedPath, IsNeverAbsoluteAndMayBeCalledLikeAWhiteout) {
    EXPECT_EQ(copied_path("./d/.wh.x").value(), "d/.wh.x");
    EXPECT_EQ(copied_path("./").value(), "");
    for (const char* name : {"/etc/passwd", "//x", "../x", "a/../../x"}) {
        ASSERT_FALSE(copied_path(name).ok()) << name;
        EXPECT_EQ(copied_path(name).error().kind, ErrorKind::kInvalid);
    }
}

}  // namespace
}  // namespace hutch::archives
