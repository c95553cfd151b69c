#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "archives/tar_rules.h"
#include "archives/tree_writer.h"
#include "base/file.h"

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

TEST(OciName, TellsMarksFromEntries) {
    const auto of = [](const char* name) {
        const auto told = oci_name(name);
        if (!told.ok()) return std::string("refused");
        static const char* const kMarks[] = {"entry ", "whiteout ", "opaque ", "foreign "};
        return kMarks[static_cast<int>(told.value().mark)] + told.value().path;
    };
    EXPECT_EQ(of("./a/b"), "entry a/b");
    EXPECT_EQ(of("a/.wh.b"), "whiteout a/b");
    EXPECT_EQ(of(".wh.b"), "whiteout b");
    EXPECT_EQ(of("a/.wh..wh..opq"), "opaque a") << "it begins as a whiteout does";
    EXPECT_EQ(of(".wh..wh..opq"), "opaque ");
    EXPECT_EQ(of("a/.wh..b"), "whiteout a/.b");
    EXPECT_EQ(of(".wh..wh.plnk/1.2").substr(0, 7), "foreign");
    EXPECT_EQ(of("a/.wh..wh.orph").substr(0, 7), "foreign");
    EXPECT_EQ(of("a.wh.b/.wh"), "entry a.wh.b/.wh");
    for (const char* name : {".wh.a/b", "a/.wh.", "a/.wh..", "a/.wh...", "../.wh.x"})
        EXPECT_EQ(of(name), "refused") << name;
}

TEST(CopiedPath, IsNeverAbsoluteAndMayBeCalledLikeAWhiteout) {
    EXPECT_EQ(copied_path("./d/.wh.x").value(), "d/.wh.x");
    EXPECT_EQ(copied_path("./").value(), "");
    for (const char* name : {"/etc/passwd", "//x", "../x", "a/../../x"}) {
        ASSERT_FALSE(copied_path(name).ok()) << name;
        EXPECT_EQ(copied_path(name).error().kind, ErrorKind::kInvalid);
    }
}

TEST(TreeOrder, ADirectoryThenAllThatIsInIt) {
    const TreeOrder before;
    const std::vector<std::string> ordered{"a", "a/b", "a/b/c", "a/z", "a-b", "a.", "ab", "\xc3\xa4"};
    for (size_t i = 0; i + 1 < ordered.size(); ++i) {
        EXPECT_TRUE(before(ordered[i], ordered[i + 1])) << ordered[i];
        EXPECT_FALSE(before(ordered[i + 1], ordered[i])) << ordered[i];
    }
    EXPECT_FALSE(before("a/b", "a/b"));
}

class TreeWriterTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/hutch-tree-XXXXXX";
        path_ = mkdtemp(name);
        root_ = open_at(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY).value();
    }
    void TearDown() override { std::filesystem::remove_all(path_); }
    struct stat status_of(const std::string& path) {
        struct stat status {};
        const auto there = open_beneath(root_.get(), path, O_PATH);
        EXPECT_TRUE(there.ok() && fstat(there.value().get(), &status) == 0) << path.substr(0, 100);
        return status;
    }
    std::string path_;
    UniqueFd root_;
};

// Deeper than what is kept open on the way, and from one branch to another and back.
TEST_F(TreeWriterTest, DeepBranchesSideBySideGetTheirModesAndTimes) {
    constexpr size_t kDeep = 300;
    TreeWriter writer(root_.get(), {.bytes = 1 << 20, .entries = 10'000});
    std::vector<std::string> paths;
    for (const char* name : {"d", "d-", "dd"}) {
        std::string path;
        for (size_t depth = 0; depth < kDeep; ++depth) {
            path += (path.empty() ? "" : "/") + std::string(name);
            paths.push_back(path);
        }
    }
    for (const bool odd : {false, true}) {  // half of them, then those in between, which are there by then
        for (size_t i = odd ? 1 : 0; i < paths.size(); i += 2) {
            Attributes attributes;
            attributes.mode = static_cast<mode_t>(0500 + i % 8);
            attributes.mtime = {static_cast<time_t>(1'000'000 + i), 0};
            ASSERT_TRUE(writer.directory(paths[i], attributes).ok()) << i;
            ASSERT_TRUE(writer.file(paths[i] + "/file").ok()) << i;
        }
    }
    const auto finished = writer.finish();
    ASSERT_TRUE(finished.ok()) << finished.error().message;
    for (size_t i = 0; i < paths.size(); ++i) {
        const auto status = status_of(paths[i]);
        EXPECT_EQ(status.st_mode & 07777U, 0500 + i % 8) << i;
        EXPECT_EQ(status.st_mtime, static_cast<time_t>(1'000'000 + i)) << i;
        EXPECT_TRUE(S_ISREG(status_of(paths[i] + "/file").st_mode)) << i;
    }
}

TEST_F(TreeWriterTest, ALinkInTheWayIsNotFollowedHoweverDeep) {
    std::string deep = "d";
    for (int i = 0; i < 100; ++i) deep += "/d";
    TreeWriter writer(root_.get(), {.bytes = 1 << 20, .entries = 1'000});
    ASSERT_TRUE(writer.directory(deep, {0755, {}, {}, {}}).ok());
    ASSERT_TRUE(writer.symlink(deep + "/link", "..", {0777, {}, {}, {}}).ok());
    ASSERT_FALSE(writer.file(deep + "/link/file").ok());
    EXPECT_TRUE(writer.file(deep + "/other/file").ok());
    EXPECT_TRUE(writer.finish().ok());
}

}  // namespace
}  // namespace hutch::archives
