#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <set>

#include "base/directory.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/program.h"
#include "base/undo.h"

namespace hutch {
namespace {

/// A directory of the test's own, gone with it.
class BaseTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/hutch-test-XXXXXX";
        path_ = mkdtemp(name);
        dir_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    void TearDown() override { EXPECT_TRUE(remove_tree_at(AT_FDCWD, path_).ok()); }
    [[nodiscard]] bool exists(const std::string& name) const {
        struct stat status {};
        return fstatat(dir_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    }
    void put(const std::string& name, std::string_view content) const {
        const auto fd = open_at(dir_.get(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        ASSERT_TRUE(fd.ok() && write_all(fd.value().get(), content).ok());
    }

    std::string path_;
    UniqueFd dir_;
};

TEST_F(BaseTest, MoveAssignmentClosesTheOldDescriptor) {
    UniqueFd first = open_at(dir_.get(), ".", O_RDONLY).value();
    const int old = first.get();
    first = open_at(dir_.get(), ".", O_RDONLY).value();
    EXPECT_EQ(fcntl(old, F_GETFD), -1);
    EXPECT_NE(fcntl(first.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(BaseTest, ErrorsNamePathAndValue) {
    const auto missing = read_file_at(dir_.get(), "absent");
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ENOENT);
    EXPECT_EQ(missing.error().message, "opening absent: No such file or directory");
    const auto write = write_value_at(AT_FDCWD, "/proc/self/oom_score_adj", "nonsense");
    ASSERT_FALSE(write.ok());
    EXPECT_NE(write.error().message.find("\"nonsense\" to /proc/self/oom_score_adj"), std::string::npos);
}

TEST_F(BaseTest, TryPutsTheOuterOperationInFront) {
    const auto outer = [&]() -> Result<std::string> { return TRY_IN("loading", read_file_at(dir_.get(), "absent")); };
    EXPECT_EQ(outer().error().message, "loading: opening absent: No such file or directory");
}

TEST_F(BaseTest, ReadFileRefusesMoreThanTheLimit) {
    put("file", std::string(100, 'x'));
    EXPECT_EQ(read_file_at(dir_.get(), "file", 100).value().size(), 100U);
    EXPECT_EQ(read_file_at(dir_.get(), "file", 99).error().code, EFBIG);
}

TEST_F(BaseTest, OpenBeneathNeverLeavesTheDirectory) {
    ASSERT_TRUE(make_dirs_at(dir_.get(), "a/b").ok());
    put("a/b/file", "inside");
    ASSERT_EQ(symlinkat("/etc", dir_.get(), "out"), 0);
    ASSERT_EQ(symlinkat("a", dir_.get(), "in"), 0);
    EXPECT_TRUE(open_beneath(dir_.get(), "a/b/file", O_RDONLY).ok());
    EXPECT_EQ(open_beneath(dir_.get(), "../etc", O_RDONLY).error().code, EXDEV);
    EXPECT_EQ(open_beneath(dir_.get(), "/etc", O_RDONLY).error().code, EXDEV);
    EXPECT_EQ(open_beneath(dir_.get(), "out/passwd", O_RDONLY).error().code, ELOOP);
    EXPECT_EQ(open_beneath(dir_.get(), "in/b/file", O_RDONLY).error().code, ELOOP);
}

TEST_F(BaseTest, OpenBeneathStopsAtWhatIsMountedWhereItIsToldTo) {
    const UniqueFd root = open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY).value();
    EXPECT_TRUE(open_beneath(root.get(), "proc/version", O_PATH).ok());
    EXPECT_EQ(open_beneath(root.get(), "proc/version", O_PATH, Mounts::kRefused).error().code, EXDEV);
}

TEST_F(BaseTest, MakeDirsBeneathNeverLeavesTheDirectory) {
    ASSERT_TRUE(make_dirs_beneath(dir_.get(), "/tree/a//b").ok());
    EXPECT_TRUE(exists("tree/a/b"));
    const UniqueFd tree = open_at(dir_.get(), "tree", O_RDONLY | O_DIRECTORY).value();
    ASSERT_EQ(symlinkat(path_.c_str(), tree.get(), "out"), 0);
    ASSERT_EQ(symlinkat("..", tree.get(), "up"), 0);
    for (const char* path : {"out/made", "up/made", "../made", "a/../../made"}) {
        EXPECT_FALSE(make_dirs_beneath(tree.get(), path).ok()) << path;
    }
    EXPECT_FALSE(exists("made"));
}

TEST_F(BaseTest, NamesInRefusesMoreThanTheLimit) {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(make_dirs_at(dir_.get(), "name-" + std::to_string(i)).ok());
    const size_t exactly = names_bytes(10, 10 * 6);
    EXPECT_EQ(names_in(dir_.get(), exactly).value().size(), 10U);
    const auto over = names_in(dir_.get(), exactly - 1);
    ASSERT_FALSE(over.ok());
    EXPECT_EQ(over.error().code, EFBIG);
}

TEST_F(BaseTest, RemoveTreeRemovesLinksNotTheirTargets) {
    ASSERT_TRUE(make_dirs_at(dir_.get(), "tree/sub").ok());
    ASSERT_TRUE(make_dirs_at(dir_.get(), "kept").ok());
    put("kept/file", "kept");
    ASSERT_EQ(symlinkat("../kept", dir_.get(), "tree/link"), 0);
    ASSERT_TRUE(remove_tree_at(dir_.get(), "tree").ok());
    EXPECT_FALSE(exists("tree"));
    EXPECT_TRUE(exists("kept/file"));
    EXPECT_TRUE(remove_tree_at(dir_.get(), "tree").ok()) << "a missing tree is fine";
}

TEST_F(BaseTest, RemoveTreeManagesAnyDepth) {
    ASSERT_EQ(mkdirat(dir_.get(), "deep", 0755), 0);
    UniqueFd here = open_at(dir_.get(), "deep", O_RDONLY | O_DIRECTORY).value();
    for (int level = 0; level < 1000; ++level) {
        ASSERT_EQ(mkdirat(here.get(), "d", 0755), 0);
        ASSERT_EQ(mkdirat(here.get(), "e", 0755), 0);
        here = open_at(here.get(), "d", O_RDONLY | O_DIRECTORY).value();
    }
    ASSERT_TRUE(remove_tree_at(dir_.get(), "deep").ok());
    EXPECT_FALSE(exists("deep"));
}

TEST(Ids, AreSafeAndDoNotRepeat) {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::string id = random_id();
        EXPECT_EQ(id.size(), 14U);
        EXPECT_TRUE(is_safe_id(id));
        EXPECT_TRUE(seen.insert(id).second);
    }
    for (const char* bad : {"", "-a", "a/b", "..", "A", "a b", "a\n"}) EXPECT_FALSE(is_safe_id(bad)) << bad;
    EXPECT_FALSE(is_safe_id(std::string(65, 'a')));
}

TEST(RunProgram, GivesInputAndTakesWhatIsSaid) {
    // More than a pipe holds, both ways.
    const std::string much(1 << 20, 'x');
    const auto end = run_program({"sh", "-c", "cat; echo no >&2; exit 3"}, "dash", much);
    ASSERT_TRUE(end.ok()) << end.error().message;
    EXPECT_EQ(end.value().output, much);
    EXPECT_EQ(end.value().complaints, "no");
    EXPECT_TRUE(WIFEXITED(end.value().status) && WEXITSTATUS(end.value().status) == 3);
    const auto quiet = run_program({"sh", "-c", "cat; env"}, "dash");
    ASSERT_TRUE(quiet.ok());
    EXPECT_EQ(quiet.value().status, 0);
    EXPECT_EQ(quiet.value().output.find("HOME="), std::string::npos);
}

TEST(RunProgram, SaysWhatToInstall) {
    const auto end = run_program({"hutch-has-no-such-program"}, "some-package");
    ASSERT_FALSE(end.ok());
    EXPECT_EQ(end.error().message,
              "running hutch-has-no-such-program (of the package some-package): No such file or directory");
}

TEST(RunProgram, FindsThoseOfRootWhateverThePath) {
    const std::string path = getenv("PATH");
    setenv("PATH", "/usr/bin:/bin", 1);
    const auto end = run_program({"ldconfig", "--version"}, "libc-bin");
    setenv("PATH", path.c_str(), 1);
    EXPECT_TRUE(end.ok() && end.value().status == 0);
}

TEST(Undo, RunsUnlessCommitted) {
    int undone = 0;
    {
        const Undo undo([&] { ++undone; });
    }
    EXPECT_EQ(undone, 1);
    {
        Undo undo([&] { ++undone; });
        undo.commit();
    }
    EXPECT_EQ(undone, 1);
}

}  // namespace
}  // namespace hutch
