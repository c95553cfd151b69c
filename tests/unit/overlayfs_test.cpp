#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "overlayfs/content.h"
#include "overlayfs/store.h"
#include "overlayfs/tree.h"
#include "overlayfs/tree_cursor.h"

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

TEST_F(OverlayfsUnit, StoreIsClosedToOthersAndOpensAgain) {
    const std::string root = path_ + "/store";
    ASSERT_EQ(mkdir(root.c_str(), 0755), 0);
    ASSERT_TRUE(Store::open(root).ok());
    const Store store = Store::open(root).value();
    struct stat status {};
    ASSERT_EQ(fstat(store.root(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
    EXPECT_EQ(names_in(store.root()).value().size(), 5U);
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

TEST_F(OverlayfsUnit, ACursorFindsItsWayBackAfterAMove) {
    ASSERT_TRUE(make_dirs_at(dir_.get(), "tree/a/b/c").ok() && make_dirs_at(dir_.get(), "outside").ok());
    TreeCursor cursor = TreeCursor::begin(open_at(dir_.get(), "tree", O_RDONLY | O_DIRECTORY).value().get()).value();
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(cursor.down(name).value());
    EXPECT_EQ(cursor.path(), "a/b/c");
    ASSERT_EQ(renameat(dir_.get(), "tree/a/b/c", dir_.get(), "outside/c"), 0);
    ASSERT_TRUE(cursor.up().ok());
    EXPECT_EQ(names_in(cursor.dir()).value().size(), 0U) << "a/b, not outside";
    EXPECT_FALSE(cursor.down("c").value());
    EXPECT_EQ(cursor.path(), "a/b");
}

TEST_F(OverlayfsUnit, ACursorIsNowhereWhereItsWayIsGone) {
    ASSERT_TRUE(make_dirs_at(dir_.get(), "tree/a/b/c").ok() && make_dirs_at(dir_.get(), "outside").ok());
    TreeCursor cursor = TreeCursor::begin(open_at(dir_.get(), "tree", O_RDONLY | O_DIRECTORY).value().get()).value();
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(cursor.down(name).value());
    ASSERT_EQ(renameat(dir_.get(), "tree/a/b/c", dir_.get(), "outside/c"), 0);
    ASSERT_EQ(renameat(dir_.get(), "tree/a/b", dir_.get(), "outside/b"), 0);
    ASSERT_TRUE(cursor.up().ok());
    EXPECT_EQ(cursor.dir(), -1);
    EXPECT_FALSE(cursor.down("c").value());
    ASSERT_TRUE(cursor.up().ok());
    EXPECT_EQ(names_in(cursor.dir()).value().size(), 0U) << "a again";
}

TEST_F(OverlayfsUnit, ACursorFollowsNoLink) {
    ASSERT_EQ(symlinkat("/tmp", dir_.get(), "link"), 0);
    ASSERT_EQ(mkfifoat(dir_.get(), "fifo", 0600), 0);
    TreeCursor cursor = TreeCursor::begin(dir_.get()).value();
    for (const char* name : {"link", "fifo", "absent"}) EXPECT_FALSE(cursor.down(name).value()) << name;
    EXPECT_EQ(cursor.path(), "");
}

class Content : public OverlayfsUnit {
  protected:
    UniqueFd file(const std::string& name, off_t size = 0) {
        UniqueFd fd = open_at(dir_.get(), name, O_RDWR | O_CREAT, 0600).value();
        EXPECT_EQ(ftruncate(fd.get(), size), 0);
        return fd;
    }
    static void write_at(const UniqueFd& fd, std::string_view text, off_t offset) {
        ASSERT_EQ(pwrite(fd.get(), text.data(), text.size(), offset), static_cast<ssize_t>(text.size()));
    }
};

TEST_F(Content, IsCopiedWithItsHoles) {
    constexpr off_t kSize = off_t{4} << 30;
    const UniqueFd from = file("from", kSize);
    write_at(from, "begin", 0);
    write_at(from, std::string(70'000, 'm'), kSize / 2 - 3);
    write_at(from, "end", kSize - 3);
    const UniqueFd to = file("to");
    ASSERT_TRUE(copy_content(from.get(), to.get(), kSize, {}).ok());
    EXPECT_TRUE(same_content(from.get(), to.get(), kSize, {}).value());
    struct stat status {};
    ASSERT_EQ(fstat(to.get(), &status), 0);
    EXPECT_EQ(status.st_size, kSize);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
}

TEST_F(Content, DiffersByOneByteWhereverItIs) {
    constexpr off_t kSize = off_t{1} << 30;
    const UniqueFd left = file("left", kSize);
    const UniqueFd right = file("right", kSize);
    write_at(left, std::string(300'000, '\0'), 12'345);  // zeros are as good as a hole
    EXPECT_TRUE(same_content(left.get(), right.get(), kSize, {}).value());
    for (const off_t offset : {off_t{0}, off_t{280'000}, kSize / 2, kSize - 1}) {
        write_at(right, "x", offset);
        EXPECT_FALSE(same_content(left.get(), right.get(), kSize, {}).value()) << offset;
        write_at(left, "x", offset);
        EXPECT_TRUE(same_content(left.get(), right.get(), kSize, {}).value()) << offset;
    }
}

TEST_F(Content, StopsWhenTold) {
    const UniqueFd left = file("left", 10);
    const UniqueFd right = file("right", 10);
    write_at(left, "x", 0);
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(same_content(left.get(), right.get(), 10, source.get_token()).error().code, ECANCELED);
    EXPECT_EQ(copy_content(left.get(), right.get(), 10, source.get_token()).error().code, ECANCELED);
}

}  // namespace
}  // namespace hutch::overlayfs
